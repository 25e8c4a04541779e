"use strict";
// A recorded trace in the format json (docs/trace.md), played in the same page.

const MOST_BYTES = 32 * 2 ** 20; // of a trace that are read
const LONGEST_GAP = 1; // s on the page between two records
const CALLS = new Set(["poll", "end", "accept", "event", "register", "wait", "request", "handshake", "recv", "respond",
  "send", "sendfile", "produce", "shutdown", "discard", "->", "close", "dropped"]);
const STATE_NUMBERS = new Map(STATES.map(({ name }, number) => [name, number]));

// The records of a trace. Throws what is wrong with it, and in which line.
function readTrace(textOfTrace, isCut) {
  const lines = textOfTrace.split("\n");
  const last = lines.pop(); // What follows the last line end: nothing, or a line that is not whole.
  const records = lines.map((line, index) => {
    const wrong = (why) => new Error(`line ${index + 1} is no record of --trace-format json: ${why}`);
    let record;
    try { record = JSON.parse(line); } catch (error) { throw wrong(error.message); }
    if (record === null || typeof record !== "object") throw wrong("it is no object");
    if (typeof record.us !== "number") throw wrong("it has no time (\"us\")");
    if (!CALLS.has(record.call)) throw wrong(`unknown call ${JSON.stringify(record.call)}`);
    const needs = { "->": ["from", "to"], poll: ["events", "waited_us"], end: ["worked_us"], event: ["flags"] };
    for (const name of needs[record.call] || []) {
      if (record[name] === undefined) throw wrong(`${record.call} without "${name}"`);
    }
    for (const name of ["from", "to", "state"]) {
      if (record[name] !== undefined && !STATE_NUMBERS.has(record[name])) throw wrong(`unknown state ${JSON.stringify(record[name])}`);
    }
    const isOfLoop = ["poll", "end", "dropped"].includes(record.call);
    if (!isOfLoop && typeof record.connection !== "number") throw wrong(`${record.call} without "connection"`);
    return record;
  });
  if (!records.length) throw new Error("it has no record");
  const notes = [];
  if (isCut) notes.push(`only its first ${MOST_BYTES / 2 ** 20} MiB are shown`);
  else if (last.trim()) notes.push("its last line is not whole and is left out");
  return { records, notes };
}

// The state of all connections after the first `index` records.
class World {
  constructor() {
    this.index = 0;
    this.cells = [];
    this.free = [];
    this.keys = new Map();
    this.pulse = {
      iterations: 0, events: 0, asleep_us: 0, working_us: 0, view_us: 0, accepts: 0, closes: 0, requests: 0, received: 0,
      sent: 0, since: "so far", latest: World.iteration(0), longest: World.iteration(0),
    };
    this.current = World.iteration(0);
  }

  static iteration(number, events = 0) {
    return { number, events, worked_us: 0, accepts: 0, steps: 0, closes: 0 };
  }

  // Cells and iterations are replaced, not changed, once a copy may have them.
  copy() {
    const copy = Object.assign(new World(), this);
    copy.cells = this.cells.map((cell) => ({ ...cell }));
    copy.free = [...this.free];
    copy.keys = new Map(this.keys);
    copy.pulse = { ...this.pulse };
    copy.current = { ...this.current };
    return copy;
  }

  // The slot of a connection. Slots are reused as in the slab of the scheduler: the one that was freed last first.
  keyOf(record) {
    const known = this.keys.get(record.connection);
    if (known !== undefined) return known;
    const key = this.free.length ? this.free.pop() : this.cells.length;
    this.cells[key] = {
      id: record.connection, state: STATE_NUMBERS.get(record.state) || 2, wait: 0, admin: false, exchange: 0,
      progress: 255, accepted: record.us / 1000, since: record.us / 1000, peer: record.peer, listener: record.listener,
      requests: 0, received: 0, sent: 0, sentNow: 0, line: "", transitions: [],
    };
    this.keys.set(record.connection, key);
    return key;
  }

  apply(record) {
    this.index += 1;
    const { pulse } = this;
    pulse.now_us = record.us;
    if (record.call === "poll") {
      pulse.iterations += 1;
      pulse.events += record.events;
      pulse.asleep_us += record.waited_us;
      this.current = World.iteration(record.iteration, record.events);
    } else if (record.call === "end") {
      this.current.worked_us = record.worked_us;
      pulse.working_us += record.worked_us;
      if (this.current.steps + this.current.accepts + this.current.closes > 0) {
        pulse.latest = this.current;
        if (record.worked_us > pulse.longest.worked_us) pulse.longest = this.current;
      }
    } else if (record.call !== "dropped") {
      this.applyToCell(record, this.keyOf(record));
    }
  }

