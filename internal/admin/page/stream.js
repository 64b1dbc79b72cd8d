// Server-sent events by fetch. An EventSource would show neither the heartbeats, nor so
// the difference between a quiet connection and a dead one, nor when it tries again.

const silence = 40_000; // ms without anything; there is a heartbeat every 15 s
const longest = 10_000; // ms between two attempts

// follow calls receive with the name and the data of each event, and connected with
// {state: "live"} or {state: "reconnecting", at, why}, for as long as the page is open.
export async function follow(url, receive, connected) {
  for (let failures = 0; ; failures++) {
    let why = "the stream ended";
    try {
      await listen(url, receive, () => {
        failures = 0;
        connected({ state: "live" });
      });
    } catch (err) {
      why = err.message;
    }
    const wait = Math.min(longest, 500 * 2 ** failures) * (0.75 + Math.random() / 4);
    connected({ state: "reconnecting", at: Date.now() + wait, why });
    await new Promise((done) => setTimeout(done, wait));
  }
}

// listen reads until the stream ends, fails, or falls silent.
async function listen(url, receive, connected) {
  const abort = new AbortController();
  let timer;
  const heard = () => {
    clearTimeout(timer);
    timer = setTimeout(() => abort.abort(new Error("nothing was heard for too long")), silence);
  };
  heard();
  try {
    const response = await fetch(url, { signal: abort.signal, cache: "no-store" });
    if (!response.ok) throw new Error(await response.text());
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    connected();
    for (let rest = ""; ;) {
      const { done, value } = await reader.read();
      if (done) return;
      heard();
      const messages = (rest + value).split("\n\n");
      rest = messages.pop();
      for (const message of messages) deliver(message, receive);
    }
  } finally {
    clearTimeout(timer);
    abort.abort();
  }
}

function deliver(message, receive) {
  let event = "", data = "";
  for (const line of message.split("\n")) {
    if (line.startsWith("event: ")) event = line.slice(7);
    if (line.startsWith("data: ")) data += line.slice(6);
  }
  if (event) receive(event, JSON.parse(data));
}
