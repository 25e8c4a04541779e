"use strict";
const $ = (id) => document.getElementById(id);
const FRAME = 50; // ms: 20 frames a second
const SLOW = 1000; // ms: older requests are listed

// The states by their number in a record; 0 is a free slot. An idle connection is one in Reading
// without a byte of a request.
const STATES = [
  { name: "free", letter: "", colour: "free" },
  { name: "Handshaking", letter: "S", colour: "handshaking", text: "in its handshake" },
  { name: "Reading", letter: "R", colour: "reading", text: "reading a head" },
  { name: "Parsing", letter: "P", colour: "parsing", text: "with a request to answer" },
  { name: "WritingHeader", letter: "H", colour: "header", text: "sending a header" },
  { name: "WritingBody", letter: "B", colour: "body", text: "sending a body" },
  { name: "Closing", letter: "C", colour: "closing", text: "closing" },
  { name: "Closed", letter: "X", colour: "free", text: "closed" },
  { name: "Idle", letter: "I", colour: "idle", text: "idle" },
];
const IDLE = 8;
const WAITS = ["for its turn", "for the client to send", "for the client to read", "for the handler"];

// What is shown: the time in ms, the cells by slot, and the pulse. `history` has pulses of the last second,
// for rates. `litFor` is how long a cell is lit that did something, in ms.
const model = { now: 0, cells: [], you: -1, pulse: null, open: 0, history: [], litFor: 300 };
let chosen = -1;

// What fills the model: the running server (live.js) or a recorded trace (replay.js). `frame()` brings it up to
// date, and returns what to say of it; `life(key)` is the life line of a slot.
let source = null;

function stateOf(cell) {
  return cell.state === 2 && !cell.exchange ? IDLE : cell.state;
}

// ---- Numbers and words.

const percent = (part) => part < 0.0995 ? `${(part * 100).toFixed(1)} %` : `${Math.round(part * 100)} %`;
const count = (n) => n >= 1e5 ? `${Math.round(n / 1000).toLocaleString("en")} k` : Math.round(n).toLocaleString("en");
function time(ms) {
  if (ms < 1) return `${Math.round(ms * 1000)} µs`;
  if (ms < 1000) return `${ms.toFixed(ms < 10 ? 1 : 0)} ms`;
  if (ms < 120e3) return `${(ms / 1000).toFixed(1)} s`;
  return `${Math.floor(ms / 60e3)} min ${Math.round(ms / 1000) % 60} s`;
}
function text(id, words) {
  const node = $(id);
  if (node.textContent !== words) node.textContent = words;
}
function element(name, words, parent) {
  const node = document.createElement(name);
  node.textContent = words;
  if (parent) parent.append(node);
  return node;
}
function describe(cell) {
  const state = STATES[stateOf(cell)];
  let words = state.text;
  if (cell.state === 4 || cell.state === 5) {
    words += cell.progress < 255 ? `, ${Math.floor(cell.progress / 2.54)} % sent` : "";
  }
  return `${words}, waits ${WAITS[cell.wait]}`;
}
function iterationText(one) {
  const { number, worked_us, events, accepts, steps, closes, slowest } = one;
  if (!number) return "none";
  const counted = [[events, "event"], [accepts, "accept"], [steps, "step"], [closes, "close"]].filter(([n]) => n > 0);
  const counts = counted.map(([n, what]) => `${n} ${what}${n === 1 ? "" : "s"}`);
  let words = `${time(worked_us / 1000)} (iteration ${number}: ${counts.join(", ")}`;
  if (slowest) words += `; the longest was ${slowest.step} of connection ${slowest.connection}, ${time(slowest.us / 1000)}`;
  return words + ")";
}

// ---- Colours, from the style.

let colours = {};
function readColours() {
  const style = getComputedStyle(document.documentElement);
  for (const name of ["free", "idle", "handshaking", "reading", "parsing", "header", "body", "closing", "accent",
    "flash", "ink", "soft", "line", "panel", "asleep", "on-cell"]) {
    colours[name] = style.getPropertyValue(`--${name}`).trim();
  }
}
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", readColours);

