// The official SDKs of client.cjs. get and all are what programs do with them;
// send is their own way to call what they have no method for. The key is the
// SDK's own business: a placeholder in its usual variable. All use Node's fetch.
//
// The upstream holds every stream of openai and anthropic back after its first
// event until it is asked for /models, so a proxy that collects a stream before
// it passes it on fails.
"use strict";
const fs = require("node:fs");

const options = { maxRetries: 0, timeout: 60000 };

function openai(baseURL) {
  const { OpenAI } = require("openai");
  const client = new OpenAI({ baseURL, ...options });
  const models = () => answer(client.models.list());
  const chat = { model: "test", messages: [{ role: "user", content: "hello" }] };
  const response = { model: "test", input: "hello" };
  const all = async () => {
    await models();
    await answer(client.chat.completions.create(chat));
    await stream(client.chat.completions.create({ ...chat, stream: true }), models);
    await answer(client.responses.create(response));
    await stream(client.responses.create({ ...response, stream: true }), models);
  };
  return { get: models, all, ...raw(client) };
}

function anthropic(baseURL) {
  const { Anthropic } = require("@anthropic-ai/sdk");
  const client = new Anthropic({ baseURL, ...options });
  const models = () => answer(client.models.list());
  const message = { model: "test", max_tokens: 8, messages: [{ role: "user", content: "hello" }] };
  const all = async () => {
    await models();
    await answer(client.messages.create(message));
    await stream(client.messages.create({ ...message, stream: true }), models);
  };
  return { get: models, all, ...raw(client) };
}

// show prints the head of the answer and returns what the SDK makes of it.
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

// raw is for both: one generator has made their clients.
function raw(client) {
  const send = async (method, url, { headers, data, file }) => {
    const request = { headers: withoutKey(headers), body: await bodyOf(data, file) };
    const r = await client[method.toLowerCase()](url, request).asResponse();
    return { status: r.status, headers: Object.fromEntries(r.headers), body: r.body };
  };
  return { send, follow: send };
}

const bodyOf = async (data, file) => (file ? fs.openAsBlob(file) : data);

const withoutKey = ({ authorization, ...headers }) => ({ "content-type": "application/octet-stream", ...headers });

function octokit(baseUrl) {
  const { Octokit } = require("@octokit/rest");
  const client = new Octokit({ baseUrl, auth: process.env.GITHUB_TOKEN });
  const repo = { owner: "owner", repo: "repo" };
  const get = async () => report(await client.rest.users.getAuthenticated());
  const all = async () => {
    const { etag } = await get();
    await notModified(client.rest.users.getAuthenticated({ headers: { "if-none-match": etag } }));
    let pages = 0;
    for await (const page of client.paginate.iterator(client.rest.issues.listForRepo, { ...repo, per_page: 1 })) {
      report(page);
      pages++;
    }
    if (pages !== 2) throw new Error(`${pages} pages came of 2`);
    report(await client.rest.issues.create({ ...repo, title: "hello" }));
    report(await client.rest.activity.starRepoForAuthenticatedUser(repo));
  };
  const send = async (method, url, { headers, data, file }) => {
    const request = { parseSuccessResponseBody: false };
    const r = await client.request({ method, url, headers: withoutKey(headers), data: await bodyOf(data, file), request });
    return { status: r.status, headers: r.headers, body: r.data };
  };
  return { get, all, send, follow: send };
}

// notModified is content with 304, which Octokit makes an error of, and nothing else.
async function notModified(promise) {
  const err = await promise.then(
    () => new Error("it has been modified"),
    (err) => err,
  );
  if (err.status !== 304) throw err;
  report(err.response);
}

function report({ status, headers, data }) {
  console.log(status, JSON.stringify(headers), JSON.stringify(data));
  return headers;
}

module.exports = { clients: { openai, anthropic, octokit } };
