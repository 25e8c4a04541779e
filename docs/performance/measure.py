#!/usr/bin/env python3
"""oneloop beside its peers and the floor: server CPU microseconds per request.

`floor` (floor.c) is the same kernel work without a web server. A figure in brackets is the
ratio to it: the median of the ratios of single rounds, in which every server has had its
sample, one after the other. The machine's moods come and go, and so hit both sides of a
ratio. Each sample is a fresh process, a warm-up of a second, then the load.

Needs Linux, two cores, wrk and cc, and `cargo build --release` first. Peers that are not
installed are skipped. Loopback only, in a temporary folder.
"""
import argparse
import errno
import json
import re
import statistics
import sys
import time
from contextlib import contextmanager

sys.dont_write_bytecode = True
import servers  # noqa: E402 (the line before must come first)
from servers import Failed, say  # noqa: E402

KIB, MIB = 1024, 1024 * 1024
MANY, IDLE = 10_000, 10_000
VOWELS = "aeiou"

PIPELINE = """
function init()
    local requests = {}
    for i = 1, 16 do requests[i] = wrk.format() end
    together = table.concat(requests)
end
function request() return together end
"""
SEQUENCE = """
function init()
    requests, at = {}, 0
    for i = 1, %d do requests[i] = wrk.format("GET", "/many/" .. i .. ".html") end
end
function request()
    at = at %% #requests + 1
    return requests[at]
end
""" % MANY


def workload(title, path, connections, body=None, **more):
    """`body` is what the floor answers with; without one there is no floor."""
    more.setdefault("size", body or {"/10m.html": 10 * MIB, "/text.html": 100 * KIB}.get(path, KIB))
    return dict(title=title, path=path, connections=connections, body=body, **more)


WORKLOADS = {
    "keepalive": workload("1 KiB, 64 connections", "/1k.html", 64, KIB),
    "single": workload("1 KiB, one connection", "/1k.html", 1, KIB),
    "close": workload("1 KiB, a connection per request, 64 at once", "/1k.html", 64, KIB,
                      fields=["Connection: close"], close=True),
    "pipeline": workload("1 KiB, 16 requests at a time, 64 connections", "/1k.html", 64, KIB,
                         lua=PIPELINE),
    "medium": workload("100 KiB, 64 connections", "/100k.html", 64, 100 * KIB),
    "large": workload("10 MiB, 8 connections", "/10m.html", 8, 10 * MIB),
    "many": workload("10,000 files of 4 KiB in turn, 64 connections", "/many/1.html", 64,
                     4 * KIB, lua=SEQUENCE),
    "range": workload("100 bytes of 100 KiB, 64 connections", "/100k.html", 64, 100,
                      fields=["Range: bytes=100-199"], status=206),
    "revalidate": workload("304 to If-None-Match, 64 connections", "/1k.html", 64,
                           status=304),
    "missing": workload("404, 64 connections", "/missing.html", 64, status=404),
    "tls-keepalive": workload("1 KiB over TLS, 64 connections", "/1k.html", 64, tls=True),
    "tls-close": workload("1 KiB over TLS, a connection per request, 16 at once", "/1k.html", 16,
                          fields=["Connection: close"], tls=True),
    "tls-large": workload("10 MiB over TLS, 8 connections", "/10m.html", 8, tls=True),
    "compressed": workload("100 KiB of text, compressed with gzip, 64 connections", "/text.html",
                           64, fields=["Accept-Encoding: gzip"], compress=True),
    "idle": workload("1 KiB, 64 connections, beside 10,000 idle ones", "/1k.html", 64, KIB,
                     idle=True),
}
# oneloop against itself, without a row in the table.
LOG = "keepalive-log"


def make_site(site):
    for name, size in [("1k", KIB), ("100k", 100 * KIB), ("10m", 10 * MIB)]:
        (site / f"{name}.html").write_bytes(b"x" * size)
    (site / "text.html").write_text(text(100 * KIB))
    (site / "many").mkdir(mode=0o755)
    for i in range(1, MANY + 1):
        (site / "many" / f"{i}.html").write_bytes(b"x" * 4 * KIB)


def text(size):
    """Words that compress as a page does, to about a third."""
    state, words = 1, []
    while sum(map(len, words)) < size:
        state = state * 1103515245 % 2147483647
        words.append(f"<p>{VOWELS[state % 5]}{state % 997:x} ")
    return "".join(words)[:size]


