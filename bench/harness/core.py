"""The core beside itself and its peers: switches, tasks, trees, sleepers."""
from collections import defaultdict

from .commands import BENCH
from .report import Row, ratio_row

# Sizes: (full, quick). asyncio does less of the same: its figures are per task, too.
SIZES = {
    "switch": (20_000_000, 4_000_000),
    "yield": (10_000_000, 2_000_000),
    "spawn": (10_000, 2_000),
    "tree": (6, 6),
    "limit": (5_000_000, 1_000_000),
}
GO_SIZES = {"yield": (2_000_000, 500_000), "spawn": (1_000, 200), "tree": (6, 6)}
PYTHON_SIZES = {"yield": (100_000, 50_000), "spawn": (50, 20), "tree": (4, 4)}


def one_round(bench, go, python, samples):
    """Every side once, one after the other."""
    for name, sizes in SIZES.items():
        size = str(sizes[bench.quick])
        for figure, value in bench.figures([bench.program(name), size]).items():
            samples["kin", figure].append(value)
        for side, peer, peer_sizes in (("Go", go, GO_SIZES), ("asyncio", python, PYTHON_SIZES)):
            if peer and name in peer_sizes:
                figures = bench.figures([*peer, name, str(peer_sizes[name][bench.quick])],
                                        GOMAXPROCS="1")
                samples[side, name].append(figures[name])


def sleepers(bench, go):
    tasks = 100_000 if bench.quick else 1_000_000
    figures = bench.figures([bench.program("sleepers"), str(tasks)])
    rows = [Row(f"{tasks:,} sleepers: memory of each", [figures["sleepers_kib"]], "KiB",
                at_most=4.6),
            Row(f"{tasks:,} sleepers: the last is late by", [figures["sleepers_late_ms"]], "ms")]
    if go:
        theirs = bench.figures([*go, "sleepers", str(tasks)], GOMAXPROCS="1")
        rows.append(Row(f"{tasks:,} sleepers: memory of each in Go", [theirs["sleepers_kib"]],
                        "KiB"))
    return rows


def measure(bench):
    program, python = bench.go_peer(), bench.python()
    go = [program] if program else bench.skip("Go", "not installed (golang-go)")
    asyncio = [python, str(BENCH / "peers" / "peer.py")] if python else bench.skip(
        "asyncio", "no Python 3.11")
    samples = defaultdict(list)
    for _ in range(bench.rounds):
        one_round(bench, go, asyncio, samples)

    def side(name, figure):
        return name, samples[name, figure]

    switch = "switch", samples["kin", "switch"]
    rows = [Row("bare switch", samples["kin", "switch"], "ns"),
            ratio_row("yield", side("kin", "yield"), switch),
            ratio_row("spawn and join of a named task", side("kin", "spawn"), switch, at_most=5),
            ratio_row("the same with a record of its outcome", side("kin", "spawn_recorded"),
                      switch),
            ratio_row("task of a tree of 1,111,111", side("kin", "tree"), switch),
            ratio_row("limit set and lifted", side("kin", "limit"), switch),
            ratio_row("limit set and lifted around a yield", side("kin", "limit_yield"), switch)]
    for peer in ("Go", "asyncio"):
        if samples[peer, "tree"]:
            target = {"at_least": 5} if peer == "Go" else {}
            rows += [ratio_row("yield", side(peer, "yield"), side("kin", "yield")),
                     ratio_row("spawn and join", side(peer, "spawn"), side("kin", "spawn_recorded")),
                     ratio_row("tree of tasks", side(peer, "tree"), side("kin", "tree"),
                               **target)]
    return rows + sleepers(bench, go)
