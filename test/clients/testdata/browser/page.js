// page.js is what the page does in each mode, see client.cjs. A page can give neither an
// EventSource nor a WebSocket a credential, nor what it downloads by a link.
"use strict";

const authorization = { Authorization: "Bearer bogus-of-the-client" };

var modes = {
  async get(base) {
    await print(await request(base + "/echo"));
  },

  // Several at once, as pages ask for what they are made of.
  async all(base) {
    await Promise.all(Array.from({ length: 40 }, () => modes.get(base)));
    await print(await request(base + "/upload", { method: "POST", body: file("upload.bin") }));
    download(base + "/download", "download.bin");
  },

  async "large-upload"(base) {
    await print(await request(base + "/large", { method: "POST", body: file("large.bin") }));
  },

  async "large-download"(base) {
    download(base + "/large", "large-download.bin");
  },

  async stream(base) {
    const { body } = await request(base + "/stream");
    for await (const text of body.pipeThrough(new TextDecoderStream())) show(text.trimEnd());
  },

  events(base) {
    return new Promise((resolve) => {
      const source = new EventSource(base + "/events");
      source.onmessage = ({ data }) => show(data);
      source.onerror = () => {
        source.close(); // or it would ask again
        resolve();
      };
    });
  },

  websocket(base) {
    return new Promise((resolve, reject) => {
      const socket = new WebSocket(base.replace(/^http/, "ws") + "/websocket");
      const bytes = new Uint8Array(100_000).fill(7);
      socket.binaryType = "arraybuffer";
      socket.onopen = () => socket.send("hello-from-the-client");
      socket.onmessage = ({ data }) => {
        if (typeof data === "string") {
          show(data);
          socket.send(bytes);
          return;
        }
        const same = data.byteLength === bytes.length && new Uint8Array(data).every((b) => b === 7);
        socket.close(same ? 1000 : 4000);
      };
      socket.onclose = ({ code }) => {
        show(`closed ${code}`);
        code === 1000 ? resolve() : reject(new Error(`the WebSocket closed with ${code}`));
      };
    });
  },

  async redirect(base) {
    await print(await request(base + "/redirect"));
  },

  async gzip(base) {
    await print(await request(base + "/gzip")); // Accept-Encoding is the browser's own
  },

  // The upstream answers to /left when the other request has ended: the browser has
  // cancelled it, and lives on.
  async "hang-up"(base) {
    const leaving = new AbortController();
    const { body } = await request(base + "/forever", { signal: leaving.signal });
    const { value } = await body.getReader().read();
    show(new TextDecoder().decode(value));
    leaving.abort();
    await print(await request(base + "/left"));
  },
};

async function request(url, options = {}) {
  const response = await fetch(url, { headers: authorization, ...options });
  show(`${response.status} ${JSON.stringify([...response.headers])}`);
  if (!response.ok) throw new Error(`${url}: status ${response.status}: ${await response.text()}`);
  return response;
}

async function print(response) {
  show(await response.text());
}

function file(name) {
  return [...document.querySelector("input").files].find((f) => f.name === name);
}

function download(url, name) {
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
}