function prepare(canvas, height) {
  const ratio = window.devicePixelRatio || 1;
  const width = canvas.clientWidth;
  if (height) canvas.style.height = `${height}px`;
  const [w, h] = [Math.round(width * ratio), Math.round((height || canvas.clientHeight) * ratio)];
  if (canvas.width !== w || canvas.height !== h) { canvas.width = w; canvas.height = h; }
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height || canvas.clientHeight);
  return context;
}

// ---- The grid.

const layout = { size: 24, columns: 1 };

function drawGrid() {
  const canvas = $("grid");
  const slots = Math.max(model.cells.length, 1);
  const width = canvas.clientWidth;
  const space = width * Math.max(320, Math.min(window.innerHeight - 330, 760));
  const fit = Math.floor(Math.sqrt(space / slots));
  const size = Math.max(5, Math.min(26, fit));
  const columns = Math.max(1, Math.floor(width / size));
  Object.assign(layout, { size, columns });
  const context = prepare(canvas, Math.ceil(slots / columns) * size + 2);
  const gap = size > 9 ? 2 : 1;
  const side = size - gap;
  context.font = `700 ${Math.round(side * 0.62)}px system-ui, sans-serif`;
  context.textAlign = "center";
  context.textBaseline = "middle";
  model.cells.forEach((cell, key) => {
    const x = (key % columns) * size + 1, y = Math.floor(key / columns) * size + 1;
    const state = stateOf(cell);
    const { colour, letter } = STATES[state];
    context.fillStyle = colours[colour];
    if (cell.state === 0) { context.fillRect(x, y, side, side); drawChoice(context, key, x, y, side); return; }
    const age = (model.now - cell.since) / 1000;
    const isSending = cell.state === 4 || cell.state === 5;
    if (isSending && cell.progress < 255) {
      context.globalAlpha = 0.35;
      context.fillRect(x, y, side, side);
      context.globalAlpha = 1;
      const filled = Math.round(side * cell.progress / 254);
      context.fillRect(x, y + side - filled, side, filled);
    } else {
      context.globalAlpha = state === IDLE ? Math.max(0.3, 0.95 - Math.log10(1 + age) * 0.35) : 1;
      context.fillRect(x, y, side, side);
      context.globalAlpha = 1;
    }
    if (side >= 8) {
      context.fillStyle = colours.ink;
      const bar = Math.max(1, Math.round(side / 9));
      if (cell.wait === 1 && state !== IDLE) context.fillRect(x, y, bar, side);
      if (cell.wait === 2) context.fillRect(x, y + side - bar, side, bar);
      if (cell.wait === 0) { // Inside of the frame of the chosen cell.
        const inset = 1 + bar / 2;
        Object.assign(context, { lineWidth: bar, strokeStyle: colours.ink });
        context.strokeRect(x + inset, y + inset, side - 2 * inset, side - 2 * inset);
      }
    }
    if (side >= 12) {
      context.fillStyle = state === IDLE || (isSending && cell.progress < 128) ? colours.ink : colours["on-cell"];
      context.fillText(letter, x + side / 2, y + side / 2 + 0.5);
    }
    if (cell.exchange && !cell.admin && model.now - cell.exchange > SLOW) {
      const corner = Math.max(3, side * 0.4);
      context.fillStyle = colours.ink;
      context.beginPath();
      context.moveTo(x + side - corner, y);
      context.lineTo(x + side, y);
      context.lineTo(x + side, y + corner);
      context.fill();
    }
    const lit = 1 - (model.now - cell.flash) / model.litFor;
    if (lit > 0 && key !== model.you) {
      context.globalAlpha = 0.35 * lit;
      context.fillStyle = colours.flash;
      context.fillRect(x, y, side, side);
      context.globalAlpha = 1;
    }
    if (cell.admin) {
      context.strokeStyle = key === model.you ? colours.accent : colours.soft;
      context.lineWidth = 1;
      context.strokeRect(x + .5, y + .5, side - 1, side - 1);
      if (side >= 8) context.strokeRect(x + 2.5, y + 2.5, side - 5, side - 5);
    }
    drawChoice(context, key, x, y, side);
  });
}

