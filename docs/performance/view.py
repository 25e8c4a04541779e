#!/usr/bin/env python3
"""What the live view costs: the processor time of a server with 10,000 connections, while a client asks for
snapshots as the page does, and while it does not. After `cargo build --release`:

    python3 docs/performance/view.py quiet     # the connections are idle
    python3 docs/performance/view.py busy      # each of them sends a request every second
    python3 docs/performance/view.py table     # 200,000 requests: without --admin, with it, and with a page
    python3 docs/performance/view.py table OTHER...     # ... and the same with other programs, in turn
"""

import http.client
import json
import os
import resource
import struct
import subprocess
import sys
import threading
import time

ONELOOP = "target/release/oneloop"
SITE, VIEW = 17890, 17891
CONNECTIONS = 10_000
SECONDS = 10  # of each measurement
ROUNDS = 3
REQUEST = r"GET /robots.txt HTTP/1.1\r\nHost: a\r\n\r\n"


def start(*arguments, program=ONELOOP):
    return subprocess.Popen([program, *arguments], stdout=subprocess.DEVNULL)


def processor_times(process):
    """In user space and in the kernel, in ms."""
    with open(f"/proc/{process.pid}/stat") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return [int(field) * 1000 // os.sysconf("SC_CLK_TCK") for field in fields[11:13]]


def processor_ms(process):
    return sum(processor_times(process))


def watch(is_over=None):
    """20 snapshots a second, and the life line of a connection twice a second. Returns the view's own figures."""
    view = http.client.HTTPConnection("127.0.0.1", VIEW)

    def get(path):
        view.request("GET", path)
        return view.getresponse().read()

    first, version, run, size, frames = None, 0, "0", 0, 0
    end = time.monotonic() + SECONDS
    while not is_over.is_set() if is_over else time.monotonic() < end:
        began = time.monotonic()
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


def requests(program, has_view, has_page):
    """The processor times for 20 requests on each connection."""
    view = ["--admin", f"127.0.0.1:{VIEW}"] if has_view else []
    server = start("--quiet", "-p", str(SITE), *view, "html", program=program)
    time.sleep(1)
    is_over = threading.Event()
    page = threading.Thread(target=watch, args=[is_over])
    if has_page:
        page.start()
    before = processor_times(server)
    poke = start("poke", "--to", f"127.0.0.1:{SITE}", "--connections", str(CONNECTIONS), *[REQUEST, "300ms"] * 20)
    poke.wait()
    times = [after - before for before, after in zip(before, processor_times(server))]
    is_over.set()
    if has_page:
        page.join()
    server.kill()
    server.wait()
    return times


def table(programs):
    kinds = [("without --admin", False, False), ("with --admin", True, False), ("with a page", True, True)]
    for _ in range(ROUNDS):
        for name, *kind in kinds:
            for program in programs:
                user, system = requests(program, *kind)
                print(f"{program}, {name}: {user} ms in user space and {system} ms in the kernel", flush=True)


def main():
    kind = sys.argv[1] if len(sys.argv) > 1 else ""
    if kind not in ("quiet", "busy", "table") or kind != "table" and len(sys.argv) > 2:
        sys.exit(__doc__)
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    if kind == "table":
        return table([ONELOOP, *sys.argv[2:]])
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