  applyToCell(record, key) {
    const cell = this.cells[key], { pulse, current } = this, now = record.us / 1000;
    cell.flash = now;
    switch (record.call) {
      case "accept": pulse.accepts += 1; current.accepts += 1; break;
      case "event": cell.wait = 0; break;
      case "register": case "wait": break;
      case "request": cell.requests += 1; pulse.requests += 1; cell.line = record.line || ""; cell.sentNow = 0; break;
      case "->":
        if (["WritingHeader", "WritingBody"].includes(record.from) && ["Reading", "Closing"].includes(record.to)) cell.exchange = 0;
        cell.state = STATE_NUMBERS.get(record.to);
        cell.since = now;
        cell.transitions = [...cell.transitions, record].slice(-32);
        break;
      case "close":
        Object.assign(cell, { state: 0, exchange: 0, reason: record.reason });
        pulse.closes += 1;
        current.closes += 1;
        this.keys.delete(record.connection);
        this.free.push(key);
        break;
      default: this.applyStep(record, cell);
    }
  }

  applyStep(record, cell) {
    const { pulse, current } = this, isReceiving = ["handshake", "recv", "discard"].includes(record.call);
    current.steps += 1;
    if (!current.slowest || record.took_us > current.slowest.us) {
      current.slowest = { connection: record.connection, step: record.call, us: record.took_us };
    }
    if (record.error === "would block") cell.wait = isReceiving ? 1 : 2;
    else if (record.called === false) cell.wait = isReceiving ? 1 : /handler/.test(record.why) ? 3 : 0;
    const bytes = record.bytes || 0;
    if (isReceiving) { cell.received += bytes; pulse.received += bytes; }
    else { cell.sent += bytes; cell.sentNow += bytes; pulse.sent += bytes; }
    if (record.call === "recv" && bytes > 0) cell.exchange = cell.exchange || record.us / 1000;
  }
}

class Replay {
  constructor(name, { records, notes }) {
    this.name = "replay";
    this.title = [name, ...notes].join("; ");
    this.records = records;
    this.keys = { p: () => this.toggle(), s: () => this.stepTo(this.world.index + 1), b: () => this.stepTo(this.world.index - 1) };
    this.isPlaying = false;
    this.speed = 1;
    // Copies of the world, so that a step back does not begin at the first record.
    this.copies = [new World()];
    this.copyEvery = Math.max(1000, Math.ceil(records.length / 20));
    this.world = new World();
    this.clock = records[0].us; // µs of the trace
  }

  seek(index) {
    const target = Math.max(0, Math.min(this.records.length, index));
    if (target < this.world.index) {
      const copy = this.copies.findLast((one) => one.index <= target);
      this.world = copy.copy();
    }
    while (this.world.index < target) this.applyNext();
    this.clock = this.records[Math.max(0, target - 1)].us;
    model.history = [];
  }

  applyNext() {
    this.world.apply(this.records[this.world.index]);
    const { index } = this.world;
    if (index % this.copyEvery === 0 && this.copies.at(-1).index < index) this.copies.push(this.world.copy());
  }

  // A step by hand shows its connection.
  stepTo(index) {
    this.pause();
    this.seek(index);
    this.fill();
    const record = this.records[this.world.index - 1];
    const key = record && this.world.cells.findLastIndex((cell) => cell.id === record.connection);
    if (key >= 0) choose(key);
  }

  stepIteration(direction) {
    const isEnd = (index) => index <= 0 || index >= this.records.length || this.records[index].call === "poll";
    let index = this.world.index + direction;
    while (!isEnd(index)) index += direction;
    this.stepTo(index);
  }

  toggle() {
    if (this.isPlaying) return this.pause();
    if (this.world.index === this.records.length) this.seek(0);
    this.isPlaying = true;
    this.played = performance.now();
  }

  pause() { this.isPlaying = false; }

  // Plays what the time since the latest frame brings. A gap without records is shortened.
  advance() {
    const now = performance.now();
    const step = Math.min(now - this.played, 200) * 1000 * this.speed;
    this.played = now;
    this.clock += step;
    while (this.world.index < this.records.length && this.records[this.world.index].us <= this.clock) this.applyNext();
    const next = this.records[this.world.index];
    if (!next) { this.pause(); return; }
    this.clock = Math.max(this.clock, next.us - LONGEST_GAP * 1e6 * this.speed);
  }