function drawChoice(context, key, x, y, side) {
  if (key !== chosen) return;
  context.strokeStyle = colours.accent;
  context.lineWidth = 3;
  context.strokeRect(x - .5, y - .5, side + 1, side + 1);
}

function drawLegend() {
  const counts = new Array(STATES.length).fill(0);
  for (const cell of model.cells) counts[stateOf(cell)] += 1;
  const legend = $("legend");
  if (!legend.children.length) {
    for (const number of [IDLE, 2, 3, 4, 5, 6]) {
      const { letter, colour, name } = STATES[number];
      const item = element("li", "", legend);
      const sample = element("i", letter, item);
      sample.style.background = `var(--${colour})`;
      item.append(`${name} `);
      element("b", "0", item).dataset.state = number;
    }
  }
  for (const number of legend.querySelectorAll("b")) {
    const words = count(counts[number.dataset.state]);
    if (number.textContent !== words) number.textContent = words;
  }
}

// ---- The pulse.

const minute = []; // shares of working time, twice a second
let sampled = null;

function drawPulse() {
  const pulse = model.pulse;
  const before = model.history[0];
  text("open", count(model.open));
  const seconds = (pulse.now_us - before.now_us) / 1e6;
  if (seconds > 0.3) {
    const rate = (name) => (pulse[name] - before[name]) / seconds;
    const polls = rate("iterations");
    text("requests", count(rate("requests")));
    text("polls", count(polls));
    text("events", polls ? (rate("events") / polls).toFixed(1) : "0");
    text("working", percent(rate("working_us") / 1e6));
    text("view", percent(rate("view_us") / 1e6));
  } else if (seconds === 0) {
    for (const name of ["requests", "polls", "events", "working", "view"]) text(name, "–");
  }
  text("longest", `Longest iteration ${pulse.since || "of the last seconds"} in which a client did something: ${iterationText(pulse.longest)}`);
  text("latest", `The latest such iteration: ${iterationText(pulse.latest)}`);
  if (!sampled || pulse.now_us - sampled.now_us > 5e5) {
    if (sampled) {
      const worked = pulse.working_us - sampled.working_us, slept = pulse.asleep_us - sampled.asleep_us;
      minute.push(worked / Math.max(1, worked + slept));
      if (minute.length > 120) minute.shift();
      drawMinute();
    }
    sampled = pulse;
  }
}

function drawMinute() {
  const canvas = $("time");
  const context = prepare(canvas);
  const [width, height] = [canvas.clientWidth, canvas.clientHeight];
  const step = width / 120;
  minute.forEach((share, index) => {
    const x = width - (minute.length - index) * step;
    context.fillStyle = colours.asleep;
    context.fillRect(x, 0, step, height);
    context.fillStyle = colours.body;
    context.fillRect(x, height * (1 - share), step, height * share);
  });
  context.strokeStyle = colours.line;
  context.strokeRect(.5, .5, width - 1, height - 1);
}

// ---- Slow requests.

const known = new Map(); // id and state of a connection -> its text
const nameOf = (cell) => `${cell.id} ${cell.state}`;
let slowKeys = [];

function drawSlow() {
  const slow = [];
  model.cells.forEach((cell, key) => {
    if (cell.exchange && !cell.admin && model.now - cell.exchange > SLOW) slow.push(key);
  });
  slow.sort((a, b) => model.cells[a].exchange - model.cells[b].exchange);
  slowKeys = slow;
  $("none-slow").hidden = slow.length > 0;
  const list = $("slow");
  const shown = slow.slice(0, 6);
  while (list.children.length > shown.length) list.lastChild.remove();
  while (list.children.length < shown.length) {
    const button = element("button", "", element("li", "", list));
    button.type = "button";
    element("span", "", button);
    button.append(document.createElement("br"));
    element("small", "", button);
    button.addEventListener("click", () => choose(Number(button.dataset.key)));
  }
  shown.forEach((key, index) => {
    const cell = model.cells[key];
    const button = list.children[index].firstChild;
    button.dataset.key = key;
    const [first, , second] = button.childNodes;
    const words = `${time(model.now - cell.exchange)}: ${describe(cell)}`;
    if (first.textContent !== words) first.textContent = words;
    const about = known.get(nameOf(cell)) || `slot ${key}, connection ${cell.id}`;
    if (second.textContent !== about) second.textContent = about;
  });
  if (slow.length > shown.length) text("none-slow", `and ${count(slow.length - shown.length)} more`);
  else text("none-slow", "No request is older than a second.");
  $("none-slow").hidden = slow.length > 0 && slow.length <= shown.length;
}

