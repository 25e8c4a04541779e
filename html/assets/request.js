// Says what a page can know of its own request: sizes and times (Resource Timing), and not its bytes.

const [entry] = performance.getEntriesByType("navigation");
if (entry && entry.responseEnd > 0) {
  const known = document.getElementById("known");
  const ms = (time) => `${time.toFixed(1)} ms`;
  const connected = entry.connectEnd - entry.connectStart;
  const connection = connected > 0 ? `a new connection (${ms(connected)})` : "a connection that was open";
  const source = entry.transferSize > 0 ? `over ${connection}` : "from the browser’s cache";
  known.textContent = `What this page can know without the server: it came ${source}, with `
    + `${entry.nextHopProtocol || "an unknown protocol"}; its body has ${entry.encodedBodySize} bytes, and the first `
    + `byte came ${ms(entry.responseStart - entry.requestStart)} after the request.`;
  known.hidden = false;
}