  fill() {
    const { world } = this;
    const pulse = { ...world.pulse, now_us: this.clock };
    Object.assign(model, {
      now: this.clock / 1000, cells: world.cells, you: -1, open: world.keys.size, pulse,
      litFor: this.isPlaying ? 300 * this.speed : 0.001,
    });
    model.history.push(pulse);
    while (model.history.length > 1 && pulse.now_us - model.history[0].now_us > 1e6) model.history.shift();
  }

  async frame() {
    if (this.isPlaying) this.advance();
    this.fill();
    const { index } = this.world;
    $("scrub").max = this.records.length;
    $("scrub").value = index;
    $("play").textContent = this.isPlaying ? "Pause" : "Play";
    $("play").setAttribute("aria-pressed", String(this.isPlaying));
    const from = Math.max(0, index - 60);
    const rows = this.records.slice(from, index + 20)
      .map((record) => ({ record, key: this.world.keys.get(record.connection) }));
    const note = `Record ${index} of ${this.records.length} is marked; those below it come next. A click chooses the connection.`;
    showRecords("Records", note, rows, index - 1 - from, `${index}`);
    $("main").dataset.record = index;
    return [`replay of ${this.title}`, this.isPlaying ? "" : "held"];
  }

  async life(key) {
    const cell = this.world.cells[key];
    if (!cell) return null;
    const { line, transitions } = cell;
    return {
      key, connection: cell.id, open: cell.state !== 0, public: true, listener: cell.listener, peer: cell.peer,
      state: STATES[cell.state].name, wait: ["turn", "read", "write", "handler"][cell.wait], now_us: this.clock,
      accepted_us: cell.accepted * 1000, since_us: cell.since * 1000,
      exchange_us: cell.exchange ? cell.exchange * 1000 : undefined, requests: cell.requests, received: cell.received,
      sent: cell.sent, request: { bytes: line, length: line.length }, response: { bytes: "", length: 0 },
      transitions: transitions.map((one) => ({ ...one, reason: one.to === "Closed" ? cell.reason : undefined })),
    };
  }
}

// ---- Opening a file, and the buttons.

async function openTrace(file) {
  try {
    const isCut = file.size > MOST_BYTES;
    const words = await file.slice(0, MOST_BYTES).text();
    if (/^#  time us/.test(words)) throw new Error("it is in the format text; record it with --trace-format json");
    if (/^\[/.test(words)) throw new Error("it is in the format perfetto; record it with --trace-format json");
    const replay = new Replay(file.name, readTrace(words, isCut));
    // The page does not show the server meanwhile.
    if (source === live && model.pulse && model.pulse.pace !== "run") live.setPace("set=run");
    show(replay);
    complain("");
  } catch (error) {
    complain(`${file.name} cannot be replayed: ${error.message}`);
  }
}

// Plays what the server has kept while the page was open.
async function replayLatest() {
  try {
    const answer = await fetch("trace");
    const records = await answer.blob();
    if (!answer.ok) throw new Error(await records.text());
    if (!records.size) throw new Error("no client has done anything since this page was opened");
    await openTrace(new File([records], "the latest records"));
  } catch (error) {
    complain(error.message);
  }
}

const replaying = (action) => () => { if (source instanceof Replay) action(source); };
$("file").addEventListener("change", ({ target }) => {
  if (target.files.length) openTrace(target.files[0]);
  target.value = "";
});
document.addEventListener("dragover", (event) => event.preventDefault());
document.addEventListener("drop", (event) => {
  event.preventDefault();
  if (event.dataTransfer.files.length) openTrace(event.dataTransfer.files[0]);
});
$("latest-records").addEventListener("click", replayLatest);
$("play").addEventListener("click", replaying((replay) => replay.toggle()));
$("back").addEventListener("click", replaying((replay) => replay.stepTo(replay.world.index - 1)));
$("forward").addEventListener("click", replaying((replay) => replay.stepTo(replay.world.index + 1)));
$("back-iteration").addEventListener("click", replaying((replay) => replay.stepIteration(-1)));
$("forward-iteration").addEventListener("click", replaying((replay) => replay.stepIteration(1)));
$("speed").addEventListener("change", replaying((replay) => { replay.speed = Number($("speed").value); }));
$("scrub").addEventListener("input", replaying((replay) => { replay.pause(); replay.seek(Number($("scrub").value)); }));
$("live").addEventListener("click", () => {
  live.version = 0;
  live.shownIteration = -1;
  show(live);
});