async function nameSlow() {
  for (const key of slowKeys.slice(0, 6)) {
    const cell = model.cells[key];
    // What is received of a head may grow.
    if (!cell || (known.has(nameOf(cell)) && cell.state !== 2)) continue;
    const life = await source.life(key);
    if (!life || life.connection % 2 ** 32 !== cell.id) continue;
    if (known.size > 1000) known.clear();
    const head = cell.state === 2 ? life.partial : life.request;
    const [line] = head ? head.bytes.split("\r\n") : [""];
    const request = cell.state === 2 ? `so far ${line}` : line;
    known.set(nameOf(cell), `${life.peer || "unix socket"}, slot ${key}, connection ${cell.id}: ${request}`);
  }
}

// ---- The life line.

function choose(key, isQuiet) {
  if (key < 0 || key >= model.cells.length) return;
  chosen = key;
  const cell = model.cells[key];
  const name = cell.state ? `connection ${cell.id}${key === model.you ? " (your own)" : ""}, ${describe(cell)}` : "free";
  text("chosen", `Slot ${key}: ${name}.`);
  if (!isQuiet) showLife();
}

function visible(bytes) {
  const node = document.createDocumentFragment();
  for (const part of bytes.split(/(\r\n|[\x00-\x1f\x7f-\xff])/)) {
    if (part === "\r\n") {
      for (const name of ["CR", "LF"]) element("i", name, node).className = "end";
      node.append("\n");
    }
    else if (/^[\x00-\x1f\x7f-\xff]$/.test(part)) {
      const code = part.charCodeAt(0).toString(16).padStart(2, "0");
      element("i", `\\x${code}`, node);
    } else node.append(part);
  }
  return node;
}

let lifeShown = "";
async function showLife() {
  if (chosen < 0) return;
  const key = chosen;
  const life = await source.life(key);
  if (key !== chosen) return;
  $("none").hidden = Boolean(life);
  $("detail").hidden = !life;
  if (!life) { text("none", `Slot ${key} has had no connection yet.`); text("life", "Life line"); return; }
  text("life", `Life line of connection ${life.connection}${key === model.you ? ", your own" : ""}`);
  const now = life.now_us;
  const ago = (us) => `${time((now - us) / 1000)} ago`;
  const sending = life.response_length ? `${count(life.response_sent)} of ${count(life.response_length)} bytes` : null;
  const cell = model.cells[key];
  const rows = [
    ["slot", key],
    ["peer", `${life.peer || "unix socket"}, listener ${life.listener}${life.public ? "" : " (this view)"}`],
    ["state", life.open ? `${life.state}, for ${time((now - life.since_us) / 1000)}` : "Closed"],
    ["waits", !life.open ? null : WAITS[["turn", "read", "write", "handler"].indexOf(life.wait)]],
    ["expires", !life.open || life.deadline_us === undefined ? null : `in ${time(Math.max(0, (life.deadline_us - now) / 1000))}`],
    ["request", life.exchange_us === undefined ? null : `for ${time((now - life.exchange_us) / 1000)}`],
    ["response", sending],
    ["accepted", ago(life.accepted_us)],
    ["requests", count(life.requests)],
    ["bytes", `${count(life.received)} received, ${count(life.sent)} sent`],
  ].filter(([, value]) => value !== null);
  const facts = $("facts");
  facts.replaceChildren();
  for (const [name, value] of rows) { element("dt", name, facts); element("dd", value, facts); }
  drawLine(life);
  const heads = [life.partial, life.request, life.response];
  const shown = [source.name, life.connection, life.requests, ...heads.map((head) => head?.length)].join(" ");
  if (shown !== lifeShown) {
    lifeShown = shown;
    const parent = $("heads");
    parent.replaceChildren();
    if (!life.request) element("p", "The heads of its latest request are not kept: no page was open.", parent).className = "note";
    ["Request so far: ", "Latest request: head, ", "Latest response: head, "].forEach((words, index) => {
      const head = heads[index];
      if (!head || !head.length) return;
      if (source.name !== "live") {
        element("h3", "Latest request: its first line", parent);
        element("pre", head.bytes, parent).tabIndex = 0;
        return;
      }
      const cut = head.length > head.bytes.length ? `the first ${head.bytes.length} of ` : "";
      element("h3", `${words}${cut}${head.length} byte${head.length === 1 ? "" : "s"}`, parent);
      const box = element("pre", "", parent);
      box.tabIndex = 0;
      box.append(visible(head.bytes));
    });
  }
  $("changes").hidden = !life.transitions.length;
  const table = $("transitions");
  table.replaceChildren();
  for (const one of life.transitions.slice().reverse()) {
    const row = element("tr", "", table);
    element("td", ago(one.us), row);
    element("td", `${one.from} → ${one.to}${one.reason ? ` (${one.reason})` : ""}`, row);
    element("td", one.cause, row);
    element("td", `iteration ${one.iteration}`, row);
  }
  if (cell) choose(key, true);
}

