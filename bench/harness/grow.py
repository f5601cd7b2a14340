"""How the cost of one item grows with how many there are: time, memory, instructions.

An item at the largest size may cost three times as much as at the size of reference. If it
costs more, misses of the caches have to account for the rest. Valgrind counts those, in
caches like this machine's: how many lines an item needs that lie in no second-level cache,
and how many pages that have no entry in the TLB. bench_touch says what such a line and such
a page cost at either size. An item that looks at more lines the more others there are would
be excused that way; so its instructions have to stay the same, too.
"""
import math
import os
import re
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from .commands import say
from .net import URING, EPOLL, Side, c_program, pinned, serving
from .report import Row
from .servers import find_nginx, nginx, write_lines

AT_MOST = 3                         # times what an item costs at the size of reference
STEADY = 1.1                        # its instructions
TRIMMED = 1.1                       # what a burst may leave behind
LEFT_KIB = 6 << 20                  # of memory, for whatever else runs here
BURST = 1_000_000
WEIGHABLE = 0.05                    # KiB an item: less is pages that anything else touches
IN_ALL_KIB = 512                    # where nothing may be left of each
TLB_PAGES = 2048                    # of the second level, as most cores of today have at least
STACK = 33 * 4096                   # from one stack to the next
RECORD = 320                        # from one task's record to the next


STEPS = (1, 10, 100, 1_000, 5_000, 10_000, 100_000, 1_000_000, 3_000_000, 10_000_000)


