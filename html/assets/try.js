// Runs every check that try.html lists and shows the results. A row without a check fails, and so
// does a check that takes too long. For scripts that read the page: at the end, <html> has
// data-done="true" and data-failed="N", and #summary ends in "N passed, M failed".

import { checks } from "./checks.js";

const TIMEOUT = 10_000; // milliseconds for one check

const root = document.documentElement;
const rows = Array.from(document.querySelectorAll("#checks tr"));
const summary = document.getElementById("summary");

function within(milliseconds, promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error("no response in time")), milliseconds);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

async function outcome(check) {
  try {
    if (!check) throw new Error("there is no such check");
    return { passed: true, saw: await within(TIMEOUT, check()) };
  } catch (error) {
    return { passed: false, saw: error.message };
  }
}

function write(row, result, name, saw) {
  const [expected, cell] = row.querySelectorAll("td");
  cell.textContent = result;
  cell.className = name;
  expected.querySelector("small")?.remove();
  if (saw) {
    const note = document.createElement("small");
    note.textContent = saw;
    expected.append(note);
  }
}

async function run() {
  delete root.dataset.done;
  delete root.dataset.failed;
  summary.textContent = "Running";
  for (const row of rows) write(row, "waiting", "", "");

  let passed = 0;
  for (const row of rows) {
    const result = await outcome(checks[row.id]);
    passed += result.passed ? 1 : 0;
    write(row, result.passed ? "pass" : "fail", result.passed ? "pass" : "fail", result.saw);
  }

  const failed = rows.length - passed;
  summary.textContent = `Done: ${passed} passed, ${failed} failed`;
  root.dataset.failed = String(failed);
  root.dataset.done = "true";
}

const again = document.createElement("button");
again.type = "button";
again.textContent = "Run the checks again";
again.addEventListener("click", async () => {
  again.disabled = true;
  await run();
  again.disabled = false;
});
document.querySelector(".checks").after(again);

await run();
