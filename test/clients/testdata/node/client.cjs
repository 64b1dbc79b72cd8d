// client.cjs LIBRARY get|all BASE: the steps of every client, see ../../clients_test.go.
"use strict";
const fs = require("node:fs");

const headers = { Authorization: "Bearer bogus-of-the-client" };

// Each library's way to send a request: {status, headers, body}.
const libraries = {
  // Node's own, which honours the proxy with NODE_USE_ENV_PROXY=1.
  fetch: () => async (method, url, data) => {
    const r = await fetch(url, { method, headers, body: data });
    return { status: r.status, headers: Object.fromEntries(r.headers), body: Buffer.from(await r.arrayBuffer()) };
  },

  undici: () => undici({}),
  "undici-h2": () => undici({ requestTls: { allowH2: true }, allowH2: true }),

  // Knows HTTPS_PROXY by itself.
  axios: () => {
    const axios = require("axios");
    return async (method, url, data) => {
      const r = await axios({ method, url, headers, data, responseType: "arraybuffer", validateStatus: () => true });
      return { status: r.status, headers: r.headers, body: Buffer.from(r.data) };
    };
  },
};

function undici(options) {
  const { request, EnvHttpProxyAgent } = require("undici");
  const dispatcher = new EnvHttpProxyAgent(options);
  return async (method, url, data) => {
    const r = await request(url, { dispatcher, method, headers, body: data });
    return { status: r.statusCode, headers: r.headers, body: Buffer.from(await r.body.arrayBuffer()) };
  };
}

async function main(library, mode, base) {
  const send = libraries[library]();
  const step = async (method, path, data) => {
    const r = await send(method, base + path, data);
    console.log(r.status, JSON.stringify(r.headers));
    if (r.status !== 200) throw new Error(`${method} ${path}: status ${r.status}: ${r.body}`);
    return r.body;
  };
  console.log(String(await step("GET", "/echo")));
  if (mode === "all") {
    console.log(String(await step("POST", "/upload", fs.readFileSync("upload.bin"))));
    fs.writeFileSync("download.bin", await step("GET", "/download"));
  }
}

main(...process.argv.slice(2)).then(
  () => process.exit(0), // at once: some agents keep idle connections for seconds
  (err) => {
    console.error(err);
    process.exit(1);
  },
);
