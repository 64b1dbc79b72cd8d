// The HTTP libraries of client.cjs. What looks for the proxy and the authority by
// itself is left to do so; what does not gets what its own manual says.
"use strict";
const fs = require("node:fs");

// nodeFetch is Node's own. It honours the proxy with NODE_USE_ENV_PROXY=1.
function nodeFetch() {
  const send = async (method, url, { headers, data, file }) => {
    const body = file ? await fs.openAsBlob(file) : data;
    const r = await fetch(url, { method, headers, body });
    return { status: r.status, headers: Object.fromEntries(r.headers), body: r.body };
  };
  return { send, follow: send };
}

// nodeHttps is Node's own as well, with its global agent: the same.
function nodeHttps() {
  const send = (method, url, { headers, data, file }) =>
    new Promise((resolve, reject) => {
      const { request } = require(url.startsWith("https:") ? "node:https" : "node:http");
      const r = request(url, { method, headers });
      r.on("error", reject);
      r.on("response", (m) => resolve({ status: m.statusCode, headers: m.headers, body: decoded(m, m), trailers: () => m.trailers }));
      const write = () => (file ? fs.createReadStream(file).pipe(r) : r.end(data));
      headers.expect ? r.on("continue", write) : write();
    });
  return { send, expects: true };
}

// decoded is for libraries that leave it to the program.
function decoded({ headers }, body) {
  return headers["content-encoding"] === "gzip" ? body.pipe(require("node:zlib").createGunzip()) : body;
}

// undici is Node's fetch as a package, and more. By default it speaks HTTP/2 with
// those who can.
function undici(allowH2) {
  const { request, interceptors, EnvHttpProxyAgent, WebSocket } = require("undici");
  const agent = new EnvHttpProxyAgent({ allowH2, requestTls: { allowH2 } });
  const sendBy = (dispatcher) => async (method, url, { headers, data, file }) => {
    const body = file ? fs.createReadStream(file) : data;
    const r = await request(url, { dispatcher, method, headers, body });
    return { status: r.statusCode, headers: r.headers, body: decoded(r, r.body), trailers: () => r.trailers };
  };
  return {
    send: sendBy(agent),
    follow: sendBy(agent.compose(interceptors.redirect({ maxRedirections: 5 }))),
    websocket: (url, options) => new WebSocket(url, { ...options, dispatcher: agent }),
  };
}

// axios knows HTTPS_PROXY by itself.
function axios() {
  const axios = require("axios");
  const send = async (method, url, { headers, data, file }) => {
    // If it were to follow redirects it would keep all of a file, to send it again.
    const body = file ? { data: fs.createReadStream(file), maxRedirects: 0 } : { data };
    const r = await axios({ method, url, headers, ...body, responseType: "stream", validateStatus: () => true });
    return { status: r.status, headers: r.headers, body: r.data, trailers: () => r.request.res.trailers };
  };
  return { send, follow: send, expects: true };
}

// got takes the agent that it is given, else Node's global one.
function got(agent) {
  const { default: got } = require("got");
  const send = (method, url, { headers, data, file }) =>
    new Promise((resolve, reject) => {
      const body = file ? fs.createReadStream(file) : data;
      const r = got.stream(url, { method, headers, body, agent, retry: { limit: 0 }, throwHttpErrors: false });
      r.on("error", reject);
      r.on("response", (m) => resolve({ status: m.statusCode, headers: m.headers, body: r, trailers: () => m.trailers }));
    });
  return { send, follow: send, expects: true };
}

// gotHpagent has the agent that got's manual names.
function gotHpagent() {
  const { HttpsProxyAgent, HttpProxyAgent } = require("hpagent");
  const proxy = process.env.HTTPS_PROXY;
  return got({ https: new HttpsProxyAgent({ proxy }), http: new HttpProxyAgent({ proxy }) });
}

module.exports = {
  clients: {
    fetch: nodeFetch,
    https: nodeHttps,
    "undici-h1": () => undici(false),
    "undici-h2": () => undici(true),
    axios,
    got: () => got(),
    "got-hpagent": gotHpagent,
  },
};
