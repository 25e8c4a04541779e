#!/usr/bin/env python3
"""What the live view costs: the processor time of a server with 10,000 connections, while a client asks for
snapshots as the page does, and while it does not. After `cargo build --release`:

    python3 docs/performance/view.py quiet     # the connections are idle
    python3 docs/performance/view.py busy      # each of them sends a request every second
"""

import http.client
import json
import os
import resource
import struct
import subprocess
import sys
import time

ONELOOP = "target/release/oneloop"
SITE, VIEW = 17890, 17891
CONNECTIONS = 10_000
SECONDS = 10  # of each measurement
ROUNDS = 3
REQUEST = r"GET /robots.txt HTTP/1.1\r\nHost: a\r\n\r\n"


def start(*arguments):
    return subprocess.Popen([ONELOOP, *arguments], stdout=subprocess.DEVNULL)


def processor_ms(process):
    with open(f"/proc/{process.pid}/stat") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) * 1000 // os.sysconf("SC_CLK_TCK")


def watch():
    """20 snapshots a second, and the life line of a connection twice a second. Returns the view's own figures."""
    view = http.client.HTTPConnection("127.0.0.1", VIEW)

    def get(path):
        view.request("GET", path)
        return view.getresponse().read()

    first, version, run, size, frames = None, 0, "0", 0, 0
    end = time.monotonic() + SECONDS
    while (began := time.monotonic()) < end:
        body = get(f"/snapshot?since={version}&run={run}")
        (length,) = struct.unpack_from("<I", body)
        pulse = json.loads(body[4 : 4 + length])
        version, run = pulse["version"], pulse["run"]
        if first is None:
            first = pulse
        else:
            size, frames = size + len(body), frames + 1
        if frames % 10 == 0:
            get("/connection?key=1")
        time.sleep(max(0, began + 0.05 - time.monotonic()))
    part = lambda name: (pulse[name] - first[name]) / (pulse["now_us"] - first["now_us"])
    return (
        f"{frames / SECONDS:.1f} snapshots a second of {size // frames} bytes, "
        f"{pulse['open']} connections, {part('requests') * 1e6:.0f} requests a second; "
        f"the view's own figure is {part('view_us') * 100:.2f} % of the time"
    )


def main():
    kind = sys.argv[1] if len(sys.argv) == 2 else ""
    if kind not in ("quiet", "busy"):
        sys.exit(__doc__)
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    server = start("--quiet", "-p", str(SITE), "--idle-timeout", "600", "--admin", f"127.0.0.1:{VIEW}", "html")
    time.sleep(1)
    pieces = [] if kind == "quiet" else [REQUEST, "1s"] * 200
    poke = start("poke", "--to", f"127.0.0.1:{SITE}", "--connections", str(CONNECTIONS), "--hold", "300s", *pieces)
    try:
        time.sleep(12)
        for _ in range(ROUNDS):
            before = processor_ms(server)
            time.sleep(SECONDS)
            between = processor_ms(server)
            figures = watch()
            after = processor_ms(server)
            print(f"without {between - before} ms, with {after - between} ms of processor time in {SECONDS} s; {figures}")
    finally:
        poke.kill()
        server.kill()


if __name__ == "__main__":
    main()
