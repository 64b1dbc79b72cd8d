// grpc.cjs MODE BASE: @grpc/grpc-js, see ../../clients_grpc_test.go for the service
// that it calls. It takes the proxy from https_proxy and the roots from
// GRPC_DEFAULT_SSL_ROOTS_FILE_PATH by itself. Messages are plain bytes.
"use strict";
const fs = require("node:fs");
const { pipeline } = require("node:stream/promises");
const { Transform } = require("node:stream");
const grpc = require("@grpc/grpc-js");

const same = (bytes) => bytes;
const method = (name, requestStream, responseStream) => ({
  path: "/keybearer.test.Service/" + name,
  requestStream,
  responseStream,
  requestSerialize: same,
  requestDeserialize: same,
  responseSerialize: same,
  responseDeserialize: same,
});
const service = {
  echo: method("Echo", false, false),
  trailers: method("Trailers", false, false),
  upload: method("Upload", true, false),
  largeUpload: method("LargeUpload", true, false),
  download: method("Download", false, true),
  largeDownload: method("LargeDownload", false, true),
  stream: method("Stream", false, true),
  forever: method("Forever", false, true),
  gzip: method("Gzip", false, true),
};

const hello = Buffer.from("hello");
const options = () => ({ deadline: Date.now() + 60000 });
const metadata = new grpc.Metadata();
metadata.set("authorization", "Bearer bogus-of-the-client");

// unary resolves to the answer, or to the error if that is what is wanted.
function unary(client, name) {
  return new Promise((resolve, reject) => {
    client[name](hello, metadata, options(), (err, answer) => (err ? reject(err) : resolve(answer))).on("metadata", (m) =>
      console.log(JSON.stringify(m.getMap())),
    );
  });
}

async function upload(client, name, file) {
  const answer = new Promise((resolve, reject) => {
    const call = client[name](metadata, options(), (err, answer) => (err ? reject(err) : resolve(answer)));
    pipeline(fs.createReadStream(file), call).catch(reject);
  });
  console.log(String(await answer));
}

async function download(client, name, file) {
  const call = client[name](hello, metadata, options());
  call.on("metadata", (m) => console.log(JSON.stringify(m.getMap())));
  // A call is a stream of objects.
  const bytes = new Transform({ writableObjectMode: true, transform: (message, _, done) => done(null, message) });
  await pipeline(call, bytes, fs.createWriteStream(file));
}

async function print(client, name) {
  for await (const message of client[name](hello, metadata, options())) console.log(String(message));
}

async function hangUp(client) {
  const call = client.forever(hello, metadata, options());
  call.on("error", () => {}); // it is cancelled
  await new Promise((resolve) => call.once("data", (message) => resolve(console.log(String(message)))));
  call.cancel();
  await new Promise((resolve) => call.once("status", resolve)); // the reset has gone out
}

// trailers: the status is an error, on purpose.
async function trailers(client) {
  const err = await unary(client, "trailers").then(
    () => {
      throw new Error("the status is OK");
    },
    (err) => err,
  );
  console.log(String(err));
  for (const [name, value] of Object.entries(err.metadata.getMap())) console.log(`trailer ${name}: ${value}`);
}

const get = async (client) => console.log(String(await unary(client, "echo")));
const modes = {
  get,
  all: async (client) => {
    await get(client);
    await upload(client, "upload", "upload.bin");
    await download(client, "download", "download.bin");
  },
  "large-upload": (client) => upload(client, "largeUpload", "large.bin"),
  "large-download": (client) => download(client, "largeDownload", "large-download.bin"),
  stream: (client) => print(client, "stream"),
  gzip: (client) => print(client, "gzip"),
  "hang-up": hangUp,
  trailers,
};

const [mode, base] = process.argv.slice(2);
if (!modes[mode]) {
  console.error("no such mode:", mode);
  process.exit(64);
}
const Client = grpc.makeGenericClientConstructor(service, "Service");
modes[mode](new Client(new URL(base).host, grpc.credentials.createSsl())).then(
  () => process.exit(0),
  (err) => {
    console.error(err);
    process.exit(1);
  },
);
