"""The works of the core as a plot: a line each, on it everybody's time, on a logarithmic
scale. SVG by hand: it needs no other program, and is read in a diff."""
import math
from html import escape
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
