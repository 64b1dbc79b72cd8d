// client.cjs PROTOCOL MODE BASE: headless Chromium at the page BASE/page of
// ../../upstream_browser_test.go, which does what page.js says for the mode. PROTOCOL
// is h1 or h2.
//
// Chromium finds the proxy in the environment. No variable tells it whom to trust: it
// adds the certificates of the user's NSS database to its own roots. So the file that
// NODE_EXTRA_CA_CERTS names is put there first, with certutil, as a person would do it.
"use strict";
const { spawn, execFileSync } = require("node:child_process");
const { once } = require("node:events");
const fs = require("node:fs");
const path = require("node:path");

const flags = [
  "--headless",
  "--no-sandbox", // it refuses to start as root with one
  "--disable-gpu",
  "--disable-dev-shm-usage", // small in containers
  "--disable-quic",
  "--log-level=3", // not what it misses of a desktop
  // What follows keeps it from asking hosts of its own.
  "--no-first-run",
  "--disable-background-networking",
  "--disable-sync",
  "--disable-extensions",
  "--component-updater=url-source=https://localhost:9/",
  // And these are for the time, the search engine, and for http:// where it is meant.
  "--disable-features=NetworkTimeServiceQuerying,PreconnectToSearch,HttpsUpgrades",
  "--user-data-dir=" + path.resolve("profile"),
  "--remote-debugging-pipe",
];

const noSuchMode = 64;

// The files that the page of a mode downloads, as a person would by a click.
const downloads = { all: "download.bin", "large-download": "large-download.bin" };

async function main(protocol, mode, base) {
  const script = fs.readFileSync(path.join(__dirname, "page.js"), "utf8");
  trust(process.env.NODE_EXTRA_CA_CERTS);
  const browser = new Browser(protocol === "h1" ? ["--disable-http2"] : []);
  try {
    const page = await browser.open(base + "/page");
    await page.evaluate(script);
    if (!(await page.evaluate(`${JSON.stringify(mode)} in modes`))) {
      console.error("no such mode");
      return noSuchMode;
    }
    await page.attach(["upload.bin", "large.bin"]);
    const saved = mode in downloads && browser.saved(downloads[mode]);
    await page.evaluate(`modes[${JSON.stringify(mode)}](${JSON.stringify(base)})`);
    await saved;
    return 0;
  } finally {
    await browser.close();
  }
}

// trust makes the user's NSS database of the certificates in a PEM file.
function trust(file) {
  const database = "sql:" + path.join(process.env.HOME, ".pki", "nssdb");
  fs.mkdirSync(database.slice("sql:".length), { recursive: true });
  execFileSync("certutil", ["-N", "-d", database, "--empty-password"]);
  const certificates = fs.readFileSync(file, "utf8").match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----\n/g);
  certificates.forEach((input, n) => {
    execFileSync("certutil", ["-A", "-d", database, "-n", `keybearer ${n + 1}`, "-t", "C,,"], { input });
  });
}

// Browser is a Chromium that is spoken to in the DevTools protocol: JSON texts that
// end with a zero byte, through its file descriptors 3 and 4.
class Browser {
  #process;
  #calls = new Map(); // those without an answer, by number
  #listeners = new Set();
  #lastCall = 0;
  #temporary;

