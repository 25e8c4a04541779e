#!/usr/bin/env python3
"""What servers do with the same bytes, as a table in Markdown.

Every server is started in its default configuration with the same site (nginx and lighttpd with
the shortest one that serves it), on loopback. A row is a question; each cell is what came. Servers
that are not installed are left out. Needs Linux and `cargo build --release`. It takes about two
minutes and a half: the last rows wait for timeouts.
"""
import argparse
import concurrent.futures
import os
import re
import shutil
import signal
import socket
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.dont_write_bytecode = True
sys.path.insert(0, str(HERE.parent / "performance"))
import servers  # noqa: E402 (the line before must come first)

LARGE = 30 * 1024 * 1024
# How long a row waits for a timeout of a server, in seconds.
TIME_LIMIT = 130


def python(lab, port, load):
    return ["python3", "-m", "http.server", "--bind", "127.0.0.1", "-d", str(lab.site), str(port)]


def busybox(lab, port, load):
    return ["busybox", "httpd", "-f", "-p", f"127.0.0.1:{port}", "-h", str(lab.site)]


SERVERS = {
    "oneloop": servers.oneloop, "nginx": servers.nginx, "caddy": servers.caddy,
    "lighttpd": servers.lighttpd, "h2o": servers.h2o, "python": python, "busybox": busybox,
}


def make_site(lab):
    site, outside = lab.site, lab.folder / "outside"
    (site / "index.html").write_text("<h1>home</h1>")
    (site / "text.txt").write_text("hello, w\u00f6rld\n")
    (site / "page.html").write_text("<p>" + "word " * 1000)
    (site / "page.html.gz").write_bytes(os.urandom(100))
    (site / "large.bin").write_bytes(b"x" * LARGE)
    (site / ".secret").write_text("secret")
    (site / "empty").mkdir()
    (site / "sub").mkdir()
    (site / "sub" / "index.html").write_text("sub")
    outside.write_text("outside")
    (site / "link").symlink_to(outside)


class Client:
    """A connection, and what came on it."""

    def __init__(self, server):
        self.link = socket.create_connection(("127.0.0.1", server.port), 10)
        self.came = b""

    def send(self, text):
        try:
            self.link.sendall(text.encode("latin-1"))
        except OSError:
            pass

    def receive(self, seconds):
        """Until nothing has come for so long. Returns whether the server has closed it."""
        self.link.settimeout(seconds)
        try:
            while block := self.link.recv(1 << 16):
                self.came += block
            return True
        except TimeoutError:
            return False
        except OSError:
            return True


def exchange(server, *parts, seconds=0.4):
    """Sends the parts, and returns what came, and whether the server has closed the connection."""
    client = Client(server)
    for part in parts:
        client.send(part)
    closed = client.receive(seconds)
    client.link.close()
    return client.came.decode("latin-1"), closed


def request(path="/text.txt", *fields, method="GET", version="1.1", host="Host: localhost"):
    fields = [field for field in [host, *fields] if field]
    return "\r\n".join([f"{method} {path} HTTP/{version}", *fields, "", ""])


def statuses(text):
    return re.findall(r"HTTP/1\.[01] (\d{3})", text)


def status(server, *parts):
    text, _ = exchange(server, *parts)
    return ", ".join(statuses(text)) or "nothing"


def field(text, name):
    found = re.search(rf"(?im)^{name}: *(.*?)\r?$", text)
    return found[1] if found else None


def allow(server):
    text, _ = exchange(server, request(method="OPTIONS"))
    return f"{statuses(text)[0]}, {'Allow' if field(text, 'Allow') else 'no Allow'}"


def keeps_open(version, *fields):
    def ask(server):
        text, closed = exchange(server, request("/text.txt", *fields, version=version))
        return "closes" if closed else "keeps it open"
    return ask


def three(server):
    text, _ = exchange(server, request() * 3)
    count = len(statuses(text))
    return f"{count} response{'s' if count > 1 else ''}"


def chunked(server):
    body = "5\r\nhello\r\n0\r\n\r\n"
    return status(server, request("/text.txt", "Transfer-Encoding: chunked") + body + request())


def expect(server):
    client = Client(server)
    client.send(request("/text.txt", "Content-Length: 5", "Expect: 100-continue"))
    client.receive(0.4)
    client.send("hello")
    client.receive(0.4)
    return ", ".join(statuses(client.came.decode("latin-1"))) or "nothing"


def ranges(value, *more):
    def ask(server):
        text, _ = exchange(server, request("/page.html", f"Range: {value}", *more))
        kind = " multipart" if "multipart/byteranges" in text else ""
        return "".join(statuses(text)) + kind
    return ask


def conditional(name, right):
    """The status for a validator that matches, or does not."""
    def ask(server):
        text, _ = exchange(server, request())
        tag, date = field(text, "ETag"), field(text, "Last-Modified")
        value = {"tag": tag, "date": date, "other": '"other"',
                 "old": "Mon, 01 Jan 2001 00:00:00 GMT"}[right]
        return status(server, request("/text.txt", f"{name}: {value}")) if value else "no validator"
    return ask


def entity_tag(server):
    text, _ = exchange(server, request())
    tag = field(text, "ETag")
    return "none" if not tag else ("weak" if tag.startswith("W/") else "strong")


def content_type(server):
    return field(exchange(server, request())[0], "Content-Type") or "none"


def beside(server):
    text, _ = exchange(server, request("/page.html", "Accept-Encoding: gzip"))
    return field(text, "Content-Encoding") or "as it is"


