// The live page: what /events tells, in a list that stays small and still enough to
// read. Nothing here makes markup of data, and nothing is kept beyond `kept` records.

import { Rates, perSecond, showPlots } from "./plots.js";
import { follow } from "./stream.js";
import { Row, age, alerts, detail, emptiness, facts, isProblem, policy, reasons, refreshAges, where } from "./views.js";

const kept = 2000; // records in memory
const rowCount = 200; // rows in the document
const firstMost = 500; // records that come first on a connection: with fewer, these are all
const stillness = 1500; // ms for which the list holds still after the pointer has moved on it

const $ = (id) => document.getElementById(id);

let state = null;
let records = []; // the newest first
let held = null; // the records that the list shows while it holds still
let paused = false;
let pointed = -Infinity; // when the pointer last moved on the list
let selected = null; // the record in the detail
let connection = { state: "connecting" };
let unseen = 0; // records that came too fast to be told
let first = true; // the next records are the first on the connection
const rates = new Rates();
const second = (ms) => Math.floor(ms / 1000);
rates.reset(second(Date.now()), Infinity);

// ---- what /events tells

function receive(event, data) {
  if (event === "state") receiveState(data);
  if (event === "records") receiveRecords(data);
  changed();
}

function receiveState(next) {
  if (next.started !== state?.started) { // another process, which counts from 1 again
    records = [];
    unseen = 0;
    held = null;
    closeDetail();
    rates.reset(second(Date.now()), second(Date.parse(next.started)) + 1);
  }
  state = next;
  showState();
  tick();
}

// receiveRecords gets what is new, the oldest first. What comes first on a connection
// may be known already, and is older than now.
function receiveRecords({ missed = 0, records: batch }) {
  const now = Date.now();
  rates.advance(second(now));
  if (first) {
    first = false;
    const known = new Set(records.map((e) => e.id));
    if (known.size === 0 && batch.length >= firstMost) {
      rates.reset(second(now), second(Math.min(now, ended(batch[0]))) + 1);
    }
    batch = batch.filter((e) => !known.has(e.id));
    for (const e of batch) count(e, second(ended(e)));
    tick();
  } else {
    for (const e of batch) count(e, second(now));
  }
  rates.missed(missed);
  unseen += missed;
  records = batch.reverse().concat(records).slice(0, kept);
}

const ended = (e) => Date.parse(e.time) + e.duration_ms;

// A tunnel lasts as long as its client likes, as what an upgrade leads to does.
const count = (e, at) => rates.add(at, isProblem(e), e.protocol === "tunnel" || e.status === 101 ? NaN : e.duration_ms);

// ---- the list

const rows = [];

// showList fills the rows with the newest records that the filters let through.
function showList() {
  const wanted = filter();
  let matching = 0;
  const from = held ?? records;
  for (const e of from) {
    if (!wanted(e)) continue;
    if (matching++ >= rowCount) continue;
    if (rows.length < matching) {
      rows.push(new Row(openDetail));
      $("list").append(rows.at(-1).element);
    }
    rows[matching - 1].show(e, e === selected);
  }
  while (rows.length > Math.min(matching, rowCount)) rows.pop().element.remove();
  if (rows.length && !rows.some((r) => r.element.tabIndex === 0)) rows[0].element.tabIndex = 0;
  $("count").textContent = `${matching === from.length ? "" : `${matching} of `}${from.length} kept${unseen ? `, ${unseen} came too fast` : ""}`;
  showEmpty(matching, from.length);
}

function filter() {
  const text = $("host").value.trim().toLowerCase();
  const rule = $("rule").value;
  const problems = $("problems").checked;
  return (e) => (!problems || isProblem(e)) &&
    (rule === "" || (rule === "-" ? !e.rule : `=${e.rule}` === rule)) &&
    (text === "" || where(e).toLowerCase().includes(text) || (e.target ?? "").includes(text));
}

function showEmpty(matching, all) {
  const empty = $("empty");
  empty.hidden = matching > 0;
  const kind = matching > 0 ? "" : all > 0 ? "filtered" : state ? "none" : "unknown";
  if (empty.dataset.kind === kind) return;
  empty.dataset.kind = kind;
  empty.replaceChildren(...emptiness(kind, () => {
    $("filters").reset();
    changed();
  }));
}

// The list holds still while it is paused, read further down, walked with the keys,
// or about to be clicked.
function hold() {
  const list = $("list");
  const still = paused || list.scrollTop > 4 || performance.now() - pointed < stillness ||
    (document.activeElement !== list && list.contains(document.activeElement));
  if (still !== (held !== null)) held = still ? records : null;
  const fresh = held ? (held.length ? records.findIndex((e) => e === held[0]) : records.length) : 0;
  const resume = $("resume");
  resume.hidden = !held || fresh === 0;
  resume.textContent = `${fresh < 0 ? `${kept}+` : fresh} new ↑`;
}

