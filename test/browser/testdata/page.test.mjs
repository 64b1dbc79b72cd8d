// What the page of the admin listener shall do, in Chromium, while the world of
// ../world_test.go has requests go through keybearer.
//
// The tests run one after the other, on one keybearer that the first finds as it starts.
import assert from "node:assert/strict";
import { test } from "node:test";

import { PAGE, SCREENSHOTS, control, firstRow, narrow, onPage, picture, request, rows, texts, until, wide } from "./scene.mjs";

test("says what to do while there was no request", onPage(wide, async (page) => {
  await page.getByText('eval "$(keybearer env)"').waitFor();
  assert.equal(await page.locator("#connection").textContent(), "live");
  await until(page, () => document.getElementById("requests-now").textContent === "0/s");
  const policy = await page.locator("#policy").innerText();
  for (const text of ["example-api", "models and responses", "/v1/*", "*.files.example.com", "Cookie", "FILE_KEY", "file-key"]) {
    assert.ok(policy.includes(text), `${text} is not in the policy: ${policy}`);
  }
  await picture(page, "empty");
}));

// seen red: 'unsafe-inline' for styles.
test("its policy allows what is its own alone", async () => {
  const response = await fetch(PAGE);
  assert.equal(response.headers.get("content-security-policy"), "default-src 'none'; script-src 'self'; style-src 'self'; " +
    "connect-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'");
});

test("rows appear as requests end, the newest first", onPage(wide, async (page) => {
  await page.locator("#empty pre").waitFor();
  await request("https://api.example.com/v1/first");
  await firstRow(page, "api.example.com/v1/first").waitFor();
  await request("https://api.example.com/v1/second?secret=query");
  await firstRow(page, "api.example.com/v1/second").waitFor();
  const [newest] = await texts(page, rows);
  assert.match(newest, /^\d\d:\d\d:\d\dintercept200<?[\d.]+ msGETapi\.example\.com\/v1\/secondexample-api$/);
  assert.equal((await page.content()).includes("secret=query"), false);
  assert.equal(await page.locator("#empty").isVisible(), false);
  await until(page, () => /^0\.[1-9]\/s$/.test(document.getElementById("requests-now").textContent));
}));