@contextmanager
def idle_connections(server, count, path):
    """Connections that have had an answer each and want nothing more."""
    links = []
    try:
        for _ in range(count):
            links.append(server.connect())
            links[-1].sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        for link in links:
            link.recv(64 * KIB)
            link.setblocking(False)
        time.sleep(0.5)
        yield
        lost = sum(is_over(link) for link in links)
        if lost:
            say(f"  {lost} of {count} idle connections were closed by the server")
    finally:
        for link in links:
            link.close()


def is_over(link):
    try:
        return link.recv(1) == b""
    except OSError as error:
        return error.errno != errno.EAGAIN


def probe(server, load):
    """Asks once and makes sure of the answer: its length, and the load with its fields."""
    load = dict(load)
    path, fields, wanted = load["path"], load.get("fields", []), load.get("status", 200)
    if wanted == 304:
        tag = re.search(r"(?im)^etag: *(\S.*?)\r?$", server.ask(path)[1])
        if not tag:
            raise Failed("no entity-tag")
        load["fields"] = fields = [f"If-None-Match: {tag[1]}"]
    status, _, length = server.ask(path, fields)
    if status != wanted:
        raise Failed(f"status {status} where {wanted} was expected")
    if wanted == 200 and not load.get("compress") and length < load["size"]:
        raise Failed(f"{length} bytes where {load['size']} were expected")
    if load.get("compress") and length > load["size"] // 2:
        raise Failed(f"{length} bytes: it is not compressed")
    return load, length


def sample(lab, name, load, seconds, command=None):
    """One figure: CPU microseconds per request, and of idle connections their memory."""
    capacity = lab.descriptors // (2 if name == "lighttpd" else 1)
    if load.get("idle") and capacity < IDLE + 100:
        raise Failed(f"capacity for {capacity} connections, by the limit of descriptors (ulimit -Hn)")
    with servers.started(lab, command or servers.SERVERS[name], load) as server:
        if name == "floor":
            length = load["body"]
        else:
            load, length = probe(server, load)
        servers.wrk(lab, server, 1, load, quiet=True)
        figures = {}
        if load.get("idle"):
            before = server.pss()
            with idle_connections(server, IDLE, load["path"]):
                figures["idle_kib"] = (server.pss() - before) / IDLE
                spent, requests, size = servers.wrk(lab, server, seconds, load)
        else:
            spent, requests, size = servers.wrk(lab, server, seconds, load)
        if length >= MIB:
            # The last answers are cut off by the end of the run; they count by their part.
            requests = size / length
        return {"us": spent / requests, **figures}


def attempt(lab, name, *arguments):
    try:
        return sample(lab, name, *arguments)
    except (Failed, OSError) as problem:
        say(f"  {name}: no sample: {problem}")
        return None


def take_rounds(lab, names, key, options):
    """All samples of a workload: a list of rounds, each with a sample by server."""
    load, rounds = WORKLOADS[key], []
    names = [name for name in names if load["body"] or name != "floor"]
    if is_extra(load):
        names = [name for name in names if name in servers.WITH_TLS]
    for number in range(options.rounds):
        say(f"{key}: round {number + 1} of {options.rounds}")
        taken = {}
        for name in names:
            pair = [("", load)]
            if load.get("idle"):
                # The same without idle connections, right before or right after.
                pair.insert(number % 2, (" alone", {**load, "idle": False}))
            for suffix, this in pair:
                taken[name + suffix] = attempt(lab, name, this, options.seconds)
        rounds.append({name: figures for name, figures in taken.items() if figures})
    return rounds


def take_log_rounds(lab, options):
    load, rounds = WORKLOADS["keepalive"], []
    for number in range(options.rounds):
        say(f"{LOG}: round {number + 1} of {options.rounds}")
        quiet = attempt(lab, "oneloop", load, options.seconds)
        log = attempt(lab, "oneloop", load, options.seconds, servers.oneloop_log)
        if quiet and log:
            rounds.append({"quiet": quiet, "log": log})
    return rounds


def median(rounds, name, figure="us"):
    values = [taken[name][figure] for taken in rounds if figure in taken.get(name, {})]
    return statistics.median(values) if values else None


def ratio(rounds, name, base):
    """The median of the rounds' ratios, which is not the ratio of the medians."""
    ratios = [taken[name]["us"] / taken[base]["us"]
              for taken in rounds if name in taken and base in taken]
    return statistics.median(ratios) if ratios else None


def figure(value):
    """Three digits, as many as the noise leaves."""
    return f"{value:.{max(0, 3 - len(str(int(value))))}f}"