// States over time, from the oldest transition that is known until now. Each has a width of its own
// at least, for most last microseconds.
function drawLine(life) {
  const canvas = $("line");
  const context = prepare(canvas);
  const [width, height] = [canvas.clientWidth, canvas.clientHeight];
  const parts = [];
  let from = life.transitions.length < 32 ? life.accepted_us : life.transitions[0].us;
  for (const one of life.transitions) { parts.push([one.from, one.us - from]); from = one.us; }
  if (life.open) parts.push([life.state, life.now_us - from]);
  const weights = parts.map(([, us]) => 1 + Math.log10(1 + us / 1000) * 3);
  const all = weights.reduce((sum, one) => sum + one, 0);
  let x = 0;
  context.font = "700 12px system-ui, sans-serif";
  context.textAlign = "center";
  context.textBaseline = "middle";
  parts.forEach(([name], index) => {
    const part = width * weights[index] / all;
    const state = STATES.find((one) => one.name === name);
    context.fillStyle = colours[state.colour];
    context.fillRect(x, 0, Math.max(1, part - 1), height);
    if (part > 12) { context.fillStyle = colours["on-cell"]; context.fillText(state.letter, x + part / 2, height / 2 + 1); }
    x += part;
  });
}

// ---- Mouse and keyboard.

$("grid").addEventListener("click", (event) => {
  const { size, columns } = layout;
  const column = Math.floor((event.offsetX - 1) / size);
  if (column < columns) choose(Math.floor((event.offsetY - 1) / size) * columns + column);
});
function chooseNextSlow() {
  if (slowKeys.length) choose(slowKeys[(slowKeys.indexOf(chosen) + 1) % slowKeys.length]);
}
$("grid").addEventListener("keydown", (event) => {
  const last = model.cells.length - 1;
  const to = {
    ArrowLeft: chosen - 1, ArrowRight: chosen + 1, ArrowUp: chosen - layout.columns,
    ArrowDown: chosen + layout.columns, Home: 0, End: last,
  }[event.key];
  if (to === undefined) return;
  event.preventDefault();
  choose(Math.max(0, Math.min(last, to)));
});
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select")) return;
  if (event.key === "n") chooseNextSlow();
  if (source.keys[event.key]) source.keys[event.key]();
  if (event.key === "y" && model.you >= 0) choose(model.you);
});

// ---- Records of a trace (docs/trace.md), in words.

