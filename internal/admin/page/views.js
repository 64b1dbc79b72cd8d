// What stands on the page: the head, what is wrong, the rows of the list, the policy,
// and one request with the reasons for what happened to it.

// el makes an element. Text becomes text, never markup, wherever it is from; what is
// false or undefined is left out.
export function el(tag, className, ...children) {
  const e = document.createElement(tag);
  if (className) e.className = className;
  e.append(...children.filter((c) => c || c === 0));
  return e;
}

const two = (n) => String(n).padStart(2, "0");

// clock is the time of day of a Date.
export const clock = (d) => `${two(d.getHours())}:${two(d.getMinutes())}:${two(d.getSeconds())}`;

export function milliseconds(ms) {
  if (Number.isNaN(ms)) return "–";
  if (ms < 0.1) return ms > 0 ? "<0.1 ms" : "0 ms";
  if (ms < 9.95) return `${ms.toFixed(1)} ms`;
  if (ms < 999.5) return `${Math.round(ms)} ms`;
  return ms < 59_950 ? `${(ms / 1000).toFixed(1)} s` : age(ms / 1000);
}

// age is a number of seconds in the two largest units that it has.
export function age(s) {
  const whole = Math.max(0, Math.floor(s));
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  if (whole < 86_400) return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
  return `${Math.floor(whole / 86_400)} d ${Math.floor((whole % 86_400) / 3600)} h`;
}

// since is an element with the age of a time as Go writes it; Go's zero has none.
function since(time) {
  if (!(new Date(time).getFullYear() > 1)) return "";
  const e = el("span", "since", age((Date.now() - Date.parse(time)) / 1000));
  e.dataset.time = time;
  return e;
}

// refreshAges has every since tell the age that it has now.
export function refreshAges() {
  for (const e of document.querySelectorAll(".since")) {
    e.textContent = age((Date.now() - Date.parse(e.dataset.time)) / 1000);
  }
}

function bytes(n) {
  if (n < 1000) return `${n} bytes`;
  let unit = -1;
  do { n /= 1000; unit++; } while (n >= 999.5 && unit < 3);
  return `${n.toFixed(n < 9.95 ? 1 : 0)} ${["kB", "MB", "GB", "TB"][unit]}`;
}

const list = (label, items) => items?.length > 0 && el("div", "", el("dt", "", label), el("dd", "", items.join(", ")));
const fact = (label, ...content) => content[0] !== undefined && content[0] !== "" &&
  el("div", "", el("dt", "", label), el("dd", "", ...content));

// isProblem is whether keybearer refused or failed, or the upstream did.
export const isProblem = (e) => Boolean(e.error) || e.status >= 400;

function reason(e) {
  if (e.reason) return e.reason;
  if (e.error) return e.error;
  return e.status >= 400 ? "the upstream's answer" : "";
}

// where is the target and path of a record, without the port of https://.
export const where = (e) => (e.target ?? "–").replace(/:443$/, "") + (e.method === "CONNECT" ? "" : (e.path ?? ""));

// Row is one row of the list: it is made once and shows one record after the other.
export class Row {
  constructor(open) {
    this.e = null;
    this.cells = ["time", "verdict", "status", "duration", "method", "target", "rule", "reason"].map((name) => {
      const cell = el("span", name);
      cell.setAttribute("role", "gridcell");
      return cell;
    });
    this.element = el("div", "row", ...this.cells);
    this.element.setAttribute("role", "row");
    this.element.tabIndex = -1;
    this.element.addEventListener("click", () => open(this.e));
    this.element.addEventListener("pointerenter", () => { // what may be cut
      this.element.title = [where(this.e), reason(this.e)].filter(Boolean).join("\n");
    });
  }

  // show writes what differs from what it showed before.
  show(e, selected) {
    this.element.setAttribute("aria-selected", selected);
    if (e === this.e) return;
    this.e = e;
    const texts = [clock(new Date(e.time)), e.verdict, e.status || "–", milliseconds(e.duration_ms), e.method ?? "",
      where(e), e.rule ?? "", reason(e)];
    texts.forEach((text, i) => { this.cells[i].textContent = text; });
    this.cells[1].className = `verdict ${e.verdict}`;
    this.element.className = e.error ? "row bad" : isProblem(e) ? "row poor" : "row";
  }
}

// facts are the head's.
export function facts(state) {
  return [
    fact("version", state.version),
    fact("listens on", state.listen),
    fact("up", since(state.started)),
    fact("policy loaded", clock(new Date(state.loaded)), ", ", since(state.loaded), " ago"),
  ].filter(Boolean);
}

// alerts say what is wrong and what to do about it.
export function alerts(state) {
  const all = [];
  if (state.draining) all.push(el("div", "", el("strong", "", "keybearer is shutting down. "), "It accepts no more connections."));
  if (state.rejected?.length) {
    all.push(el("div", "",
      el("strong", "", "The newest configuration is not in force. "),
      "The one before it serves on. Correct the file: it is read again when it changes.",
      el("ul", "", ...state.rejected.map((p) => el("li", "", p)))));
  }
  for (const r of state.rules ?? []) {
    if (r.problem) all.push(el("div", "", el("strong", "", `Rule ${r.name} refuses its requests. `), r.problem));
  }
  for (const s of state.secrets ?? []) {
    if (s.problem) all.push(el("div", "", el("strong", "", "A secret cannot be used. "), s.problem));
  }
  const more = all.length - 5;
  return more > 0 ? [...all.slice(0, 5), el("div", "", `And ${more} more, see the policy.`)] : all;
}

