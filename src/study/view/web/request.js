"use strict";
const NUMBER = document.querySelector("main").dataset.exchange;
const $ = (id) => document.getElementById(id);

// What a line of a head is for, by the name of its field.
const FIELDS = {
  "host": "Which site is meant: one address may serve several. HTTP/1.1 requires it (RFC 9112 3.2)",
  "connection": "Whether the connection stays open for another request",
  "cache-control": "Of a request: whether a cache may answer. Of a response: whether a cache may keep it",
  "pragma": "The same as Cache-Control: no-cache, for caches older than HTTP/1.1",
  "sec-ch-ua": "The browser and its version, as a list. One entry is made up, so that servers cannot rely on the list",
  "sec-ch-ua-mobile": "Whether it is a telephone: ?1 is yes, ?0 is no",
  "sec-ch-ua-platform": "The operating system",
  "upgrade-insecure-requests": "The browser would rather use HTTPS",
  "user-agent": "The browser. Each one names those that it is compatible with, so all begin with Mozilla/5.0",
  "accept": "The media types that it can show; q is how much it likes each, from 0 to 1",
  "accept-encoding": "The compressions that it can undo",
  "accept-language": "The languages that its user reads",
  "sec-fetch-site": "The cause of this request: none is the user; same-origin is a page from here, same-site one from another port, cross-site any other",
  "sec-fetch-mode": "What it is for: navigate is a page of its own",
  "sec-fetch-user": "?1: a click or a key caused it",
  "sec-fetch-dest": "What becomes of the response: document is a page",
  "referer": "The page with the link (misspelled since 1996)",
  "cookie": "What earlier responses of this host, on any port, asked the browser to send back",
  "if-none-match": "The ETag of the copy in the browser's cache: a 304 says that it is current",
  "if-modified-since": "The date of the copy in the browser's cache",
  "priority": "How urgent the response is (RFC 9218)",
  "dnt": "The user does not want to be tracked",
  "sec-gpc": "The user does not want their data to be sold",
  "date": "When the response was made",
  "server": "The program that answers",
  "content-type": "What the body is, and the encoding of its text",
  "content-length": "How many bytes of body follow the empty line. So the browser knows where the response ends",
  "x-content-type-options": "The browser must believe Content-Type",
  "content-security-policy": "What the page may load and run",
  "cross-origin-resource-policy": "Pages of other sites may not use this response",
  "cross-origin-opener-policy": "The page that has opened this one may not touch it",
};

function about(line, index, isRequest) {
  if (line === "") return "The empty line: the head ends here";
  if (index === 0 && isRequest) return "The request line: method, target, version";
  if (index === 0) return "The status line: version, status, reason";
  return FIELDS[line.split(":")[0].toLowerCase()] || "";
}

// A head line by line, with its bytes visible. Each character of `bytes` stands for one byte.
function showHead(list, { bytes, length }, isRequest) {
  list.replaceChildren();
  bytes.split("\r\n").slice(0, -1).forEach((line, index) => {
    const item = element("li", "", list);
    const code = element("code", "", item);
    for (const part of line.split(/([\x00-\x1f\x7f-\xff])/)) {
      if (/^[\x00-\x1f\x7f-\xff]$/.test(part)) {
        element("i", `\\x${part.charCodeAt(0).toString(16).padStart(2, "0")}`, code);
      } else code.append(part);
    }
    for (const name of ["CR", "LF"]) element("span", name, code).className = "end";
    element("span", about(line, index, isRequest), item);
  });
  if (bytes.length < length) element("li", `and ${length - bytes.length} bytes more, which were not kept`, list);
}

function element(name, words, parent) {
  const node = document.createElement(name);
  node.textContent = words;
  parent.append(node);
  return node;
}

function showConnections({ connection, connections, more, now_us }) {
  const list = $("list");
  list.replaceChildren();
  for (const one of connections) {
    const isSilent = one.received === 0;
    const row = element("tr", "", list);
    row.classList.toggle("silent", isSilent);
    const words = isSilent ? "sent nothing"
      : one.connection === connection ? "brought this page"
      : `${one.requests} request${one.requests === 1 ? "" : "s"}, ${one.state}`;
    const port = one.peer ? one.peer.split(":").pop() : "–";
    const age = `${((now_us - one.accepted_us) / 1e6).toFixed(0)} s`;
    const of = one.public ? "the site" : "this view";
    for (const value of [one.connection, words, `${one.received} bytes`, age, of, port]) element("td", value, row);
  }
  $("more").textContent = more ? `and ${more} more from this address, older than these` : "";
}

async function show() {
  let pause = 1000;
  try {
    const answer = await fetch(`exchange?number=${NUMBER}`);
    if (!answer.ok) throw new Error(await answer.text());
    const data = await answer.json();
    if (document.querySelector("main").hidden) {
      showHead($("request"), data.request, true);
      showHead($("response"), data.response, false);
      $("sent-size").textContent = `${data.request.length} bytes on connection ${data.connection}; no body`;
      const body = data.response.bytes.match(/content-length: (\d+)/i);
      $("came-size").textContent = `${data.response.length} bytes of head, then ${body ? body[1] : "?"} bytes of body: this page`;
      document.querySelector("main").hidden = false;
      if (data.connections.every((one) => one.received > 0)) {
        const link = document.createElement("link");
        Object.assign(link, { rel: "preconnect", href: location.origin, crossOrigin: "anonymous" });
        document.head.append(link);
      }
      pause = 200;
    }
    showConnections(data);
    $("problem").textContent = "";
  } catch (error) {
    $("problem").textContent = `No answer from the server: ${error.message}`;
  }
  setTimeout(show, document.hidden ? 5000 : pause);
}
show();
