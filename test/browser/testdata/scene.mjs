// The browser, a page in it, and what the tests ask of both. PAGE and CONTROL are the
// addresses of the page and of the world, MODULES is the directory of playwright-core,
// CANARIES are texts that must not be in anything the browser gets. SCREENSHOTS may be a
// directory for pictures.
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { after, before } from "node:test";

export const { PAGE, SCREENSHOTS } = process.env;
const { CONTROL, MODULES, CANARIES } = process.env;
const { chromium } = createRequire(`${MODULES}/`)("playwright-core");

export const wide = { viewport: { width: 1280, height: 800 } };
export const narrow = { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, hasTouch: true };
export const rows = "#list .row:not(#columns)";

let browser;
before(async () => {
  browser = await chromium.launch({
    executablePath: "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-dev-shm-usage", "--no-first-run",
      "--disable-background-networking", "--disable-component-update", "--disable-sync"],
  });
});
after(() => browser.close());

// control has something happen, and resolves to what became of it.
export async function control(what, parameters = {}) {
  const response = await fetch(`${CONTROL}${what}?${new URLSearchParams(parameters)}`, { method: "POST" });
  assert.equal(response.status, 200);
  return (await response.text()).trim();
}

export const request = (url, n = 1) => control("request", { url, n });

// onPage runs a function with the page open. Whatever it does there must be no error on
// the console, no violation of the policy, and no secret in what the browser got.
// The console tells of lost connections where keybearer is interrupted, and no stream is
// kept where memory is measured.
export function onPage({ interrupted, measured, ...options }, f) {
  return async () => {
    const context = await browser.newContext(options);
    const page = await context.newPage();
    const errors = [];
    const received = [];
    page.on("console", (m) => m.type() === "error" && errors.push(m.text()));
    page.on("pageerror", (err) => errors.push(err.stack));
    page.on("response", (r) => {
      if (!r.url().endsWith("/events")) received.push(r.text().catch(() => ""));
    });
    await page.exposeFunction("report", (text) => errors.push(text));
    await page.addInitScript(watch, !measured);
    await page.goto(PAGE);
    try {
      await f(page);
      received.push(page.content(), page.evaluate(() => globalThis.heard));
      const all = (await Promise.all(received)).join("\n");
      for (const canary of CANARIES.split(" ")) assert.ok(!all.includes(canary), "a secret reached the browser");
      assert.deepEqual(errors.filter((text) => !interrupted || !text.includes("net::ERR_")), []);
    } finally {
      await context.close();
    }
  };
}

// watch runs in the page before its own scripts: it reports violations of the policy, and
// keeps what comes over streams.
function watch(listen) {
  document.addEventListener("securitypolicyviolation", (e) => globalThis.report(`${e.violatedDirective}: ${e.blockedURI}`));
  globalThis.heard = "";
  const fetch = globalThis.fetch;
  if (!listen) return;
  globalThis.fetch = async (...args) => {
    const response = await fetch(...args);
    const [ours, theirs] = response.body.tee();
    ours.pipeThrough(new TextDecoderStream()).pipeTo(new WritableStream({ write: (text) => { globalThis.heard += text; } })).catch(() => {});
    return new Response(theirs, response);
  };
}

export const texts = (page, selector) => page.locator(selector).allTextContents();

// until waits for something to hold in the page.
export const until = (page, condition, argument) => page.waitForFunction(condition, argument, { timeout: 10_000 });

export const firstRow = (page, text) => page.locator(rows).filter({ hasText: text }).first();

export async function picture(page, name) {
  if (SCREENSHOTS) await page.screenshot({ path: `${SCREENSHOTS}/${name}.png` });
}
