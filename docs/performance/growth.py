#!/usr/bin/env python3
"""How oneloop's cost grows: with connections, with files, and with the size of a file.

Server CPU per request as in measure.py. A sample is a fresh process and three runs of the load:
a warm-up, a short one and a long one. What counts is the difference of the last two. Both
connect as often and end in the middle of as many answers, so neither is in the figure.

Writes growth.json, and draws it (plot.py): connections.svg, files.svg, sizes.svg. Parts that
are not measured anew stay as they are in growth.json. Needs what measure.py needs, and
600 MiB for a while.
"""
import argparse
import json
import statistics
import sys
from pathlib import Path

sys.dont_write_bytecode = True
import measure  # noqa: E402 (the line before must come first)
import plot  # noqa: E402
import servers  # noqa: E402
from measure import KIB, MIB  # noqa: E402
from servers import Failed, say  # noqa: E402

CONNECTIONS = [1, 4, 16, 64, 256, 1000, 4000, 10_000]
FILES = [1, 10, 100, 1000, 4000, 10_000, 30_000, 100_000]
SIZES = [KIB, 4 * KIB, 16 * KIB, 64 * KIB, 256 * KIB, MIB, 4 * MIB, 16 * MIB, 100 * MIB]
IN_FOLDER = 1000

RANDOM = """
math.randomseed(1)
function request()
    local i = math.random(0, %d)
    return wrk.format("GET", string.format("/%%d/%%d.html", math.floor(i / %d), i))
end
"""


def make_files(site, count):
    for i in range(count):
        folder = site / str(i // IN_FOLDER)
        if i % IN_FOLDER == 0:
            folder.mkdir(mode=0o755, exist_ok=True)
        (folder / f"{i}.html").write_bytes(b"x" * KIB)


def make_sizes(site):
    for size in SIZES:
        (site / f"{size}.html").write_bytes(b"x" * size)


def of_connections(count):
    return measure.workload(f"{count} connections", f"/{KIB}.html", count, KIB)


def of_files(count):
    return measure.workload(f"{count} files", "/0/0.html", 64,
                            lua=RANDOM % (count - 1, IN_FOLDER))


def of_size(size):
    return measure.workload(f"{size} bytes", f"/{size}.html", 8, size)


PARTS = {
    "connections": (CONNECTIONS, of_connections),
    "files": (FILES, of_files),
    "sizes": (SIZES, of_size),
}


def sample(lab, name, load, seconds):
    """CPU microseconds per request of the second part of a load."""
    if load["connections"] + 100 > lab.descriptors:
        raise Failed(f"not enough descriptors: {lab.descriptors}")
    with servers.started(lab, servers.SERVERS[name], load) as server:
        length = load["body"] if name == "floor" else measure.probe(server, load)[1]
        # Thousands of connections take wrk a while, before the first request.
        brief = 1 + load["connections"] // 3000
        servers.wrk(lab, server, brief, load, quiet=True)
        runs = []
        for duration in [brief, brief + seconds]:
            spent, requests, size = servers.wrk(lab, server, duration, load)
            runs.append((spent, size / length if length >= MIB else requests))
        (short, few), (long, many) = runs
        if many <= few:
            raise Failed("the long run had no more answers than the short one")
        return (long - short) / (many - few)


def take_part(lab, names, part, options):
    """Of each server a list of points: x, and the figures of all rounds."""
    points, load_of = PARTS[part]
    points = [point for point in points if point <= options.most]
    names = [name for name in names if load_of(points[0])["body"] or name != "floor"]
    taken = {name: {point: [] for point in points} for name in names}
    for number in range(options.rounds):
        for point in points:
            say(f"{part}, round {number + 1} of {options.rounds}: {load_of(point)['title']}")
            for name in names:
                try:
                    us = sample(lab, name, load_of(point), options.seconds)
                    taken[name][point].append(round(us, 3))
                except (Failed, OSError) as problem:
                    say(f"  {name}: no sample: {problem}")
    return {name: [list(pair) for pair in by_point.items()] for name, by_point in taken.items()}


def print_part(part, lines):
    print(f"\n{part}, us per request:\n")
    measure.row(part, *lines)
    measure.row("--:", *["--:" for _ in lines])
    for rows in zip(*lines.values()):
        point = plot.size(rows[0][0]) if part == "sizes" else plot.plain(rows[0][0])
        middles = [statistics.median(values) if values else None for _, values in rows]
        measure.row(point, *["-" if us is None else measure.figure(us) for us in middles])


def arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--rounds", type=int, default=3)
    add("--seconds", type=int, default=2, help="how much longer the long run is")
    add("--servers", default="oneloop,floor", help="default: %(default)s")
    add("--parts", default=",".join(PARTS), help="default: %(default)s")
    add("--most", type=int, default=100 * MIB, help="leave out what is larger or more")
    add("--oneloop", default=servers.PROJECT / "target/release/oneloop", metavar="PATH")
    add("--oneloop-args", default="", metavar="'ARGS'", help="further options of oneloop")
    add("--to", type=Path, default=servers.HERE, metavar="FOLDER",
        help="for growth.json and the drawings; default: the folder of this script")
    options = parser.parse_args()
    options.servers, options.parts = options.servers.split(","), options.parts.split(",")
    for part in options.parts:
        if part not in PARTS:
            parser.error(f"{part}: not one of {', '.join(PARTS)}")
    return options


def main():
    options = arguments()
    options.to.mkdir(parents=True, exist_ok=True)
    target = options.to / "growth.json"
    growth = json.loads(target.read_text(encoding="utf-8")) if target.exists() else {}
    with servers.Lab(options.oneloop, options.oneloop_args.split()) as lab:
        names = servers.available(lab, options.servers)
        growth["machine"] = servers.machine(names)
        make_sizes(lab.site)
        if "files" in options.parts:
            make_files(lab.site, max(count for count in FILES if count <= options.most))
        for part in options.parts:
            growth[part] = take_part(lab, names, part, options)
            print_part(part, growth[part])
            target.write_text(json.dumps(growth) + "\n", encoding="utf-8")
    plot.draw(growth, options.to)


if __name__ == "__main__":
    main()
