// The WebSocket mode. The libraries share the interface that browsers have.
"use strict";

const options = { headers: { authorization: "Bearer bogus-of-the-client" } };

// converse has a text and then bytes come back, and closes.
function converse(open, base) {
  const socket = open(base.replace(/^http/, "ws") + "/websocket", options);
  const data = new Uint8Array(100_000).fill(7);
  socket.binaryType = "arraybuffer";
  return new Promise((resolve, reject) => {
    socket.addEventListener("open", () => socket.send("hello-from-the-client"));
    socket.addEventListener("message", ({ data: message }) => {
      if (typeof message === "string") {
        console.log(message);
        socket.send(data);
      } else if (Buffer.compare(Buffer.from(message), data) === 0) {
        socket.close(1000);
      } else {
        reject(new Error(`${message.byteLength} other bytes came back`));
      }
    });
    socket.addEventListener("error", ({ error, message }) => reject(error ?? new Error(message)));
    socket.addEventListener("close", ({ code }) => {
      console.log("closed", code);
      code === 1000 ? resolve() : reject(new Error(`closed with ${code}`));
    });
  });
}

// alone is a client that has nothing but WebSocket.
function alone(open) {
  const one = (base) => converse(open, base);
  return { get: one, all: one, websocket: open };
}

// Node's own, undici's, which looks for the proxy as Node's fetch does.
const node = () => alone((url, options) => new WebSocket(url, options));

// ws needs an agent, and its manual names this one.
function ws() {
  const { WebSocket } = require("ws");
  const { HttpsProxyAgent } = require("https-proxy-agent");
  const agent = new HttpsProxyAgent(process.env.HTTPS_PROXY);
  return alone((url, options) => new WebSocket(url, { ...options, agent }));
}

module.exports = { converse, clients: { WebSocket: node, ws } };