// emptiness says why the list is empty and what to do next.
export function emptiness(kind, clearFilters) {
  switch (kind) {
    case "filtered": {
      const clear = el("button", "", "Clear the filters");
      clear.type = "button";
      clear.addEventListener("click", clearFilters);
      return [el("p", "", "No request that is kept passes the filters."), clear];
    }
    case "none":
      return [el("p", "", "No requests yet. In the shell of a client:"),
        el("pre", "", 'eval "$(keybearer env)"\ncurl -sS https://…'),
        el("p", "note", el("code", "", "keybearer doctor -- COMMAND"), " says whether a program uses the proxy.")];
    case "unknown":
      return [el("p", "", "Waiting for keybearer …")];
  }
  return [];
}

const panelSize = 500; // rules, and secrets, that the policy panel shows

// atMost makes elements of the first items of a list, and one that counts the others.
function atMost(n, items, make) {
  const all = (items ?? []).slice(0, n).map(make);
  const more = (items?.length ?? 0) - n;
  return more > 0 ? [...all, el("li", "note", `and ${more} more`)] : all;
}

// policy is the panel. choose is called with the name of a rule that is clicked.
export function policy(state, choose) {
  const rules = atMost(panelSize, state.rules, (r) => {
    const name = el("button", "link", r.name);
    name.type = "button";
    name.title = "Show only its requests";
    name.addEventListener("click", () => choose(r.name));
    return el("li", r.problem ? "bad" : "",
      el("h3", "", name), r.description && el("p", "note", r.description), r.problem && el("p", "problem", r.problem),
      el("dl", "", list("hosts", r.hosts), list("paths", r.paths), list("methods", r.methods),
        list("sets", r.injects), list("removes", r.removes), list("secrets", r.secrets)));
  });
  const secrets = atMost(panelSize, state.secrets, (s) => el("li", s.problem ? "bad" : "",
    el("h3", "", s.name), s.problem && el("p", "problem", s.problem),
    el("dl", "", fact("source", s.source), fact("age", since(s.modified)))));
  return [
    el("h2", "", "Rules ", el("small", "", "the first that matches acts")),
    rules.length ? el("ol", "", ...rules) : el("p", "note", "No rules, so nothing is injected. Add one to the configuration; ", el("code", "", "keybearer check"), " says what it does."),
    el("h2", "", "Secrets ", el("small", "", "names only, never a value")),
    secrets.length ? el("ul", "", ...secrets) : el("p", "note", "No rule refers to a secret."),
  ];
}

// detail is one request. The reasons go into its .why when they have come.
export function detail(e, close) {
  const button = el("button", "close", "Close");
  button.type = "button";
  button.title = "Close (Esc)";
  button.addEventListener("click", close);
  const why = el("div", "why", el("p", "note", "Asking why …"));
  const head = el("h2", "", `${e.method ?? ""} ${where(e)}`);
  return [
    button, head,
    e.reason && el("p", e.error ? "problem" : "note", e.reason),
    el("h3", "", "Why"), why,
    el("h3", "", "Time"), timing(e),
    el("h3", "", "Record"),
    el("dl", "fields", fact("id", e.id), fact("began", new Date(e.time).toISOString()), fact("client", e.client), fact("account", e.account),
      fact("target", e.target), fact("protocol", e.protocol), fact("verdict", e.verdict), fact("rule", e.rule), list("injected", e.injected),
      fact("status", e.status), fact("error", e.error), fact("received", bytes(e.received)), fact("sent", bytes(e.sent)),
      fact("masked", e.masked ? `${e.masked} × an injected value, in the answer` : "")),
  ].filter(Boolean);
}

// timing is a bar for each stage, all on one scale. They do not add up: a connection
// may be older than the request that is the first on it.
function timing(e) {
  const stages = [
    ["connect", e.connect_ms], ["TLS", e.handshake_ms], ["first byte", e.first_byte_ms],
    ["rest", e.first_byte_ms ? e.duration_ms - e.first_byte_ms : 0], ["total", e.duration_ms],
  ].filter(([, ms]) => ms > 0);
  const scale = Math.max(...stages.map(([, ms]) => ms), 0.001);
  return el("div", "timing", ...stages.flatMap(([name, ms]) => {
    const bar = el("span", "bar");
    bar.style.width = `${Math.max(0.5, (ms / scale) * 100)}%`;
    return [el("span", "", name), el("span", "track", bar), el("span", "number", milliseconds(ms))];
  }));
}

// reasons fills .why with the answer of /explain.
export function reasons(x) {
  const answer = (r) =>
    el("li", r.matched ? "yes" : "no", el("b", "", r.matched ? "yes" : "no"), " ", el("span", "name", r.rule), `: ${r.why}`);
  const rules = atMost(panelSize, x.rules, answer);
  rules.push(...(x.rules ?? []).slice(panelSize).filter((r) => r.matched).map(answer));
  return [
    x.reloaded && el("p", "caution", "The policy has been loaded anew since. This is what it says now."),
    el("p", "", el("span", `verdict ${x.verdict}`, x.verdict), `: ${x.reason}`),
    rules.length > 0 && el("ol", "rules", ...rules),
    el("dl", "", fact("address", x.address), fact("through", x.upstream), list("sets", x.sets), list("removes", x.removes),
      ...(x.secrets ?? []).map((s) => fact("secret", `${s.name}: ${s.source}`)), fact("result", x.result)),
  ].filter(Boolean);
}
