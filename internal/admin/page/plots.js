// Rates and durations of the last five minutes, second by second, and the plots of
// them. All memory is taken at the start: a second is a count of requests, one of
// problems, and a histogram of durations.

import { milliseconds } from "./views.js";

const seconds = 300;
const span = 10; // seconds that a percentile is of

// The bounds of a histogram grow by an eighth from 0.05 ms to 10 min, so a
// percentile is off by 6 % at most.
const buckets = 140;
const growth = Math.log(1.125);
const smallest = 0.05;

const bucket = (ms) => Math.min(buckets - 1, Math.max(0, Math.round(Math.log(ms / smallest) / growth)));
const middle = (i) => smallest * Math.exp(i * growth);

export class Rates {
  #requests = new Uint32Array(seconds);
  #problems = new Uint32Array(seconds);
  #durations = new Uint32Array(seconds * buckets);
  #now = 0; // the second that is not over yet
  #since = 0; // the first second of which all is known

  // reset forgets everything. Nothing is known of the time before since, in seconds.
  reset(now, since) {
    for (const a of [this.#requests, this.#problems, this.#durations]) a.fill(0);
    this.#now = now;
    this.#since = Math.max(since, now - seconds);
  }

  // advance begins the seconds up to now.
  advance(now) {
    for (let s = Math.max(this.#now + 1, now - seconds + 1); s <= now; s++) {
      const i = s % seconds;
      this.#requests[i] = this.#problems[i] = 0;
      this.#durations.fill(0, i * buckets, (i + 1) * buckets);
    }
    this.#now = Math.max(this.#now, now);
  }

  // add counts one that ended in a second. ms is NaN where a duration says nothing.
  add(second, problem, ms) {
    if (second <= this.#now - seconds || second > this.#now) return;
    const i = second % seconds;
    this.#requests[i]++;
    if (problem) this.#problems[i]++;
    if (ms >= 0) this.#durations[i * buckets + bucket(ms)]++;
  }

  // missed counts requests of this second of which nothing else is known.
  missed(n) {
    this.#requests[this.#now % seconds] += n;
  }

  // series are the values of each second that is over, the oldest first. NaN is
  // unknown: before there was a page, or no request ended.
  series() {
    const requests = [], problems = [], half = [], most = [];
    const sum = new Uint32Array(buckets);
    const change = (second, sign) => {
      const from = (second % seconds) * buckets;
      for (let i = 0; i < buckets; i++) sum[i] += sign * this.#durations[from + i];
    };
    const first = this.#now - seconds + 1;
    for (let s = first; s < this.#now; s++) {
      const known = s >= this.#since;
      requests.push(known ? this.#requests[s % seconds] : NaN);
      problems.push(known ? this.#problems[s % seconds] : NaN);
      change(s, 1);
      if (s - span >= first) change(s - span, -1);
      half.push(percentile(sum, 0.5));
      most.push(percentile(sum, 0.95));
    }
    return { requests, problems, half, most };
  }
}

function percentile(sum, share) {
  let rest = share * sum.reduce((a, b) => a + b, 0);
  if (rest === 0) return NaN;
  let i = 0;
  while (i < buckets - 1 && (rest -= sum[i]) > 0) i++;
  return middle(i);
}

const $ = (id) => document.getElementById(id);

// perSecond is a rate in few digits.
export const perSecond = (n) => (Number.isNaN(n) ? "–" : `${n === 0 || n >= 9.95 ? Math.round(n) : n.toFixed(1)}/s`);

// showPlots draws the three plots and returns the rate of requests.
export function showPlots({ requests, problems, half, most }) {
  const rate = mean(requests, 5);
  $("requests-now").textContent = perSecond(rate);
  $("requests-peak").textContent = `peak ${peak(requests)}/s`;
  $("problems-now").textContent = perSecond(mean(problems, 5));
  $("problems-peak").textContent = `peak ${peak(problems)}/s`;
  $("duration-now").textContent = `p50 ${milliseconds(half.at(-1))}`;
  $("duration-peak").textContent = `p95 ${milliseconds(most.at(-1))}, peak ${milliseconds(peak(most) || NaN)}`;
  draw($("requests-plot"), { values: requests, color: "--accent", fill: true });
  draw($("problems-plot"), { values: problems, color: "--bad", fill: true });
  draw($("duration-plot"), { values: most, color: "--muted" }, { values: half, color: "--accent" });
  return rate;
}

// mean is that of the last n values that are known.
function mean(values, n) {
  const known = values.slice(-n).filter((v) => !Number.isNaN(v));
  return known.length ? known.reduce((a, b) => a + b, 0) / known.length : NaN;
}

const peak = (values) => values.reduce((a, b) => (b > a ? b : a), 0);

// draw draws lines over each other, on one scale. The first is filled.
function draw(canvas, ...lines) {
  const { width, height } = sizeOf(canvas);
  const c = canvas.getContext("2d");
  const style = getComputedStyle(canvas);
  const top = Math.max(1, ...lines.map((l) => peak(l.values))) * 1.1;
  const x = (i, n) => (i / (n - 1)) * width;
  const y = (v) => height - 1 - (v / top) * (height - 2);
  c.clearRect(0, 0, width, height);
  minutes(c, style, width, height);
  for (const { values, color, fill } of lines) {
    c.strokeStyle = c.fillStyle = style.getPropertyValue(color);
    c.lineWidth = 1.25 * devicePixelRatio;
    for (const [from, to] of runs(values)) {
      c.beginPath();
      for (let i = from; i < to; i++) c.lineTo(x(i, values.length), y(values[i]));
      if (to - from === 1) c.lineTo(x(from, values.length) + 2, y(values[from]));
      c.stroke();
      if (!fill) continue;
      c.lineTo(x(to - 1, values.length), height);
      c.lineTo(x(from, values.length), height);
      c.globalAlpha = 0.15;
      c.fill();
      c.globalAlpha = 1;
    }
  }
}

// sizeOf gives a canvas as many pixels as the screen has for it.
function sizeOf(canvas) {
  const width = Math.round(canvas.clientWidth * devicePixelRatio);
  const height = Math.round(canvas.clientHeight * devicePixelRatio);
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  return { width, height };
}

// minutes draws a line for each.
function minutes(c, style, width, height) {
  c.fillStyle = style.getPropertyValue("--line");
  for (let m = 1; m < 5; m++) c.fillRect(Math.round((m / 5) * width), 0, 1, height);
  c.fillRect(0, height - 1, width, 1);
}

// runs are the stretches without NaN, as from and to.
function* runs(values) {
  for (let i = 0; i < values.length; i++) {
    if (Number.isNaN(values[i])) continue;
    const from = i;
    while (i < values.length && !Number.isNaN(values[i])) i++;
    yield [from, i];
  }
}
