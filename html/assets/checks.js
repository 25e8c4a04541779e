// The checks of try.html, one function each. A check returns what it saw, or throws.

const JSON_FILE = "/assets/data.json";
const PNG_FILE = "/assets/oneloop.png";
const MISSING = "/assets/there-is-no-such-file.txt";

function must(condition, complaint) {
  if (!condition) throw new Error(complaint);
}

// Always from the server: a response from the browser's cache would test the browser.
function ask(path, options = {}) {
  return fetch(path, { cache: "no-store", ...options });
}

async function bytes(response) {
  return new Uint8Array(await response.arrayBuffer());
}

function same(a, b) {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}

// One character a byte, so that byte strings can be searched.
function latin(array) {
  return Array.from(array, (byte) => String.fromCharCode(byte)).join("");
}

async function whole(path) {
  const response = await ask(path);
  must(response.status === 200, `${path}: ${response.status}, not 200`);
  return bytes(response);
}

async function image(id) {
  const element = document.getElementById(id);
  await element.decode();
  must(element.naturalWidth > 0, "it has no width");
  return element;
}

export const checks = {
  async css() {
    const mark = getComputedStyle(document.documentElement).getPropertyValue("--oneloop-style");
    must(mark.trim() === "applied", "the marker property is missing");
    return "its marker property was read";
  },

  async module() {
    must(new URL(import.meta.url).pathname === "/assets/checks.js", `ran as ${import.meta.url}`);
    return "try.js imported checks.js";
  },

  async svg() {
    const { naturalWidth, naturalHeight } = await image("logo");
    return `${naturalWidth} by ${naturalHeight}`;
  },

  async png() {
    const { naturalWidth, naturalHeight } = await image("photo");
    must(naturalWidth === 96 && naturalHeight === 96, `${naturalWidth} by ${naturalHeight}`);
    return `${naturalWidth} by ${naturalHeight}`;
  },

  async font() {
    const faces = await document.fonts.load('1rem "oneloop"', "oneloop");
    must(faces.length === 1, `${faces.length} faces`);
    must(faces[0].status === "loaded", faces[0].status);
    return faces[0].status;
  },

  async json() {
    const response = await ask(JSON_FILE);
    must(response.status === 200, `status ${response.status}`);
    const type = response.headers.get("content-type") ?? "no type";
    must(/^application\/json\b/.test(type), type);
    const data = await response.json();
    must(data.loop.join() === "poll,mark,accept,run,reap", "wrong phases");
    must(data.states.length === 6, `${data.states.length} states`);
    return `${response.status}, ${type}`;
  },

  async head() {
    const response = await ask(PNG_FILE, { method: "HEAD" });
    must(response.status === 200, `status ${response.status}`);
    const body = await bytes(response);
    must(body.length === 0, `a body of ${body.length} bytes`);
    const length = response.headers.get("content-length");
    const file = await whole(PNG_FILE);
    must(Number(length) === file.length, `length ${length}, but the file has ${file.length}`);
    must(latin(file.subarray(1, 4)) === "PNG", "the next response is damaged");
    return `${response.status}, length ${length}, no body`;
  },

  async range() {
    const file = await whole(PNG_FILE);
    const response = await ask(PNG_FILE, { headers: { Range: "bytes=100-115" } });
    must(response.status === 206, `status ${response.status}`);
    const field = response.headers.get("content-range");
    must(field === `bytes 100-115/${file.length}`, `Content-Range: ${field}`);
    must(same(await bytes(response), file.subarray(100, 116)), "wrong bytes");
    return `${response.status}, ${field}`;
  },

  async ranges() {
    const file = await whole(PNG_FILE);
    const response = await ask(PNG_FILE, { headers: { Range: "bytes=0-15,-12" } });
    must(response.status === 206, `status ${response.status}`);
    const type = response.headers.get("content-type") ?? "no type";
    must(type.startsWith("multipart/byteranges"), type);
    const body = latin(await bytes(response));
    const first = body.indexOf(latin(file.subarray(0, 16)));
    const last = body.indexOf(latin(file.subarray(-12)));
    must(first >= 0 && last > first, "a range is missing");
    must(body.includes(`bytes 0-15/${file.length}`), "the first Content-Range is missing");
    return `${response.status}, multipart/byteranges`;
  },

  async condition() {
    const first = await ask(JSON_FILE);
    const tag = first.headers.get("etag");
    must(tag, "no ETag");
    const fresh = await ask(JSON_FILE, { headers: { "If-None-Match": tag } });
    must(fresh.status === 304, `status ${fresh.status} for ${tag}`);
    const stale = await ask(JSON_FILE, { headers: { "If-None-Match": '"another"' } });
    must(stale.status === 200, `status ${stale.status} for a stale ETag`);
    must(same(await bytes(stale), await bytes(first)), "a different body");
    return `${fresh.status}, then ${stale.status}`;
  },

  async missing() {
    const response = await ask(MISSING);
    must(response.status === 404, `status ${response.status}`);
    const text = await response.text();
    must(text.length > 0, "an empty body");
    return `${response.status}, ${text.length} characters`;
  },

  async options() {
    const response = await ask(JSON_FILE, { method: "OPTIONS" });
    must(response.ok, `status ${response.status}`);
    const allow = response.headers.get("allow") ?? "";
    const methods = allow.split(",").map((method) => method.trim());
    must(methods.includes("GET") && methods.includes("HEAD"), `Allow: ${allow}`);
    return `${response.status}, Allow: ${allow}`;
  },

  // A browser opens only a few connections to a server, so most of these requests wait for a free
  // one. This tests keep-alive as well.
  async parallel() {
    const files = ["data.json", "logo.svg", "oneloop.png", "oneloop.woff2", "style.css", "try.js"];
    const paths = files.map((file) => `/assets/${file}`);
    const known = new Map();
    for (const path of paths) known.set(path, await whole(path));
    const requested = Array.from({ length: 24 }, (_, i) => paths[i % paths.length]);
    const responses = await Promise.all(requested.map(whole));
    responses.forEach((body, i) => must(same(body, known.get(requested[i])), `${requested[i]} differs`));
    return `${responses.length} responses, all with the same bytes as before`;
  },
};