function resultText(one) {
  const took = one.took_us === undefined ? "" : ` (${Math.round(one.took_us)} µs)`;
  if (one.error === "would block") return (one.call === "wait" ? "timed out" : one.error) + took;
  if (one.error) return `failed: ${one.error}${took}`;
  if (one.called === false) return `not called${one.why ? `: ${one.why}` : ""}${took}`;
  if (one.status) return `${one.status}${took}`;
  if (one.bytes !== undefined) return `${one.bytes} byte${one.bytes === 1 ? "" : "s"}${took}`;
  return `done${took}`;
}
function recordText(one) {
  switch (one.call) {
    case "poll": {
      const wait = one.timeout_us === 0 ? " (did not wait)" : "";
      return `${one.events} event${one.events === 1 ? "" : "s"} after ${time(one.waited_us / 1000)}${wait}`;
    }
    case "end": return `worked ${time(one.worked_us / 1000)}`;
    case "accept": return `from ${one.peer || "a unix socket"}`;
    case "event": return one.flags.join(", ");
    case "register": return "";
    case "request": return one.line === undefined ? "refused" : one.line;
    case "->": return `${one.to} (${one.cause})`;
    case "close": return `${one.reason}, ${one.body_bytes} body bytes`;
    case "dropped": return `${one.count} records are missing here`;
    default: return resultText(one);
  }
}

// Shows records, each with the slot of its connection; the row `current` is marked. `name` changes with the rows.
let recordsShown = "";
function showRecords(title, note, rows, current, name) {
  $("records-section").hidden = false;
  text("records-title", title);
  text("records-note", note);
  if (name === recordsShown) return;
  recordsShown = name;
  const table = $("records");
  table.replaceChildren();
  rows.forEach(({ record, key }, index) => {
    const row = element("tr", "", table);
    element("td", `${(record.us / 1000).toFixed(3)} ms`, row);
    element("td", record.connection === undefined ? "loop" : record.connection, row);
    element("td", record.call, row);
    element("td", recordText(record), row);
    if (index === current) row.setAttribute("aria-current", "true");
    if (key !== undefined) row.dataset.key = key;
  });
  const row = table.rows[current];
  if (row) $("records-scroll").scrollTop = row.offsetTop - $("records-scroll").clientHeight / 2;
}
function hideRecords() {
  $("records-section").hidden = true;
  recordsShown = "";
}
$("records").addEventListener("click", (event) => {
  const row = event.target.closest("tr[data-key]");
  if (row) choose(Number(row.dataset.key));
});

function complain(words) {
  $("message").hidden = !words;
  text("message", words || "");
}

// ---- The loop of the page.

let frames = 0;
function draw() {
  drawGrid();
  drawLegend();
  drawPulse();
  drawSlow();
  frames += 1;
  Object.assign($("main").dataset, { frames, open: model.open, slow: slowKeys.length, you: model.you, chosen });
}

function health(words, kind) {
  text("health", words);
  $("health").className = kind || "";
}

// Shows another source, from its beginning.
function show(next) {
  source = next;
  Object.assign(model, { cells: [], you: -1, pulse: null, history: [], litFor: 300 });
  Object.assign($("main").dataset, { source: next.name });
  chosen = -1;
  minute.length = 0;
  sampled = null;
  known.clear();
  hideRecords();
  $("detail").hidden = true;
  $("none").hidden = false;
  text("none", "Choose a cell.");
  text("life", "Life line");
  text("chosen", "No connection is chosen.");
  $("live-tools").hidden = next.name !== "live";
  $("replay-tools").hidden = next.name === "live";
  for (const node of [$("minute"), $("view").parentElement]) node.hidden = next.name !== "live";
}

let rate = [];
async function frame() {
  const began = performance.now();
  let pause = FRAME;
  // A page that is not visible costs the server nothing.
  if (!document.hidden) {
    const from = source;
    try {
      const [words, kind] = await from.frame();
      if (from === source) {
        draw();
        rate.push(began);
        while (rate[0] < began - 2000) rate.shift();
        health(`${words}, ${Math.round(rate.length / 2)} frames a second`, kind);
      }
      pause = FRAME - (performance.now() - began);
    } catch (error) {
      health(`no answer from the server (${error.message})`, "bad");
      pause = 1000;
    }
  }
  setTimeout(frame, Math.max(0, pause));
}

async function slowly() {
  try { await nameSlow(); await showLife(); } catch { /* frame() reports it. */ }
  setTimeout(slowly, 500);
}

window.addEventListener("DOMContentLoaded", () => {
  readColours();
  show(live);
  frame();
  slowly();
});