test("what is refused and what fails has its reason", onPage(wide, async (page) => {
  assert.match(await request("https://other.example.com/"), /Forbidden/);
  assert.match(await request("https://broken.example.com/v1/x"), /^502/);
  assert.match(await request("https://api.example.com/v1/status/401"), /^401/);
  assert.match(await request("https://tunnel.example.com/"), /^200/);
  await firstRow(page, "other.example.com").waitFor();
  assert.match(await firstRow(page, "other.example.com").textContent(), /deny403.*CONNECT.*the host may not be reached|deny403.*CONNECT.*no rule names/);
  assert.match(await firstRow(page, "broken.example.com").textContent(), /intercept502.*broken.*the upstream refused the connection/);
  assert.match(await firstRow(page, "status/401").textContent(), /401.*the upstream's answer/);
  await firstRow(page, "tunnel.example.com").waitFor();
  assert.match(await firstRow(page, "tunnel.example.com").textContent(), /tunnel200.*CONNECT.*no_proxy/);
}));

// seen red: advance without fill; a bucket that is rounded down twice.
test("counts and percentiles are right, and forgotten after five minutes", onPage(wide, async (page) => {
  const found = await page.evaluate(async () => {
    const { Rates } = await import("./plots.js");
    const rates = new Rates();
    rates.reset(1000, 990);
    for (let ms = 1; ms <= 100; ms++) rates.add(1000, ms > 97, ms);
    rates.add(1000, false, NaN); // a tunnel
    rates.missed(9);
    rates.advance(1001);
    const last = (series) => Object.fromEntries(Object.entries(series).map(([name, values]) => [name, values.at(-1)]));
    const now = last(rates.series());
    const before = rates.series().requests.slice(-12, -9);
    rates.advance(1301);
    return { now, before, later: rates.series().requests.reduce((a, b) => a + b), stillHalf: rates.series().half.filter((v) => v >= 0).length };
  });
  assert.equal(found.now.requests, 110);
  assert.equal(found.now.problems, 3);
  assert.ok(Math.abs(found.now.half / 50 - 1) < 0.07 && Math.abs(found.now.most / 95 - 1) < 0.07, JSON.stringify(found.now));
  assert.deepEqual(found.before, [NaN, 0, 0]);
  assert.deepEqual([found.later, found.stillHalf], [0, 0]);
}));

// seen red: the filter of problems left out.
test("filters by host, rule and problem", onPage(wide, async (page) => {
  await request("https://files.example.com/a", 3);
  await firstRow(page, "files.example.com/a").waitFor();
  await page.keyboard.press("/");
  await page.keyboard.type("FILES");
  await until(page, () => document.getElementById("count").textContent.startsWith("3 of "));
  for (const text of await texts(page, rows)) assert.match(text, /files\.example\.com/);
  await page.fill("#host", "no such host");
  await page.getByRole("button", { name: "Clear the filters" }).click();
  await firstRow(page, "other.example.com").waitFor();
  await page.selectOption("#rule", "=broken");
  await until(page, () => document.querySelectorAll("#list .row:not(#columns)").length === 1);
  assert.match((await texts(page, rows))[0], /broken\.example\.com/);
  await page.selectOption("#rule", "-");
  await until(page, () => [...document.querySelectorAll("#list .row:not(#columns) .rule")].every((e) => e.textContent === ""));
  await page.selectOption("#rule", "");
  await page.check("#problems");
  await until(page, () => document.querySelectorAll("#list .row:not(#columns)").length === 3);
  await page.uncheck("#problems");
  await page.getByRole("button", { name: "files", exact: true }).click(); // in the policy
  await until(page, () => document.getElementById("count").textContent.startsWith("3 of "));
}));

// seen red: the style of a bar as an attribute, which the policy forbids; a secret in what
// /explain says.
test("a click says why, rule by rule", onPage(wide, async (page) => {
  await firstRow(page, "files.example.com/a").click();
  const why = page.locator("#detail .why");
  await why.getByText("forwarded with the headers of rule files").waitFor();
  const text = await page.locator("#detail").innerText();
  for (const expected of [/no example-api: .*host/, /yes files: /, /no broken: not reached/, /sets\s+Authorization/, /removes\s+Cookie/,
    /secret\s+FILE_KEY: .*file-key/, /injected\s+Authorization/, /first byte\s+<?[\d.]+ ms/, /total\s+<?[\d.]+ ms/, /client\s+127\.0\.0\.1/]) {
    assert.match(text, expected);
  }
  await picture(page, "detail");
  await page.keyboard.press("Escape");
  assert.equal(await page.locator("#detail").isVisible(), false);
  await firstRow(page, "other.example.com").click();
  await why.getByText("403, and nothing is sent upstream").waitFor();
  await page.getByRole("button", { name: "Close" }).click();
  await firstRow(page, "tunnel.example.com").click();
  await why.getByText("relayed byte for byte").waitFor();
}));

test("works without a mouse", onPage(wide, async (page) => {
  await page.locator(rows).first().waitFor();
  await page.locator(`${rows}[tabindex="0"]`).focus();
  await page.keyboard.press("End");
  await page.keyboard.press("Enter");
  await page.getByText("rule example-api").first().waitFor();
  assert.match(await page.locator("#detail h2").textContent(), /\/v1\/first/);
  await page.keyboard.press("ArrowUp");
  await until(page, () => document.querySelector("#detail h2").textContent.includes("/v1/second"));
  await page.keyboard.press("Escape");
  assert.equal(await page.locator("#detail").isVisible(), false);
}));

// seen red: a list that never holds.
test("holds still while it is paused or walked, and says what is new", onPage(wide, async (page) => {
  await page.locator(rows).first().waitFor();
  await page.keyboard.press("p");
  await until(page, () => document.getElementById("connection").textContent === "paused");
  const before = await texts(page, rows);
  await request("https://api.example.com/v1/held", 2);
  await page.getByText("2 new").waitFor();
  assert.deepEqual(await texts(page, rows), before);
  await page.getByText("2 new").click();
  await firstRow(page, "/v1/held").waitFor();
  assert.equal(await page.locator("#connection").textContent(), "live");
  await page.locator(rows).first().focus();
  // The list holds from the next frame on, and a request may take less than one.
  await page.evaluate(() => new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn))));
  await request("https://api.example.com/v1/focused");
  await page.getByText("1 new").waitFor();
  await page.keyboard.press("Escape");
  await firstRow(page, "/v1/focused").waitFor();
}));

