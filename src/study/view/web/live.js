"use strict";
// The running server: its snapshots, and the pace of its loop.

const live = {
  name: "live",
  version: 0,
  run: "0",
  // The number of the iteration whose records are shown.
  shownIteration: -1,

  async frame() {
    const answer = await fetch(`snapshot?since=${live.version}&run=${live.run}`);
    if (!answer.ok) throw new Error(await answer.text());
    const data = new DataView(await answer.arrayBuffer());
    if (source !== live) return ["live"];
    live.take(data);
    const { pace, steps, every_ms, latest } = model.pulse;
    await live.showIteration(pace, latest.number);
    $("hold").textContent = pace === "run" ? "Pause" : "Go on";
    $("hold").setAttribute("aria-pressed", String(pace !== "run"));
    $("slow-motion").value = pace === "slow" ? every_ms : "";
    if (pace === "hold" && steps > 0) return ["the next iteration with work is let through", "held"];
    if (pace === "hold") return ["paused: only this view is served", "held"];
    if (pace === "slow") return [`slow motion: an iteration each ${time(every_ms)}`, "held"];
    return ["live"];
  },

  // A snapshot: a length, a line of JSON, and 24 bytes for each cell that has changed.
  take(data) {
    const length = data.getUint32(0, true);
    const pulse = JSON.parse(new TextDecoder().decode(new Uint8Array(data.buffer, 4, length)));
    if (pulse.whole) { model.cells = []; model.history = []; }
    Object.assign(model, { now: pulse.now_us / 1000, pulse, open: pulse.open, you: -1 });
    while (model.cells.length < pulse.slots) model.cells.push({ state: 0 });
    for (let at = 4 + length; at < data.byteLength; at += 24) {
      model.cells[data.getUint32(at, true)] = {
        id: data.getUint32(at + 4, true),
        state: data.getUint8(at + 8),
        wait: data.getUint8(at + 9),
        admin: (data.getUint8(at + 10) & 1) > 0,
        exchange: data.getUint8(at + 10) & 2 ? Math.max(1, data.getUint32(at + 20, true)) : 0,
        progress: data.getUint8(at + 11),
        accepted: data.getUint32(at + 12, true),
        since: data.getUint32(at + 16, true),
        flash: model.now,
      };
    }
    model.cells.forEach((cell, key) => {
      if (cell.state && cell.admin && cell.id === pulse.you % 2 ** 32) model.you = key;
    });
    live.version = pulse.version;
    live.run = pulse.run;
    model.history.push(pulse);
    while (model.history.length > 1 && pulse.now_us - model.history[0].now_us > 1e6) model.history.shift();
  },

  async life(key) {
    const answer = await fetch(`connection?key=${key}`);
    return answer.ok ? answer.json() : null;
  },

  // What the latest iteration did, while the loop is held.
  async showIteration(pace, number) {
    if (pace === "run") { live.shownIteration = -1; return hideRecords(); }
    if (number === live.shownIteration) return;
    live.shownIteration = number;
    const lines = (await (await fetch("iteration")).text()).split("\n").filter(Boolean);
    const keys = new Map(model.cells.map((cell, key) => [cell.id, key]));
    const rows = lines.map((line) => JSON.parse(line))
      .map((record) => ({ record, key: keys.get(record.connection) }));
    const note = rows.length ? "The time is that of the server; a click chooses the connection."
      : "Nothing yet. A step lets one iteration through: the next in which a connection of a client runs.";
    showRecords(rows.length ? `What iteration ${number} did` : "What an iteration does", note, rows, -1, number);
  },

  // Only this page can do this: other sites may not send PUT here.
  async setPace(query) {
    const answer = await fetch(`pace?${query}`, { method: "PUT" });
    if (!answer.ok) throw new Error(await answer.text());
  },

  togglePause() { live.setPace(model.pulse?.pace === "run" ? "set=hold" : "set=run"); },
  step() { live.setPace("set=step"); },

  keys: { p: () => live.togglePause(), s: () => live.step() },
};

$("hold").addEventListener("click", live.togglePause);
$("step").addEventListener("click", live.step);
$("slow-motion").addEventListener("change", ({ target }) => {
  live.setPace(target.value ? `set=slow&ms=${target.value}` : "set=run");
});
