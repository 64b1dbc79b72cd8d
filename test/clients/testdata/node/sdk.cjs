// sdk.cjs openai|anthropic get|all BASE: what a program does with an official
// SDK. The key is the SDK's own business: a placeholder in its usual variable.
//
// The upstream holds every stream back after its first event until it is asked
// for /models, so a proxy that collects a stream before it passes it on fails.
"use strict";

async function show(promise) {
  const { data, response } = await promise.withResponse();
  console.log(response.status, JSON.stringify(Object.fromEntries(response.headers)));
  return data;
}

async function answer(promise) {
  console.log(JSON.stringify(await show(promise)));
}

async function stream(promise, onFirst) {
  let first = true;
  for await (const event of await show(promise)) {
    console.log(JSON.stringify(event));
    if (first) await onFirst();
    first = false;
  }
}

const sdks = {
  async openai(mode, options) {
    const OpenAI = require("openai");
    const client = new OpenAI(options);
    const models = () => answer(client.models.list());
    await models();
    if (mode !== "all") return;
    const chat = { model: "test", messages: [{ role: "user", content: "hello" }] };
    const response = { model: "test", input: "hello" };
    await answer(client.chat.completions.create(chat));
    await stream(client.chat.completions.create({ ...chat, stream: true }), models);
    await answer(client.responses.create(response));
    await stream(client.responses.create({ ...response, stream: true }), models);
  },

  async anthropic(mode, options) {
    const Anthropic = require("@anthropic-ai/sdk");
    const client = new Anthropic(options);
    const models = () => answer(client.models.list());
    await models();
    if (mode !== "all") return;
    const message = { model: "test", max_tokens: 8, messages: [{ role: "user", content: "hello" }] };
    await answer(client.messages.create(message));
    await stream(client.messages.create({ ...message, stream: true }), models);
  },
};

const [sdk, mode, base] = process.argv.slice(2);
sdks[sdk](mode, { baseURL: base, maxRetries: 0, timeout: 60000 }).then(
  () => process.exit(0), // at once: some agents keep idle connections for seconds
  (err) => {
    console.error(err);
    process.exit(1);
  },
);
