"""Rows of the table: what was compared, the ratio, what it should be.

A row's values are those of single rounds. In each round the compared sides ran one
after the other, so a ratio is taken within its round and then the median of the
ratios: what slows the whole machine down for a while slows both sides.
"""
from dataclasses import dataclass, field
from statistics import median, quantiles


def middle_half(values):
    if len(values) < 3:
        return min(values), max(values)
    low, _, high = quantiles(values, n=4, method="inclusive")
    return low, high


@dataclass
class Row:
    what: str                       # "tree of 1,111,111 tasks: Go / kin"
    values: list                    # a ratio, or a figure, for each round
    unit: str = "x"
    at_most: float = None           # the target, one of these or none
    at_least: float = None
    sides: dict = field(default_factory=dict)   # what the ratio was made of, by name
    work: str = None                # of the plot's line where it belongs to one

    @property
    def middle(self):
        return median(self.values)

    @property
    def met(self):
        """True, False, or None where there is no target."""
        if self.at_most is not None:
            return self.middle <= self.at_most
        if self.at_least is not None:
            return self.middle >= self.at_least
        return None

    @property
    def spread(self):
        """The middle half of the values."""
        return middle_half(self.values)

    @property
    def clear(self):
        """Whether the whole middle half lies on that side of the target."""
        low, high = self.spread
        target = self.at_most if self.at_most is not None else self.at_least
        return target is None or not low <= target <= high

    def target_text(self):
        if self.at_most is not None:
            return f"<= {self.at_most:g}"
        if self.at_least is not None:
            return f">= {self.at_least:g}"
        return ""

    def as_json(self):
        return {"what": self.what, "unit": self.unit, "median": self.middle,
                "values": self.values, "at_most": self.at_most, "at_least": self.at_least,
                "met": self.met, "clear": self.clear, "work": self.work, "sides": self.sides}


def ratio_row(what, above, below, **target):
    """above and below: a value for each round, with the name of the side."""
    (above_name, above_values), (below_name, below_values) = above, below
    ratios = [a / b for a, b in zip(above_values, below_values)]
    return Row(f"{what}: {above_name} / {below_name}", ratios,
               sides={above_name: above_values, below_name: below_values}, **target)


def number(value):
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"


def verdict(row):
    if row.met is None:
        return ""
    return ("met" if row.met else "MISSED") + ("" if row.clear else ", not clearly")


def print_table(rows):
    """What was compared, the medians of both sides, and the ratio."""
    width = max((len(row.what) for row in rows), default=0)
    print(f"\n{'':{width}}  {'sides':>15}  {'median':>9}  {'middle half':>17}  {'target':>8}")
    for row in rows:
        low, high = row.spread
        sides = " : ".join(number(median(values)) for values in row.sides.values()
                           if isinstance(values, list))
        print(f"{row.what:{width}}  {sides:>15}  {number(row.middle):>6} {row.unit:<2}  "
              f"{number(low):>8} {number(high):>8}  {row.target_text():>8}  {verdict(row)}")
