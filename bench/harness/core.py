"""The core beside bare switches and its peers: the table of works.py, and what only kin has."""
from collections import defaultdict
from statistics import median

from .commands import say
from .peers import find_peers
from .report import Row, ratio_row
from .works import WORKS


def sides_of(bench, work):
    """Who does this work: name and command, kin first."""
    found = find_peers(bench)
    sides = {"kin": [bench.program(work.kin[0])]}
    if "bare switch" in work.peers:
        sides["bare switch"] = [bench.program("switch")]
    return sides | {peer: found[peer] for peer in work.peers if peer in found}


def figure_of(work, side):
    if side == "kin":
        return work.figure or work.name
    return "switch" if side == "bare switch" else work.peers_figure or work.name


def wanted(bench):
    return [work for work in WORKS if bench.works is None or work.key in bench.works]


def one_round(bench, number, samples):
    """Every side of every work once, one after the other."""
    for work in wanted(bench):
        if number >= work.most_rounds:
            continue
        for side, command in sides_of(bench, work).items():
            figures = bench.figures(work.command(side, command, bench.quick))
            samples[work.key][side].append(figures[figure_of(work, side)])
            for figure, title in work.extras.items():
                if figure in figures:
                    samples[f"{work.key}, {title}"][side].append(figures[figure])


def rows_of(work, samples):
    """A row for each peer; the target stands at the best of those that it names."""
    peers = [peer for peer in samples if peer != "kin"]
    named = [peer for peer in peers if peer in (work.among or work.peers)]
    best = min(named, key=lambda peer: median(samples[peer]), default=None)
    for peer in peers:
        target = {"at_most": work.at_most} if peer == best and work.at_most else {}
        yield ratio_row(work.title, ("kin", samples["kin"]), (peer, samples[peer]),
                        work=work.title, **target)


def rows_of_sleepers(samples):
    """tokio's tasks have no stacks: what kin's first touch of those takes is taken off."""
    touch = samples["sleepers, first touch of its stack, ns"]["kin"]
    less = [cpu - page for cpu, page in zip(samples["sleepers"]["kin"], touch)]
    if less and samples["sleepers"]["tokio"]:
        yield ratio_row("a million sleepers, CPU less first touch of stacks", ("kin", less),
                        ("tokio", samples["sleepers"]["tokio"]), at_most=1)
    for title in ("wall, s", "peak memory of each, KiB"):
        for side, values in samples[f"sleepers, {title}"].items():
            yield Row(f"a million sleepers, {title}: {side}", values, "",
                      at_most=4.6 if side == "kin" and "memory" in title else None)


def rows_of_kin(samples):
    """What is promised of kin alone, or beside itself."""
    alone = samples["timeout"]["kin"]
    for beside in ("10,000", "1,000,000"):
        values = samples[f"timeout{beside.replace(',', '')}"]["kin"]
        if alone and values:
            yield ratio_row(f"limit, wait: beside {beside}", ("kin", values), ("alone", alone),
                            at_most=1.2)
    for side, values in samples["cancel, until the call returns, ns"].items():
        yield Row(f"cancel 100,000 blocked, until the call returns: {side}", values, "ns")
    for side, values in samples["tree, peak memory, MiB"].items():
        yield Row(f"skynet, peak memory: {side}", values, "MiB",
                  at_most=29 if side == "kin" else None)


def dormitory(bench):
    """All asleep at the same time: what each weighs, and how late the last of them woke."""
    tasks = 100_000 if bench.quick else 1_000_000
    figures = bench.figures([bench.program("sleepers"), str(tasks)])
    return [Row(f"{tasks:,} asleep at once: memory of each", [figures["sleepers_kib"]], "KiB",
                at_most=4.6),
            Row(f"{tasks:,} asleep at once: late by at most", [figures["sleepers_late_ms"]], "ms",
                at_most=2)]


def measure(bench):
    samples = defaultdict(lambda: defaultdict(list))
    for number in range(bench.rounds):
        say(f"core: round {number + 1} of {bench.rounds}")
        one_round(bench, number, samples)
    rows = [row for work in wanted(bench) for row in rows_of(work, samples[work.key])]
    rows += [*rows_of_kin(samples), *rows_of_sleepers(samples)]
    return rows if bench.works else rows + dormitory(bench)
