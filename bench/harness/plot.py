"""The works of the core as a plot: a line each, on it everybody's time, on a logarithmic
scale. SVG by hand: it needs no other program, and is read in a diff."""
import math
from html import escape
from pathlib import Path
from statistics import median

from .report import middle_half, number

LEFT, RIGHT, TOP, LINE, WIDTH = 250, 45, 76, 30, 1000
COLOURS = {"kin": "#c2185b", "bare switch": "#000000", "Boost.Context": "#757575",
           "libdill": "#1565c0", "State Threads": "#2e7d32", "neco": "#00838f",
           "libuv": "#6d4c41", "tokio": "#ef6c00", "Go": "#4fc3f7", "node": "#9ccc65",
           "uvloop": "#ffb300", "asyncio": "#fdd835", "Trio": "#8e24aa"}


def collect(rows):
    """The values of each side, for each work."""
    works = {}
    for row in rows:
        if row.work:
            works.setdefault(row.work, {}).update(row.sides)
    return works


class Scale:
    def __init__(self, works):
        middles = [median(values) for sides in works.values() for values in sides.values()]
        self.low = math.floor(math.log10(min(middles)))
        self.high = math.ceil(math.log10(max(middles)))

    def __call__(self, value):
        share = (math.log10(value) - self.low) / (self.high - self.low)
        return LEFT + share * (WIDTH - LEFT - RIGHT)

    def lines(self, height):
        for power in range(self.low, self.high + 1):
            x, ns = self(10 ** power), 10 ** power
            yield (f'<line x1="{x:.1f}" y1="{TOP - 8}" x2="{x:.1f}" y2="{height - 20}" '
                   f'stroke="#e0e0e0"/><text x="{x:.1f}" y="{height - 6}" '
                   f'text-anchor="middle">{ns:,} ns</text>')


def legend(sides):
    x, y = LEFT, 36
    for side in (side for side in COLOURS if side in sides):
        yield (f'<circle cx="{x}" cy="{y}" r="5" fill="{COLOURS[side]}"/>'
               f'<text x="{x + 9}" y="{y + 4}">{escape(side)}</text>')
        x += 26 + 7 * len(side)
        if x > WIDTH - 120:
            x, y = LEFT, y + 18


def line_of(work, sides, y, scale):
    yield f'<text x="{LEFT - 12}" y="{y + 4}" text-anchor="end">{escape(work)}</text>'
    for side in sorted(sides, key=lambda side: side != "kin"):      # below those that it meets
        values, colour = sides[side], COLOURS.get(side, "#9e9e9e")
        low, high = middle_half(values)
        said = f"{side}: {number(median(values))} ns"
        yield (f'<g><title>{escape(said)}</title>'
               f'<line x1="{scale(low):.1f}" y1="{y}" x2="{scale(high):.1f}" y2="{y}" '
               f'stroke="{colour}" stroke-width="2"/>'
               f'<circle cx="{scale(median(values)):.1f}" cy="{y}" '
               f'r="{7 if side == "kin" else 4.5}" fill="{colour}"/></g>')


def write_plot(path, rows):
    works = collect(rows)
    if not works:
        return
    scale, height = Scale(works), TOP + LINE * len(works) + 30
    sides = {side for work in works.values() for side in work}
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
             'font-family="sans-serif" font-size="12">',
             f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
             f'<text x="{LEFT}" y="18" font-weight="bold">Processor time of one operation: '
             'median, and the middle half of the runs; left is better</text>',
             *legend(sides), *scale.lines(height)]
    for i, (work, its) in enumerate(works.items()):
        parts += line_of(work, its, TOP + LINE * i + 12, scale)
    with open(path, "w") as out:
        out.write("\n".join([*parts, "</svg>", ""]))


# ---------------------------------------------------------------- growth: small panels

PANEL, HEIGHT, ACROSS, GAP, MARGIN = 190, 120, 4, 56, 46
STYLE = """<style>
svg { color-scheme: light dark }
.paper { fill: #ffffff } text { fill: #24292f } .frame { stroke: #d0d7de; fill: none }
.curve { stroke: #c2185b; fill: none; stroke-width: 2 } .dot { fill: #c2185b }
.first { stroke: #c2185b; fill: none; stroke-dasharray: 2 3 }
.machine { stroke: #757575; fill: none } .bound { stroke: #1a7f37; stroke-dasharray: 5 3 }
.reach { stroke: #0969da; stroke-dasharray: 1 3 } .small { font-size: 9px }
@media (prefers-color-scheme: dark) {
.paper { fill: #0d1117 } text { fill: #e6edf3 } .frame { stroke: #3d444d }
.curve { stroke: #ff6090 } .dot { fill: #ff6090 } .first { stroke: #ff6090 }
.machine { stroke: #9e9e9e } .bound { stroke: #3fb950 } .reach { stroke: #58a6ff } }
</style>"""