@dataclass
class Growth:
    """A work, and how large it is made. The command is a function of the size."""
    key: str
    title: str                      # what there are so many of; …
    item: str                       # … what an item is
    command: object = None
    largest: int = 1_000_000
    smallest: int = 10
    reference: int = 10_000
    kib: float = 0                  # of memory for each: what does not fit is not tried
    stacks: bool = False            # each waits on a stack of its own
    figure: str = "ns"
    memory: str = "kib"
    counted: object = None          # two commands and by how many items they differ, for valgrind
    points: dict = field(default_factory=dict)      # ns, first and kib of an item, by size
    counts: dict = field(default_factory=dict)      # instructions, lines and pages of one

    def sizes(self, quick):
        """Powers of ten, and the largest that may be."""
        most = min(self.largest, 100_000 if self.stacks else 1_000_000) if quick else self.largest
        if self.kib:
            most = min(most, int(available_kib() / self.kib))
        top = max(step for step in STEPS if step <= most)
        return [step for step in STEPS if self.smallest <= step <= top
                and (step == top or str(step).strip("0") == "1")]

    def note(self, size, figures):
        """The least of several runs: what others do here only adds to it."""
        point = self.points.setdefault(size, {})
        for figure, value in figures.items():
            point[figure] = min(value, point.get(figure, value))

    @property
    def base(self):
        return max(size for size in self.points if size <= self.reference)

    @property
    def top(self):
        return max(self.points)

    def ratio(self, figure="ns"):
        """Of an item at the largest size and at that of reference; None where there is none."""
        top, base = (self.points[size].get(figure) for size in (self.top, self.base))
        return top / base if top is not None and base else None

    def visits_stacks(self):
        """Does each item need a stack that was not needed lately?"""
        return any(count["pages"] >= 1 for count in self.counts.values())

    def reaches(self):
        """How many of them the levels of this machine's memory hold."""
        if not self.counts:
            return []
        most = self.counts[max(self.counts)]
        needs = (("L2", L2 // 64, "lines"), ("TLB", TLB_PAGES, "pages"), ("L3", L3 // 64, "lines"))
        return [(name, room / most[what]) for name, room, what in needs if most[what] > 0.1]


def available_kib():
    meminfo = Path("/proc/meminfo").read_text()
    return int(re.search(r"MemAvailable:\s+(\d+)", meminfo).group(1)) - LEFT_KIB


# -------------------------------------------------------------------- the works

def works(bench):
    program = {name: bench.program(name) for name in ("grow", "tree", "timeout", "cancel",
                                                      "sleepers")}
    def grown(key, title, item, items=200_000 if bench.quick else 500_000, **more):
        def command(size, count=items):
            return [program["grow"], key, str(size), str(count)]
        return Growth(key, title, item, command,
                      counted=lambda size: (command(size, size), command(size, 2 * size), size),
                      **more)

    def stacked(key, title, item, **more):
        return grown(key, title, item, stacks=True, kib=4.9, **more)

    def once(key, title, item, name, *words, **more):
        def command(size):
            return [program[name], str(size), *words]
        return Growth(key, title, item, command,
                      counted=lambda size: (command(1), command(size), size), **more)

    def tree(size):
        return [program["tree"], str(len(str(size)) - 1)]

    def beside(size, rounds=200_000):
        return [program["timeout"], str(rounds), str(size)]

    return [
        stacked("yield", "tasks yield in turn", "a yield", largest=3_000_000),
        grown("spawn", "tasks of a group end at once", "a task", largest=10_000_000, kib=0.6),
        stacked("half", "… half of them yield once", "a task"),
        stacked("blocked", "… all blocked at once", "a task"),
        stacked("wake", "wait for an event", "woken and joined"),
        grown("succession", "tasks one after another", "a task", largest=10_000_000),
        Growth("tree", "leaves of a tree", "a leaf", tree, figure="tree", memory="tree_mib",
               largest=10_000_000, counted=lambda size: (tree(10), tree(size), size)),
        stacked("pingpong", "tasks play ping-pong", "a message"),
        grown("queue", "places of a queue", "an item", largest=10_000_000, kib=0.1),
        stacked("semaphore", "tasks, semaphore of 5", "a pass"),
        grown("select", "channels of a select", "a channel", largest=1_000_000, kib=0.5),
        Growth("timeout", "timers beside a limit", "a limit, a wait", beside, figure="timeout",
               memory=None, stacks=True, kib=4.9,
               counted=lambda size: (beside(size, 10_000), beside(size, 20_000), 10_000)),
        grown("timers", "timers set and lifted", "a timer", largest=10_000_000, smallest=1000,
              kib=0.8),
        once("sleepers", "tasks sleep for 1 s at most", "a sleeper", "sleepers", "short",
             figure="sleepers", memory=None, stacks=True, kib=5, smallest=100),
        once("cancelled", "blocked, cancelled", "cancelled and joined", "cancel",
             figure="joined", memory=None, stacks=True, kib=5),
        grown("scopes", "scopes, nested", "opened and closed", largest=10_000_000, kib=0.7),
        grown("calls", "scopes around a call", "a limit, a yield", largest=5_000, smallest=1,
              reference=10),
        grown("cancel", "scopes around who is cancelled", "a scope", 20_000, largest=5_000,
              smallest=1, reference=10),
        Growth("within", "scopes around 1,000 cancelled", "a task",
               lambda size: [program["grow"], "within", str(size), "20000"], memory=None,
               largest=5_000, smallest=1, reference=10),
        grown("levels", "groups in groups", "a group, a task", largest=5_000, smallest=1,
              reference=100, stacks=True),
    ]


def figures_of(command, env=None):
    """As Bench's; but that a million tasks keep others waiting need not be said."""
    done = subprocess.run(command, env=dict(os.environ, **(env or {})), text=True,
                          capture_output=True)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")
    return {name: float(value) for name, value in map(str.split, done.stdout.splitlines())}


def run(work, size):
    said = figures_of(work.command(size))
    figures = {"ns": said[work.figure]}
    if "first" in said:
        figures["first"] = said["first"]
    if work.memory in said:
        figures["kib"] = said[work.memory] * (1024 / size if work.memory.endswith("mib") else 1)
    work.note(size, figures)


def times(bench, size):
    """How often, of which the least counts. Millions take seconds, and vary less."""
    return 1 if size > 100_000 else 3 if size <= 10_000 and not bench.quick else 2


def grow(bench, all_works):
    for work in all_works:
        say(f"grow: {work.key}")
        for size in work.sizes(bench.quick):
            for _ in range(times(bench, size)):
                run(work, size)


# ------------------------------------------------------- connections, requests, pages

def connections(bench):
    """The server's processor time a request, and the most memory that it held."""
    work = Growth("echo", "connections, echo", "a request, server CPU", reference=100,
                  largest=1_000 if bench.quick else 10_000)
    side = Side([c_program(bench, "kin_net")], **kin_backend(bench))
    for size in work.sizes(bench.quick):
        with serving(side, "echo") as (port, pid):
            before = peak_kib(pid)
            said = figures_of(pinned(1, [str(c_program(bench, "load")), port, str(pid),
                                         str(size), "0.5" if bench.quick else "1"]))
            work.note(size, {"ns": said["cpu_ns"], "kib": (peak_kib(pid) - before) / size})
    return work


def kin_backend(bench):
    return URING if c_program(bench, "raw_uring") else EPOLL


def peak_kib(pid):
    status = Path(f"/proc/{pid}/status").read_text()
    return sum(int(kib) for kib in re.findall(r"^(?:VmHWM|VmPTE):\s+(\d+)", status, re.M))


def short_connections(bench):
    work = Growth("short", "connections, one request each", "a connection, client CPU",
                  reference=1_000, smallest=100, largest=10_000)
    server = Side([c_program(bench, "raw_epoll")])
    client = Side([c_program(bench, "kin_net")], **kin_backend(bench))
    for size in work.sizes(bench.quick):
        with serving(server) as (port, _):
            said = figures_of(pinned(1, client.words("short", port, size)), client.env)
            work.note(size, {"ns": said["short_ns"]})
    return work


def pages(bench):
    """kin fetch, 50 at a time. What it takes to start is taken off."""
    work = Growth("fetch", "pages, kin fetch", "a page, client CPU", reference=10_000,
                  smallest=100, largest=10_000 if bench.quick else 100_000)
    with nginx(bench.scratch) as site:
        start = fetch(bench, site.http[:1])
        for size in work.sizes(bench.quick):
            took = fetch(bench, [site.http[i % len(site.http)] for i in range(size)])
            work.note(size, {"ns": (took.cpu - start.cpu) * 1e9 / size,
                             "kib": max(took.peak_kib - start.peak_kib, 0) / size})
    return work


def fetch(bench, urls):
    listed = write_lines(bench.scratch / "growing", urls)
    with open(listed) as stdin:
        took = bench.measure([bench.kin, "fetch", "-j", "50", "--progress", "never", "-"],
                             stdin=stdin)
    if took.status != 0:
        raise RuntimeError(f"kin fetch of {len(urls)} URLs ended with status {took.status}")
    return took


def of_the_network(bench):
    say("grow: connections and pages")
    found = [connections(bench), short_connections(bench)]
    if not find_nginx():
        bench.skip("pages", "nginx is not installed")
        return found
    return [*found, pages(bench)]


# ------------------------------------------------------------------------ valgrind

def cache_bytes(level, otherwise):
    said = Path(f"/sys/devices/system/cpu/cpu0/cache/index{level}/size")
    return int(said.read_text()[:-2]) << 10 if said.exists() else otherwise


L2, L3 = cache_bytes(2, 1 << 20), cache_bytes(3, 32 << 20)
# A first level of pages instead of lines is a TLB.
LINES = ["--D1=32768,8,64", f"--LL={L2},8,64"]
PAGES = [f"--D1={TLB_PAGES * 4096},8,4096", "--LL=67108864,16,4096"]
INSTRUCTIONS = r"I\s+refs:\s+([\d,]+)"
LL_MISSES, D1_MISSES = r"LLd misses:\s+([\d,]+)", r"D1\s+misses:\s+([\d,]+)"


def counted(caches, patterns, commands):
    """What the second of the commands counts more than the first, by items."""
    *both, items = commands
    counts = []
    for command in both:
        done = subprocess.run(
            ["valgrind", "--tool=cachegrind", "--cache-sim=yes", *caches,
             "--cachegrind-out-file=/dev/null", *command], text=True, capture_output=True,
            env=dict(os.environ, KIN_BACKEND="epoll"))
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(command)}: under valgrind: {done.stderr[-300:]}")
        counts.append([int(re.search(pattern, done.stderr).group(1).replace(",", ""))
                       for pattern in patterns])
    return [(more - less) / items for less, more in zip(*counts)]


def count(work):
    """Instructions and lines of an item, at two sizes; pages at the larger. That is more than
    the second level of any cache holds."""
    say(f"grow: {work.key}, counted")
    small, large = (500, 5_000) if work.largest < 10_000 else (1_000, 10_000)
    for size in (small, large):
        instructions, lines = counted(LINES, (INSTRUCTIONS, LL_MISSES), work.counted(size))
        work.counts[size] = {"instructions": instructions, "lines": lines, "pages": 0}
    if work.stacks:
        work.counts[large]["pages"] = counted(PAGES, (D1_MISSES,), work.counted(large))[0]


# -------------------------------------------------------- what a line and a page cost

def touches(bench):
    """A line in the distance of stacks, and one in that of records."""
    far = Growth("far", "lines, apart as stacks are", "a read",
                 lambda size: [bench.program("touch"), str(size), str(STACK)], figure="touch",
                 memory=None, stacks=True, kib=4.3)
    near = Growth("near", f"lines, {RECORD} bytes apart", "a read",
                  lambda size: [bench.program("touch"), str(size), str(RECORD)], figure="touch",
                  memory=None, kib=0.4, largest=10_000_000)
    switch = Growth("switch", "bare switches", "a switch",
                    lambda size: [bench.program("switch"), str(max(2_000_000 // size, 2)),
                                  str(size)], figure="switch", memory=None, stacks=True, kib=4.9)
    return far, near, switch


def cost_among(line, size):
    """Of a line among so many; between two sizes by the logarithm, beyond them as the last."""
    sizes = sorted(line.points)
    size = min(max(size, sizes[0]), sizes[-1])
    above = next(step for step in sizes if step >= size)
    below = max(step for step in sizes if step <= size)
    share = math.log(size / below) / math.log(above / below) if above > below else 0
    return line.points[below]["ns"] * (1 - share) + line.points[above]["ns"] * share


def dearer(line, work):
    """By how much such a line costs more at the largest size than at that of reference."""
    return max(cost_among(line, work.top) - cost_among(line, work.base), 0)


def accounted(work, far, near):
    """What of the growth are misses, in nanoseconds."""
    most = work.counts[max(work.counts)]
    pages = min(most["pages"], most["lines"])
    return pages * dearer(far, work) + (most["lines"] - pages) * dearer(near, work)


# ------------------------------------------------------------------------------ rows

@dataclass
class GrowthRow(Row):
    """Row of a table that a plot can be drawn of."""
    growth: Growth = None

    def as_json(self):
        return super().as_json() | {"key": self.growth.key, "points": self.growth.points,
                                    "counts": self.growth.counts}


def time_rows(work, lines):
    """The ratio; where it is more, that of what took so long to what was to be expected."""
    top, base = work.points[work.top]["ns"], work.points[work.base]["ns"]
    excusable = work.ratio() > AT_MOST and work.counts
    what = f"{work.title}: {work.item}, {work.top:,} / {work.base:,}"
    yield GrowthRow(what, [work.ratio()], at_most=None if excusable else AT_MOST,
                    sides={f"{work.top:,}": [top], f"{work.base:,}": [base]}, growth=work)
    if excusable:
        allowed = AT_MOST * base + accounted(work, *lines)
        yield Row(f"{work.title}: of {AT_MOST} times and its misses", [top / allowed], at_most=1,
                  sides={f"{work.top:,}": [top], "allowed": [allowed]})


def first_rows(work):
    ratio = work.ratio("first")
    if ratio is not None:
        first = {f"{size:,}": [work.points[size]["first"]] for size in (work.top, work.base)}
        yield Row(f"{work.title}: the first time, {work.top:,} / {work.base:,}", [ratio],
                  at_most=AT_MOST, sides=first)


def instruction_rows(work):
    if work.counts:
        small, large = (work.counts[size]["instructions"] for size in sorted(work.counts))
        sizes = " / ".join(f"{size:,}" for size in sorted(work.counts, reverse=True))
        yield Row(f"{work.title}: instructions, {sizes}", [large / small], at_most=STEADY,
                  sides={"large": [large], "small": [small]})


def memory_rows(work):
    ratio, top = work.ratio("kib"), work.points[work.top].get("kib", 0)
    if work.key == "succession":
        yield Row(f"{work.title}: KiB in all, {work.top:,}", [top * work.top], "",
                  at_most=IN_ALL_KIB)
    elif ratio is not None and top > WEIGHABLE:
        kib = {f"{size:,}": [work.points[size]["kib"]] for size in (work.top, work.base)}
        yield Row(f"{work.title}: KiB each, {work.top:,} / {work.base:,}", [ratio],
                  at_most=AT_MOST, sides=kib)


def burst(bench):
    tasks = BURST // 10 if bench.quick else BURST
    said = figures_of([bench.program("trim"), str(tasks)])
    what = f"after {tasks:,} blocked tasks and kin_trim, memory of before"
    return [Row(what, [said["trimmed"]], at_most=TRIMMED),
            Row(f"{what}, trimmed too", [said["trimmed_least"]]),
            Row("… and without kin_trim", [said["untrimmed"]]),
            Row("kin_trim after that", [said["trim_ms"]], "ms")]


def measure(bench):
    lines, all_works = touches(bench), works(bench)
    grow(bench, (*lines, *all_works))
    if shutil.which("valgrind"):
        for work in (work for work in all_works if work.counted):
            count(work)
    else:
        bench.skip("instructions and misses", "valgrind is not installed")
    all_works += of_the_network(bench)
    rows = [row for work in all_works for row in time_rows(work, lines[:2])]
    rows += [row for work in all_works for row in first_rows(work)]
    rows += [row for work in all_works for row in instruction_rows(work)]
    rows += [row for work in all_works for row in memory_rows(work)]
    rows += [GrowthRow(f"{line.title}: {line.item}, {line.top:,} / {line.base:,}",
                       [line.ratio()], growth=line) for line in lines]
    return rows + burst(bench)