// seen red: text appended to innerHTML.
test("names are text and never markup", onPage(wide, async (page) => {
  await control("config", { text: '  - name: <img src=x onerror=report(1)>\n    match_hosts: [markup.example.com]\n    inject_headers: {X-Key: "${API_KEY}"}\n' });
  await page.locator("#policy").getByText("<img src=x").waitFor();
  await request("https://markup.example.com/<img%20src=x>");
  await firstRow(page, "markup.example.com").waitFor();
  await firstRow(page, "markup.example.com").click();
  await page.getByText("forwarded with the headers of rule <img").waitFor();
  assert.equal(await page.locator("img").count(), 0);
  await control("config");
}));

// seen red: alerts without rejected; reasons without reloaded.
test("a bad configuration and a missing secret are told, and that they are gone", onPage(wide, async (page) => {
  const alerts = page.locator("#alerts");
  await control("config", { text: "no_such_key: 1\n" });
  await alerts.getByText("The newest configuration is not in force.").waitFor();
  assert.match(await alerts.innerText(), /keybearer\.yaml:\d+:1: .*no_such_key/);
  await until(page, () => document.title.startsWith("⚠"));
  await control("config");
  await alerts.waitFor({ state: "hidden" });
  await control("secret/remove");
  await alerts.getByText("Rule files refuses its requests.").waitFor();
  assert.match(await request("https://files.example.com/gone"), /^502/);
  await firstRow(page, "files.example.com/gone").waitFor();
  await control("config", { text: "no_such_key: 1\n" });
  await alerts.getByText("The newest configuration is not in force.").waitFor();
  await picture(page, "problem");
  await firstRow(page, "files.example.com/gone").click();
  await page.getByText("502: a secret of the rule is not available").waitFor();
  await control("secret/restore");
  await control("config", { text: "log_level: info\n" });
  await alerts.waitFor({ state: "hidden" });
  await firstRow(page, "files.example.com/gone").click();
  await page.getByText("The policy has been loaded anew since.").waitFor();
}));

// seen red: filters that are 500 px wide.
test("a narrow screen shows everything, without scrolling sideways", onPage(narrow, async (page) => {
  await page.locator(rows).first().waitFor();
  assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), "it scrolls sideways");
  await picture(page, "narrow");
  await firstRow(page, "api.example.com").tap();
  await page.getByText("rule example-api").first().waitFor();
  await picture(page, "narrow-detail");
  await page.getByRole("button", { name: "Close" }).tap();
  assert.equal(await page.locator("#detail").isVisible(), false);
}));