class Panel:
    """One work: size and figure of an item, both logarithmic, in a box of its own."""

    def __init__(self, number, growth, figure):
        self.growth, self.figure = growth, figure
        self.left = MARGIN + number % ACROSS * (PANEL + GAP)
        self.top = 78 + number // ACROSS * (HEIGHT + 62)
        self.curve = self.values(figure)
        self.first = {size: value for size, value in self.values("first").items() if size >= 1000}
        values = [*self.curve.values(), *(self.first.values() if figure == "ns" else ())]
        self.x_low, self.x_high = 0, 7
        self.y_low = math.floor(math.log10(min(values)))
        self.y_high = max(math.ceil(math.log10(max(values))), self.y_low + 2)

    def values(self, figure):
        return {size: point[figure] for size, point in sorted(self.growth.points.items())
                if point.get(figure, 0) > 0}

    def x(self, size):
        return self.left + (math.log10(size) - self.x_low) / (self.x_high - self.x_low) * PANEL

    def y(self, value):
        share = (math.log10(value) - self.y_low) / (self.y_high - self.y_low)
        return self.top + HEIGHT * (1 - share)

    def path(self, values, kind):
        points = [f"{self.x(size):.1f},{self.y(value):.1f}" for size, value in values.items()
                  if self.y_low <= math.log10(value) <= self.y_high]
        if len(points) > 1:
            yield f'<polyline class="{kind}" points="{" ".join(points)}"/>'

    def axes(self, unit):
        yield (f'<rect class="frame" x="{self.left}" y="{self.top}" width="{PANEL}" '
               f'height="{HEIGHT}"/>')
        for power in range(self.y_low, self.y_high + 1):
            y = self.y(10.0 ** power)
            yield (f'<line class="frame" x1="{self.left}" y1="{y:.1f}" x2="{self.left + PANEL}" '
                   f'y2="{y:.1f}"/><text class="small" x="{self.left - 4}" y="{y + 3:.1f}" '
                   f'text-anchor="end">{amount(10.0 ** power, unit)}</text>')
        for power in range(self.x_low, self.x_high + 1):
            yield (f'<text class="small" x="{self.x(10 ** power):.1f}" '
                   f'y="{self.top + HEIGHT + 12}" text-anchor="middle">10<tspan dy="-4" font-size="7">{power}</tspan></text>')

    def title(self):
        yield (f'<text x="{self.left}" y="{self.top - 18}" font-weight="bold">'
               f'{escape(self.growth.title)}</text>'
               f'<text class="small" x="{self.left}" y="{self.top - 6}">'
               f'{escape(self.growth.item)}</text>')

    def bound(self, times):
        """So many times what an item costs at the size of reference."""
        base = self.curve.get(self.growth.base)
        if base and self.y_low <= math.log10(base * times) <= self.y_high:
            y = self.y(base * times)
            yield (f'<line class="bound" x1="{self.x(self.growth.base):.1f}" y1="{y:.1f}" '
                   f'x2="{self.left + PANEL}" y2="{y:.1f}"/>')

    def reaches(self, reaches):
        for i, (name, size) in enumerate(reaches):
            if 1 < size < 10 ** self.x_high:
                yield (f'<line class="reach" x1="{self.x(size):.1f}" y1="{self.top}" '
                       f'x2="{self.x(size):.1f}" y2="{self.top + HEIGHT}"/>'
                       f'<text class="small" x="{self.x(size) + 2:.1f}" '
                       f'y="{self.top + 9 + 10 * i}">{escape(name)}</text>')

    def draw(self, unit, machine):
        yield from self.title()
        yield from self.axes(unit)
        yield from self.bound(3)
        if self.figure == "ns":
            yield from self.reaches(self.growth.reaches())
            yield from self.path(self.first, "first")
            if machine and self.growth.visits_stacks():
                yield from self.path({size: point["ns"] for size, point in machine.points.items()
                                      if size <= self.growth.top}, "machine")
        yield from self.path(self.curve, "curve")
        for size, value in self.curve.items():
            yield (f'<circle class="dot" cx="{self.x(size):.1f}" cy="{self.y(value):.1f}" r="3">'
                   f'<title>{size:,}: {number(value)} {unit}</title></circle>')


def amount(value, unit):
    if unit == "ns" and value >= 1000:
        return f"{value / 1000:g} us" if value < 1e6 else f"{value / 1e6:g} ms"
    return f"{value:g} {unit}"


def draw_panels(path, heading, growths, figure, unit):
    machine = next((growth for growth in growths if growth.key == "switch"), None)
    panels = [Panel(i, growth, figure) for i, growth in enumerate(growths)]
    width = MARGIN + ACROSS * (PANEL + GAP)
    height = panels[-1].top + HEIGHT + 30
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
             'font-family="sans-serif" font-size="12">', STYLE,
             f'<rect class="paper" width="{width}" height="{height}"/>']
    parts += [f'<text x="{MARGIN}" y="{20 + 15 * i}">{escape(line)}</text>'
              for i, line in enumerate(heading)]
    for panel in panels:
        parts += panel.draw(unit, machine)
    path.write_text("\n".join([*parts, "</svg>", ""]))


def write_growth(directory, rows):
    """Time and memory of an item, over how many there are."""
    growths = [row.growth for row in rows if getattr(row, "growth", None)]
    if not growths:
        return
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    draw_panels(directory / "time.svg",
                ["Time of one item, over how many there are. Dashed green: three times what it "
                 "took at the size of reference. Dotted red: the first time, all memory untouched.",
                 "Grey: a bare switch in a ring of so many stacks. Blue: from there on the lines "
                 "(pages) that they need are more than L2 (the TLB, L3) holds."],
                growths, "ns", "ns")
    weighed = [growth for growth in growths if any(point.get("kib", 0) > 0
                                                   for point in growth.points.values())]
    draw_panels(directory / "memory.svg",
                ["Memory of one item, page tables too, over how many there are."],
                weighed, "kib", "KiB")