// release lets it move again, unless it is paused.
function release() {
  pointed = -Infinity;
  $("list").scrollTop = 0;
  if ($("list").contains(document.activeElement)) document.activeElement.blur();
  changed();
}

function pause(on) {
  paused = on;
  $("pause").textContent = on ? "Resume" : "Pause";
  changed();
}

// ---- the detail

async function openDetail(e) {
  selected = e;
  const panel = $("detail");
  panel.replaceChildren(...detail(e, closeDetail));
  panel.hidden = false;
  panel.parentElement.scrollTop = 0;
  document.body.classList.add("detailed");
  changed();
  const why = panel.querySelector(".why");
  try {
    const response = await fetch(`explain?id=${encodeURIComponent(e.id)}`, { cache: "no-store" });
    if (response.ok) why.replaceChildren(...reasons(await response.json()));
    else why.textContent = await response.text();
  } catch {
    why.textContent = "keybearer did not answer. Choose the request again when the page is live.";
  }
}

function closeDetail() {
  selected = null;
  $("detail").hidden = true;
  $("detail").replaceChildren();
  document.body.classList.remove("detailed");
  changed();
}

// ---- the rest of the page

function showState() {
  $("facts").replaceChildren(...facts(state));
  $("alerts").replaceChildren(...alerts(state));
  $("alerts").hidden = $("alerts").childElementCount === 0;
  $("policy").replaceChildren(...policy(state, (rule) => { $("rule").value = `=${rule}`; changed(); }));
  showRules();
}

// showRules offers the rules of the policy, those of the records, and that of the filter.
function showRules() {
  const select = $("rule");
  const chosen = select.value;
  const names = new Set((state.rules ?? []).map((r) => r.name));
  for (const e of records) if (e.rule) names.add(e.rule);
  if (chosen.startsWith("=")) names.add(chosen.slice(1));
  select.replaceChildren(new Option("Every rule", ""), new Option("No rule", "-"), ...[...names].map((n) => new Option(n, `=${n}`)));
  select.value = chosen;
}

function showConnection() {
  const now = connection.state === "live" && paused ? "paused" : connection.state;
  const text = now === "reconnecting" ? `reconnecting in ${age((connection.at - Date.now()) / 1000 + 1)}` : now;
  if ($("connection").textContent === text) return;
  $("connection").textContent = text;
  $("connection").dataset.state = now;
  $("connection").title = connection.why ?? "";
}

let scheduled = false;

// changed has the page drawn with the next frame.
function changed() {
  if (scheduled) return;
  scheduled = true;
  requestAnimationFrame(() => {
    scheduled = false;
    hold();
    showList();
    showConnection();
  });
}

function tick() {
  if (document.hidden) return;
  rates.advance(second(Date.now()));
  const rate = showPlots(rates.series());
  document.title = `${$("alerts").hidden ? "" : "⚠ "}${perSecond(rate)} · keybearer`;
  refreshAges();
  changed();
}

// ---- mouse and keys

// move goes n rows down, and takes an open detail along.
function move(n) {
  const from = rows.findIndex((r) => r.element === document.activeElement);
  const to = rows[Math.max(0, Math.min(rows.length - 1, from + n))];
  for (const r of rows) r.element.tabIndex = r === to ? 0 : -1;
  to.element.focus();
  if (selected) openDetail(to.e);
}

const listKeys = {
  ArrowDown: () => move(1),
  ArrowUp: () => move(-1),
  PageDown: () => move(10),
  PageUp: () => move(-10),
  Home: () => move(-rowCount),
  End: () => move(rowCount),
  Enter: () => openDetail(rows.find((r) => r.element === document.activeElement).e),
};

const pageKeys = {
  "/": () => $("host").focus(),
  p: () => pause(!paused),
};

function pressed(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const typing = event.target.matches("input, select");
  let act = typing ? undefined : pageKeys[event.key];
  if (event.target.matches("#list .row")) act ??= listKeys[event.key];
  if (event.key === "Escape") act = () => { closeDetail(); release(); };
  if (!act) return;
  event.preventDefault();
  act();
}

document.addEventListener("keydown", pressed);
$("pause").addEventListener("click", () => pause(!paused));
$("resume").addEventListener("click", () => { pause(false); release(); });
$("filters").addEventListener("input", changed);
$("filters").addEventListener("submit", (event) => event.preventDefault());
$("list").addEventListener("pointermove", () => { pointed = performance.now(); });
for (const type of ["scroll", "focusin", "focusout"]) $("list").addEventListener(type, changed);
document.addEventListener("visibilitychange", tick);
setInterval(tick, 1000);
changed();
follow("events", receive, (next) => {
  connection = next;
  first = true;
  changed();
});
