// client.cjs CLIENT MODE BASE: the modes of every client, see ../../clients_test.go.
//
// A client is made by a function of libraries.cjs, sdks.cjs or websockets.cjs. It has
//
//	send(method, url, {headers, data, file})  sends a request with bytes, with a
//	    file or with nothing, and resolves to {status, headers, body, trailers}:
//	    body is an async iterable of bytes, trailers a function for after that
//	follow           is a send that follows redirects
//	websocket(url, options)  opens a WebSocket
//	expects          says that it takes Expect: 100-continue
//	get(base), all(base)  take the place of ours, where it has its own protocol
//
// or some of these. A mode that it has nothing for ends the program with 64.
"use strict";
const fs = require("node:fs");
const { Readable } = require("node:stream");
const { pipeline } = require("node:stream/promises");
const { createInterface } = require("node:readline");
const { converse, clients: webSockets } = require("./websockets.cjs");
const { clients: libraries } = require("./libraries.cjs");
const { clients: sdks } = require("./sdks.cjs");

const noSuchMode = 64;

const modes = {
  async get(client, base) {
    await print(await call(client.send, "GET", base + "/echo"));
  },

  async all(client, base) {
    await modes.get(client, base);
    await print(await call(client.send, "POST", base + "/upload", { data: fs.readFileSync("upload.bin") }));
    await save(await call(client.send, "GET", base + "/download"), "download.bin");
  },

  async "large-upload"(client, base) {
    await print(await call(client.send, "POST", base + "/large", { file: "large.bin" }));
  },

  async "large-download"(client, base) {
    await save(await call(client.send, "GET", base + "/large"), "large-download.bin");
  },

  async stream(client, base) {
    await printLines(await call(client.send, "GET", base + "/stream"));
  },

  async events(client, base) {
    await printLines(await call(client.send, "GET", base + "/events", { headers: { accept: "text/event-stream" } }));
  },

  async websocket(client, base) {
    await converse(client.websocket, base);
  },

  async continue(client, base) {
    const headers = { expect: "100-continue" };
    await print(await call(client.send, "POST", base + "/continue", { headers, data: fs.readFileSync("upload.bin") }));
  },

  async redirect(client, base) {
    await print(await call(client.follow, "GET", base + "/redirect"));
  },

  async gzip(client, base) {
    await print(await call(client.send, "GET", base + "/gzip", { headers: { "accept-encoding": "gzip" } }));
  },

  async trailers(client, base) {
    const response = await call(client.send, "GET", base + "/trailers", { headers: { te: "trailers" } });
    await print(response);
    for (const [name, value] of Object.entries(response.trailers?.() ?? {})) console.log(`trailer ${name}: ${value}`);
  },

  // To leave the loop cancels the request.
  async "hang-up"(client, base) {
    for await (const part of (await call(client.send, "GET", base + "/forever")).body) {
      console.log(String(Buffer.from(part)));
      break;
    }
  },
};

// has reports whether there is something in the client for a mode.
function has(client, mode) {
  switch (mode) {
    case "get":
    case "all":
      return client.send || client[mode];
    case "redirect":
      return client.follow;
    case "websocket":
      return client.websocket;
    case "continue":
      return client.expects;
  }
  return client.send && modes[mode];
}

// call sends a request and prints the head of the response.
async function call(send, method, url, options = {}) {
  const headers = { authorization: "Bearer bogus-of-the-client", ...options.headers };
  const response = await send(method, url, { ...options, headers });
  console.log(response.status, JSON.stringify(response.headers));
  if (response.status !== 200) throw new Error(`${method} ${url}: status ${response.status}: ${await text(response)}`);
  return response;
}

async function text({ body }) {
  const parts = [];
  for await (const part of body) parts.push(part);
  return String(Buffer.concat(parts));
}

async function print(response) {
  console.log(await text(response));
}

async function save(response, file) {
  await pipeline(Readable.from(response.body), fs.createWriteStream(file));
}

// printLines prints each line as soon as it is there: into a pipe, console.log
// returns when it is written.
async function printLines({ body }) {
  for await (const line of createInterface({ input: Readable.from(body), crlfDelay: Infinity })) console.log(line);
}

async function main(name, mode, base) {
  const client = { ...libraries, ...webSockets, ...sdks }[name](base);
  if (!has(client, mode)) {
    console.error("no such mode");
    return noSuchMode;
  }
  const own = ["get", "all"].includes(mode) && client[mode];
  await (own ? own(base) : modes[mode](client, base));
  return 0;
}

main(...process.argv.slice(2)).then(
  (code) => process.exit(code), // at once: some agents keep idle connections for seconds
  (err) => {
    console.error(err);
    process.exit(1);
  },
);