def is_extra(load):
    """Whether it is for the second table, in which oneloop is compared with."""
    return bool(load.get("tls") or load.get("compress"))


def cell(rounds, name, base):
    us, times = median(rounds, name), ratio(rounds, name, base)
    if us is None:
        return "-"
    return figure(us) + (f" ({times:.2f})" if times is not None else "")


def row(*cells):
    print("| " + " | ".join(cells) + " |", flush=True)


def print_table(lab, names, options, base, results):
    """Takes the samples of the workloads that are compared with `base`."""
    tabled = [key for key in options.workloads
              if key != LOG and is_extra(WORKLOADS[key]) == (base != "floor")]
    if not tabled:
        return
    row(f"us of server CPU per request (to {base})", *names)
    row("---", *["--:" for _ in names])
    for key in tabled:
        results[key] = take_rounds(lab, names, key, options)
        cells = [cell(results[key], name, base) for name in names]
        row(f"{key}: {WORKLOADS[key]['title']}", *cells)
    print(flush=True)


def print_idle(rounds, names):
    print(f"\n{IDLE:,} idle connections:\n")
    row("server", "KiB of memory for each", "CPU per request, with them to without")
    row("---", "--:", "--:")
    for name in names:
        memory = median(rounds, name, "idle_kib")
        times = ratio(rounds, name, name + " alone")
        if memory is not None and times is not None:
            row(name, f"{memory:.2f}", f"{times:.2f}")


def print_log(rounds):
    if rounds:
        print(f"\nWith the access log in a file, {figure(median(rounds, 'log'))} us per request; "
              f"without, {figure(median(rounds, 'quiet'))}. "
              f"Ratio: {ratio(rounds, 'log', 'quiet'):.2f}.")


def record(rounds):
    """What `--json` keeps: the figures that are printed, and the samples they come from."""
    kept = {}
    for name in dict.fromkeys(name for taken in rounds for name in taken):
        kept[name] = {"us": median(rounds, name), "rounds": [taken.get(name) for taken in rounds]}
        bases = [] if name.endswith(" alone") else ["floor", "oneloop", f"{name} alone", "quiet"]
        ratios = {base: ratio(rounds, name, base) for base in bases}
        kept[name]["ratio_to"] = {base: times for base, times in ratios.items() if times}
        memory = median(rounds, name, "idle_kib")
        if memory is not None:
            kept[name]["idle_kib"] = memory
    return kept


def arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--rounds", type=int, default=5)
    add("--seconds", type=int, default=1, help="of load in a sample")
    add("--servers", default="oneloop,floor,nginx+cache,lighttpd,h2o,caddy",
        help="default: %(default)s; there is also nginx, without its cache")
    add("--workloads", default=",".join([*WORKLOADS, LOG]), help="default: %(default)s")
    add("--oneloop", default=servers.PROJECT / "target/release/oneloop", metavar="PATH")
    add("--oneloop-args", default="", metavar="'ARGS'", help="further options of oneloop, as "
        "in --oneloop-args='--log-file access.log'")
    add("--json", metavar="FILE", help="write all samples to this file, too")
    options = parser.parse_args()
    options.servers, options.workloads = options.servers.split(","), options.workloads.split(",")
    for key in options.workloads:
        if key != LOG and key not in WORKLOADS:
            parser.error(f"{key}: not one of {', '.join([*WORKLOADS, LOG])}")
    return options


def main():
    options = arguments()
    with servers.Lab(options.oneloop, options.oneloop_args.split()) as lab:
        names = servers.available(lab, options.servers)
        make_site(lab.site)
        machine = servers.machine(names)
        print(f"{machine['system']}, {machine['processor']}, {machine['cores']} cores; "
              f"{machine['versions']}. Rounds: {options.rounds}, of {options.seconds} s.\n")
        results = {}
        print_table(lab, names, options, "floor", results)
        print_table(lab, [name for name in names if name in servers.WITH_TLS], options, "oneloop",
                    results)
        if "idle" in results:
            print_idle(results["idle"], names)
        if LOG in options.workloads:
            results[LOG] = take_log_rounds(lab, options)
            print_log(results[LOG])
        if options.json:
            text = json.dumps({
                "machine": machine, "rounds": options.rounds, "seconds": options.seconds,
                "workloads": {key: record(rounds) for key, rounds in results.items()},
            }, indent=1)
            with open(options.json, "w", encoding="utf-8") as file:
                file.write(text + "\n")


if __name__ == "__main__":
    main()
