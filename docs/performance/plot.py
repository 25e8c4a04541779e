#!/usr/bin/env python3
"""Draws growth.json as SVG: connections.svg, files.svg and sizes.svg beside it.

usage: plot.py growth.json

One drawing has a logarithmic x axis, and lines through the medians of the rounds with their
range as a shade. Colours are classes of an embedded style, which follows the reader's
preference for light or dark.
"""
import json
import math
import statistics
import sys
from pathlib import Path

WIDTH, HEIGHT = 760, 430
LEFT, RIGHT, TOP, BOTTOM = 68, 728, 104, 352

# Of each: a line in a light and in a dark drawing.
COLOURS = {
    "blue": ("#1f6fb2", "#6cb2eb"),
    "amber": ("#b8690f", "#e5a557"),
    "grey": ("#7d8590", "#8b949e"),
    "green": ("#2f855a", "#68c394"),
    "violet": ("#7a4fb5", "#b497e7"),
    "red": ("#b83a3a", "#ee8a8a"),
    "teal": ("#14808a", "#5cc4cc"),
}
OF_SERVER = {"oneloop": "blue", "floor": "grey", "nginx": "green", "nginx+cache": "teal",
             "lighttpd": "violet", "h2o": "red"}
DASHES = {"oneloop": "", "floor": "6 5"}


def style():
    shades = [
        # paper, title, text, axis, grid
        ("#ffffff", "#1f2328", "#59636e", "#9aa3ad", "#e8ebee"),
        ("#0d1117", "#e6edf3", "#9da7b1", "#57606a", "#222931"),
    ]
    blocks = []
    for number, (paper, title, text, axis, grid) in enumerate(shades):
        rules = [f".paper {{ fill: {paper}; }}", f".title {{ fill: {title}; }}",
                 f"text {{ fill: {text}; }}", f".axis {{ stroke: {axis}; }}",
                 f".grid {{ stroke: {grid}; }}", f".dot {{ stroke: {paper}; }}"]
        for name, pair in COLOURS.items():
            rules.append(f".line.{name} {{ stroke: {pair[number]}; }} "
                         f".fill.{name} {{ fill: {pair[number]}; }}")
        blocks.append("\n".join(rules))
    return f"""<style>
text {{ font: 13px system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; }}
.title {{ font-size: 17px; font-weight: 600; }}
.small {{ font-size: 12px; }}
.end {{ text-anchor: end; }}
.middle {{ text-anchor: middle; }}
.line {{ fill: none; stroke-width: 2; stroke-linejoin: round; stroke-linecap: round; }}
.dot {{ stroke-width: 1.5; }}
.shade {{ fill-opacity: 0.16; }}
{blocks[0]}
@media (prefers-color-scheme: dark) {{
{blocks[1]}
}}
</style>"""