def terminate(server):
    client = Client(server)
    client.link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    client.send(request("/large.bin"))
    time.sleep(0.3)
    os.kill(server.process.pid, signal.SIGTERM)
    time.sleep(0.3)
    client.receive(3)
    _, _, body = client.came.partition(b"\r\n\r\n")
    return "completes" if len(body) == LARGE else "cuts it off"


def closed_after(text, slowly=False):
    """Seconds until the server closes a connection on which a client sends this."""
    def ask(server):
        client, begun = Client(server), time.monotonic()
        for byte in text if slowly else [text]:
            client.send(byte)
            if client.receive(1 if slowly else TIME_LIMIT):
                return f"{time.monotonic() - begun:.0f} s"
        return f"more than {TIME_LIMIT} s"
    return ask


def sockets(server):
    count = 0
    for member in server.family():
        for link in (member / "fd").iterdir():
            try:
                count += os.readlink(link).startswith("socket:")
            except FileNotFoundError:
                pass  # closed meanwhile
    return count


def unread(server):
    """Seconds until the server closes a connection whose client takes nothing of a large file. The
    kernel keeps what is unsent, so the client does not see it: the server has a socket less."""
    exchange(server, request())  # its processes have started
    before, begun = sockets(server), time.monotonic()
    client = Client(server)
    client.send(request("/large.bin"))
    while sockets(server) <= before:
        if time.monotonic() - begun > 10:
            return "?"
        time.sleep(0.1)
    while time.monotonic() - begun < TIME_LIMIT:
        if sockets(server) <= before:
            return f"{time.monotonic() - begun:.0f} s"
        time.sleep(0.5)
    return f"more than {TIME_LIMIT} s"


ROWS = {
    "HEAD": lambda server: status(server, request(method="HEAD")),
    "OPTIONS": allow,
    "POST": lambda server: status(server, request("/text.txt", "Content-Length: 0", method="POST")),
    "an unknown method": lambda server: status(server, request(method="BREW")),
    "after a response": keeps_open("1.1"),
    "HTTP/1.0 with `Connection: keep-alive`": keeps_open("1.0", "Connection: keep-alive"),
    "three requests in one write": three,
    "a GET with a chunked body, then another one": chunked,
    "`Expect: 100-continue` on a GET with a body": expect,
    "both Content-Length and Transfer-Encoding": lambda server: status(server, request(
        "/text.txt", "Content-Length: 5", "Transfer-Encoding: chunked") + "0\r\n\r\n"),
    "HTTP/1.1 without Host": lambda server: status(server, request(host=None)),
    "two Hosts": lambda server: status(server, request("/text.txt", "Host: other")),
    "a space before the colon": lambda server: status(server, request("/text.txt", "A : b")),
    "an absolute target": lambda server: status(server, request("http://localhost/text.txt")),
    "Range: bytes=2-4": ranges("bytes=2-4"),
    "bytes=-3": ranges("bytes=-3"),
    "bytes=0-1,2000-2001": ranges("bytes=0-1,2000-2001"),
    "an unknown unit": ranges("lines=0-1"),
    "If-Range that does not match": ranges("bytes=2-4", 'If-Range: "other"'),
    "If-None-Match": conditional("If-None-Match", "tag"),
    "If-Modified-Since": conditional("If-Modified-Since", "date"),
    "If-Match that does not match": conditional("If-Match", "other"),
    "If-Unmodified-Since, older": conditional("If-Unmodified-Since", "old"),
    "the entity-tag": entity_tag,
    "Content-Type of text.txt": content_type,
    "page.html with page.html.gz beside it": beside,
    "a directory without its slash": lambda server: status(server, request("/sub")),
    "a directory without an index": lambda server: status(server, request("/empty/")),
    "/.secret": lambda server: status(server, request("/.secret")),
    "a link that leads out of the root": lambda server: status(server, request("/link")),
    "/..%2foutside": lambda server: status(server, request("/..%2foutside")),
    "SIGTERM while a file is sent": terminate,
    "closes a silent connection after": closed_after(""),
    "a head that comes a byte a second": closed_after("GET / HTTP/1.1\r\nX: " + "y" * 90, True),
    "a client that reads nothing": unread,
}
# These stop the server or take long: each has one of its own.
ALONE = list(ROWS)[-4:]


def ask(lab, name, questions):
    """The answers of a server to these questions."""
    answers = {}
    with servers.started(lab, SERVERS[name], {}) as server:
        for question in questions:
            try:
                answers[question] = ROWS[question](server)
            except (OSError, IndexError) as error:
                answers[question] = f"? ({error})"
    return answers


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--oneloop", default=servers.PROJECT / "target/release/oneloop",
                        metavar="PATH")
    parser.add_argument("--servers", default=",".join(SERVERS), help="default: %(default)s")
    options = parser.parse_args()
    with servers.Lab(options.oneloop) as lab:
        make_site(lab)
        names = [name for name in options.servers.split(",")
                 if name == "oneloop" or shutil.which({"python": "python3"}.get(name, name))]
        table = {name: {} for name in names}
        with concurrent.futures.ThreadPoolExecutor(32) as pool:
            jobs = []
            for name in names:
                for questions in [list(ROWS)[:-4], *[[one] for one in ALONE]]:
                    jobs.append((name, pool.submit(ask, lab, name, questions)))
                    time.sleep(0.1)
            for name, job in jobs:
                table[name].update(job.result())
        machine = servers.machine(names)
        print(f"{machine['system']}; {machine['versions']}.\n")
        print("| | " + " | ".join(names) + " |")
        print("|---" * (len(names) + 1) + "|")
        for question in ROWS:
            print(f"| {question} | " + " | ".join(table[name][question] for name in names) + " |")


if __name__ == "__main__":
    main()