// seen red: records that are all kept; a row for each; a frame that takes 1.2 s.
test("stays smooth and small at 1,000 requests a second", onPage({ ...wide, measured: true }, async (page) => {
  const cdp = await page.context().newCDPSession(page);
  await cdp.send("Performance.enable");
  const measure = async () => {
    await cdp.send("HeapProfiler.collectGarbage");
    const { usedSize } = await cdp.send("Runtime.getHeapUsage");
    const { metrics } = await cdp.send("Performance.getMetrics");
    const spent = Object.fromEntries(metrics.map(({ name, value }) => [name, value])); // in seconds
    return { heap: usedSize / 1e6, nodes: (await cdp.send("Memory.getDOMCounters")).nodes, busy: spent.TaskDuration };
  };
  await control("load", { rate: 1000, seconds: 3 }); // so that what it keeps is full
  await page.waitForTimeout(1000);
  const before = await measure();
  await page.evaluate(() => {
    globalThis.gaps = [];
    let last = performance.now();
    requestAnimationFrame(function frame(now) {
      globalThis.gaps.push(now - last);
      last = now;
      requestAnimationFrame(frame);
    });
  });
  const sent = control("load", { rate: 1000, seconds: 10 });
  await page.waitForTimeout(5000);
  await picture(page, "load");
  const start = performance.now();
  await page.locator(rows).nth(3).click();
  await page.locator("#detail .why").getByText("forwarded with the headers").waitFor();
  const click = performance.now() - start;
  await page.keyboard.press("Escape");
  const seconds = Number(await sent);
  const gaps = (await page.evaluate(() => globalThis.gaps)).sort((a, b) => a - b);
  const seen = await page.locator("#requests-peak").textContent();
  const afterwards = await measure();
  const inDocument = await page.locator(rows).count();
  console.log(`1,000 requests/s: 10,000 in ${seconds.toFixed(1)} s, ${seen}; frames: ${gaps.length}, p99 ${gaps[Math.floor(gaps.length * 0.99)].toFixed(0)} ms, ` +
    `longest ${gaps.at(-1).toFixed(0)} ms; click to reasons ${click.toFixed(0)} ms; heap ${before.heap.toFixed(1)} → ${afterwards.heap.toFixed(1)} MB; ` +
    `nodes ${before.nodes} → ${afterwards.nodes}; rows ${inDocument}; busy for ${(afterwards.busy - before.busy).toFixed(1)} s`);
  assert.ok(gaps.at(-1) < 1000, "the page stood still"); // on a machine that has the load, the upstream and keybearer, too
  assert.ok(afterwards.heap < before.heap + 5 && afterwards.heap < 20, "its memory grew");
  assert.ok(inDocument <= 200 && afterwards.nodes < 8000, "its document grew");
  assert.match(await page.locator("#count").textContent(), /^2000 kept/);
}));

test("light and dark", async () => {
  const load = control("load", { rate: 14, seconds: 8 });
  await onPage({ ...wide, colorScheme: "light" }, async (page) => {
    await page.waitForTimeout(2500);
    for (const host of ["broken", "tunnel", "other"]) await request(`https://${host}.example.com/v1/models`);
    await page.waitForTimeout(500);
    await picture(page, "light");
    assert.equal(await page.evaluate(() => getComputedStyle(document.body).backgroundColor), "rgb(251, 251, 252)");
  })();
  await onPage({ ...wide, colorScheme: "dark" }, async (page) => {
    await page.locator(rows).first().waitFor();
    await page.waitForTimeout(1200);
    await picture(page, "dark");
    assert.equal(await page.evaluate(() => getComputedStyle(document.body).backgroundColor), "rgb(17, 20, 24)");
  })();
  await load;
});

test("a picture for the docs", { skip: !SCREENSHOTS }, async () => {
  await control("stop");
  await control("start");
  await onPage({ viewport: { width: 1240, height: 680 } }, async (page) => {
    for (const rate of [9, 16, 12, 21, 14]) {
      const load = control("load", { rate, seconds: 25 });
      for (const host of ["broken", "tunnel", "other"]) {
        await page.waitForTimeout(6000);
        await request(`https://${host}.example.com/v1/models`, rate % 2 + 1);
      }
      await load;
    }
    for (const host of ["other", "broken", "tunnel"]) await request(`https://${host}.example.com/v1/models`);
    await control("load", { rate: 14, seconds: 1 });
    await page.waitForTimeout(1000);
    await firstRow(page, "api.example.com/v1/models").click();
    await page.getByText("forwarded with the headers of rule example-api").waitFor();
    await picture(page, "page");
  })();
});

// seen red: a page that forgets nothing when another keybearer answers.
test("connects again, and begins anew with another process", onPage({ ...wide, interrupted: true }, async (page) => {
  await page.locator(rows).first().waitFor();
  await control("stop");
  await until(page, () => document.getElementById("connection").textContent.startsWith("reconnecting in"));
  assert.notEqual(await page.locator(rows).count(), 0);
  await control("start");
  await until(page, () => document.getElementById("connection").textContent === "live");
  await page.getByText('eval "$(keybearer env)"').waitFor();
  assert.equal(await page.locator(rows).count(), 0);
  await request("https://api.example.com/v1/again");
  await firstRow(page, "/v1/again").waitFor();
}));