def escaped(text):
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def plain(value):
    """A number for people: three digits, thousands apart."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def size(value):
    for unit, bytes_ in [("MiB", 1 << 20), ("KiB", 1 << 10)]:
        if value >= bytes_:
            return f"{value / bytes_:,.0f} {unit}"
    return f"{value} B"


class Series:
    """A line: points of an x and the values of all rounds."""

    def __init__(self, name, colour, points, dash=""):
        self.name, self.colour, self.dash = name, colour, dash
        self.points = [(x, sorted(values)) for x, values in points if values]

    def medians(self):
        return [(x, statistics.median(values)) for x, values in self.points]


class LogAxis:
    """From one value to another, and where the lines of the grid are."""

    def __init__(self, low, high, ticks, start, end):
        self.ticks, self.start, self.end = ticks, start, end
        self.low, self.high = math.log10(low), math.log10(high)
        if self.low == self.high:
            self.high += 1

    def at(self, value):
        part = (math.log10(value) - self.low) / (self.high - self.low)
        return self.start + part * (self.end - self.start)


class LinearAxis:
    """From zero to a round number above `high`."""

    def __init__(self, high, start, end):
        self.start, self.end = start, end
        raw = high / 7
        magnitude = 10 ** math.floor(math.log10(raw))
        step = next(step * magnitude for step in (1, 2, 2.5, 5, 10) if step * magnitude >= raw)
        self.high = step * math.ceil(high / step)
        self.ticks = [step * i for i in range(round(self.high / step) + 1)]

    def at(self, value):
        return self.start + value / self.high * (self.end - self.start)


class Plot:
    def __init__(self, title, x_label, y_label, series, caption, x_text=plain, log_y=False):
        self.title, self.x_label, self.y_label = title, x_label, y_label
        self.series, self.caption, self.x_text = series, caption, x_text
        xs = sorted({x for line in series for x, _ in line.points})
        values = [value for line in series for _, values in line.points for value in values]
        # Dots at the edges keep clear of the axis and of the end.
        self.x = LogAxis(xs[0], xs[-1], xs, LEFT + 22, RIGHT - 22)
        if log_y:
            decades = range(math.floor(math.log10(min(values))),
                            math.ceil(math.log10(max(values))) + 1)
            ticks = [10.0 ** decade for decade in decades]
            self.y = LogAxis(ticks[0], ticks[-1], ticks, BOTTOM, TOP)
        else:
            self.y = LinearAxis(max(values) * 1.05, BOTTOM, TOP)

    def description(self):
        lines = [f"{self.y_label} by {self.x_label[0].lower()}{self.x_label[1:]}."]
        for line in self.series:
            points = "; ".join(f"{self.x_text(x)}: {plain(y)}" for x, y in line.medians())
            lines.append(f"{line.name}: {points}.")
        return " ".join(lines)

    def grid(self):
        for value in self.y.ticks:
            y = self.y.at(value)
            kind = "axis" if y == BOTTOM else "grid"
            yield f'<line class="{kind}" x1="{LEFT}" y1="{y:.1f}" x2="{RIGHT}" y2="{y:.1f}"/>'
            yield f'<text class="small end" x="{LEFT - 10}" y="{y + 4:.1f}">{plain(value)}</text>'
        for value in self.x.ticks:
            x = self.x.at(value)
            yield f'<line class="grid" x1="{x:.1f}" y1="{TOP}" x2="{x:.1f}" y2="{BOTTOM}"/>'
            yield f'<line class="axis" x1="{x:.1f}" y1="{BOTTOM}" x2="{x:.1f}" y2="{BOTTOM + 5}"/>'
            yield (f'<text class="small middle" x="{x:.1f}" y="{BOTTOM + 21}">'
                   f'{self.x_text(value)}</text>')

    def legend(self):
        x = LEFT
        for line in self.series:
            yield self.stroke(line, f"M{x:.1f} 57h26")
            yield f'<circle class="dot fill {line.colour}" cx="{x + 13:.1f}" cy="57" r="4"/>'
            yield f'<text class="small" x="{x + 34:.1f}" y="61">{escaped(line.name)}</text>'
            x += 34 + 6.6 * len(line.name) + 18

    @staticmethod
    def stroke(line, path):
        dash = f' stroke-dasharray="{line.dash}"' if line.dash else ""
        return f'<path class="line {line.colour}"{dash} d="{path}"/>'

    def shade(self, line):
        """The range of the rounds: along the upper ends, and back along the lower ones."""
        upper = [(x, values[-1]) for x, values in line.points]
        lower = [(x, values[0]) for x, values in reversed(line.points)]
        corners = " ".join(f"{self.x.at(x):.1f},{self.y.at(y):.1f}" for x, y in upper + lower)
        return f'<polygon class="shade fill {line.colour}" points="{corners}"/>'

    def curve(self, line):
        places = [(self.x.at(x), self.y.at(y)) for x, y in line.medians()]
        yield self.stroke(line, "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in places))
        for x, y in places:
            yield f'<circle class="dot fill {line.colour}" cx="{x:.1f}" cy="{y:.1f}" r="4"/>'

    def svg(self):
        parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
            f'width="{WIDTH}" height="{HEIGHT}" role="img" aria-labelledby="title desc">',
            f'<title id="title">{escaped(self.title)}</title>',
            f'<desc id="desc">{escaped(self.description())}</desc>',
            style(),
            f'<rect class="paper" width="{WIDTH}" height="{HEIGHT}" rx="8"/>',
            f'<text class="title" x="{LEFT}" y="34">{escaped(self.title)}</text>',
            f'<text class="small" x="{LEFT}" y="{TOP - 13}">{escaped(self.y_label)}</text>',
            *self.grid(),
            f'<text class="middle" x="{(LEFT + RIGHT) / 2}" y="{BOTTOM + 44}">'
            f'{escaped(self.x_label)}</text>',
            f'<text class="small end" x="{RIGHT}" y="{HEIGHT - 10}">{escaped(self.caption)}</text>',
            *self.legend(),
            *[self.shade(line) for line in self.series],
            # The first is drawn last, so that it lies on top.
            *[part for line in reversed(self.series) for part in self.curve(line)],
            "</svg>",
        ]
        return "\n".join(parts) + "\n"


def lines_of(part):
    return [Series(name, OF_SERVER.get(name, "amber"), points) for name, points in part.items()]


def lines_of_sizes(part):
    lines = []
    for name, points in part.items():
        per_mib = [(x, [value * (1 << 20) / x for value in values]) for x, values in points]
        dash = DASHES.get(name, "2 5")
        lines.append(Series(f"{name}, per request", "blue", points, dash))
        lines.append(Series(f"{name}, per MiB", "amber", per_mib, dash))
    return lines


def caption(part):
    rounds = max(len(values) for points in part.values() for _, values in points)
    return "One round." if rounds == 1 else f"Medians of {rounds} rounds; shade: their range."


def draw_connections(part):
    return Plot("What more connections cost", "Busy connections, 1 KiB a request",
                "Server CPU per request, µs", lines_of(part), caption(part))


def draw_files(part):
    return Plot("What more files cost", "Files of 1 KiB, in random order over 64 connections",
                "Server CPU per request, µs", lines_of(part), caption(part))


def draw_sizes(part):
    return Plot("What larger files cost", "Size of the file, 8 connections", "Server CPU, µs",
                lines_of_sizes(part), caption(part), size, log_y=True)


def draw(growth, folder):
    """Writes a drawing for each part that was measured; their paths."""
    paths = []
    for name, drawing in [("connections", draw_connections), ("files", draw_files),
                          ("sizes", draw_sizes)]:
        part = growth.get(name, {})
        if any(values for points in part.values() for _, values in points):
            paths.append(Path(folder) / f"{name}.svg")
            paths[-1].write_text(drawing(part).svg(), encoding="utf-8")
    return paths


def main():
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        raise SystemExit(__doc__)
    source = Path(sys.argv[1])
    for path in draw(json.loads(source.read_text(encoding="utf-8")), source.parent):
        print(path)


if __name__ == "__main__":
    main()