  constructor(moreFlags) {
    // Its socket is there, and a path of a socket ends after 107 bytes.
    this.#temporary = fs.mkdtempSync("/tmp/chromium-");
    this.#process = spawn("chromium", [...flags, ...moreFlags], {
      stdio: ["ignore", "inherit", "inherit", "pipe", "pipe"],
      env: { ...process.env, TMPDIR: this.#temporary },
    });
    for (const stream of this.#process.stdio.slice(3)) stream.on("error", (err) => this.#fail(err));
    let rest = "";
    this.#process.stdio[4].setEncoding("utf8").on("data", (text) => {
      const messages = (rest + text).split("\0");
      rest = messages.pop();
      for (const message of messages) this.#receive(JSON.parse(message));
    });
    this.#process.on("error", (err) => this.#fail(err));
    this.#process.on("exit", (code, signal) => this.#fail(new Error(`chromium ended: ${signal ?? code}`)));
  }

  #receive({ id, result, error, method, params }) {
    if (!id) {
      for (const listener of [...this.#listeners]) listener(method, params);
      return;
    }
    const { resolve, reject } = this.#calls.get(id);
    this.#calls.delete(id);
    error ? reject(new Error(error.message)) : resolve(result);
  }

  #fail(err) {
    for (const { reject } of this.#calls.values()) reject(err);
    this.#calls.clear();
  }

  // call resolves to the result of a method. The session is a page's.
  call(method, params = {}, sessionId = undefined) {
    const id = ++this.#lastCall;
    this.#process.stdio[3].write(JSON.stringify({ id, method, params, sessionId }) + "\0");
    return new Promise((resolve, reject) => this.#calls.set(id, { resolve, reject }));
  }

  // listen calls a function with each event.
  listen(listener) {
    this.#listeners.add(listener);
  }

  // when resolves to the first event of a method that is wanted.
  when(wanted, isIt = () => true) {
    return new Promise((resolve) => {
      const listener = (method, params) => {
        if (method !== wanted || !isIt(params)) return;
        this.#listeners.delete(listener);
        resolve(params);
      };
      this.#listeners.add(listener);
    });
  }

  // open goes to a page with a bogus credential, and waits until it is there.
  async open(url) {
    const { targetId } = await this.call("Target.createTarget", { url: "about:blank" });
    const { sessionId } = await this.call("Target.attachToTarget", { targetId, flatten: true });
    const page = new Page(this, sessionId);
    await page.open(url);
    return page;
  }

  // saved resolves when the next download is in a file of this name.
  async saved(name) {
    await this.call("Browser.setDownloadBehavior", { behavior: "allow", downloadPath: process.cwd(), eventsEnabled: true });
    const begun = await this.when("Browser.downloadWillBegin");
    const ended = await this.when("Browser.downloadProgress", ({ guid, state }) => guid === begun.guid && state !== "inProgress");
    console.log(`${begun.suggestedFilename}: ${ended.state}, ${ended.receivedBytes} bytes`);
    if (ended.state !== "completed" || begun.suggestedFilename !== name) throw new Error(`${name} was not downloaded`);
  }

  // close ends the browser and waits for its end: it still writes its profile.
  async close() {
    if (this.#process.exitCode === null && this.#process.signalCode === null) {
      const exit = once(this.#process, "exit");
      this.call("Browser.close").catch(() => {}); // it may end before it answers
      await exit;
    }
    fs.rmSync(this.#temporary, { recursive: true });
  }
}

class Page {
  #browser;
  #session;

  constructor(browser, session) {
    this.#browser = browser;
    this.#session = session;
  }

  #call(method, params) {
    return this.#browser.call(method, params, this.#session);
  }

  async open(url) {
    this.#browser.listen((method, { payload }) => {
      if (method === "Runtime.bindingCalled") console.log(payload);
    });
    for (const domain of ["Page", "Runtime", "Network"]) await this.#call(domain + ".enable");
    await this.#call("Runtime.addBinding", { name: "show" });
    await this.#call("Network.setExtraHTTPHeaders", { headers: { Authorization: "Bearer bogus-of-the-client" } });
    const loaded = this.#browser.when("Page.loadEventFired");
    const { errorText } = await this.#call("Page.navigate", { url });
    if (errorText) throw new Error(`${url}: ${errorText.replace("ERR_CERT_", "certificate error: ERR_CERT_")}`);
    await loaded;
    await this.#call("Network.setExtraHTTPHeaders", { headers: {} }); // the page has its own
    console.log(await this.evaluate("document.body.innerText"));
  }

  // evaluate resolves to the value of an expression, or what its promise resolves to.
  async evaluate(expression) {
    const { result, exceptionDetails } = await this.#call("Runtime.evaluate", { expression, awaitPromise: true, returnByValue: true });
    if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
    return result.value;
  }

  // attach chooses files in the page's form.
  async attach(names) {
    const { result } = await this.#call("Runtime.evaluate", { expression: "document.querySelector('input')" });
    await this.#call("DOM.setFileInputFiles", { files: names.map((name) => path.resolve(name)), objectId: result.objectId });
  }
}

main(...process.argv.slice(2)).then(
  (code) => process.exit(code),
  (err) => {
    console.error(err);
    process.exit(1);
  },
);
