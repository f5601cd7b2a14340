#!/usr/bin/env python3
"""Runs each example program again and again: with its k-th blocking call cancelled, with its
k-th wait cancelled while it lasts, with its k-th request for memory refused, for every k
(docs/semantics.md Q4); and in random orders (Q2). Each time it must end by itself, without a
crash, a leak (where that is looked for), or a report that it does not give undisturbed. In
another order it must also do the same: what it prints may come in another order, no more.
Prints TAP.

    sweep.py BUILD-DIR SOURCE-DIR [NAME ...]
"""
import concurrent.futures
import os
import pathlib
import re
import subprocess
import sys

build, source = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
SEEDS = int(os.environ.get("EXAMPLE_SEEDS", 20))
LIMIT = 10 * int(os.environ.get("TAP_SLOW", 1))
# (That a step kept the others waiting is what a busy machine says of any.)
BAD = re.compile(r"misuse|deadlock|lost error|Sanitizer")
MOST_TO_BEGIN = 20      # requests, without which a run does not even begin
CHANCE = {"nested"}     # which of its errors is the first, and names the group's, is chance
results = []


def run(name, **variables):
    """How it ended, its lines, and what is bad about them."""
    try:
        done = subprocess.run([build / f"example-{name}"], env=os.environ | variables,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=LIMIT)
    except subprocess.TimeoutExpired:
        return "hangs", [], ["hangs"]
    lines = re.sub(r"0x[0-9a-f]{6,}", "0x…", done.stdout + done.stderr).split("\n")
    lines = [line for line in lines if "KIN_SEED=" not in line]     # how to see it again
    return done.returncode, lines, [line for line in lines if BAD.search(line)]


def new(bad, usual):
    """Kinds of bad lines that are not usual."""
    kinds = {word for line in usual for word in BAD.findall(line)}
    return [line for line in bad if not kinds.issuperset(BAD.findall(line))]


def faulty(name, kind, usual):
    """Findings, and at how many places there was a fault."""
    found, place = [], 0
    while True:
        place += 1
        code, lines, bad = run(name, KIN_FAULT=f"{kind}:{place}")
        counts = re.findall(r"there were (\d+) requests, (\d+) calls, (\d+) waits", "".join(lines))
        begun = counts or kind == "fail_request" and place <= MOST_TO_BEGIN
        if code not in (0, 1) or new(bad, usual) or not begun:
            return found + [f"{kind}:{place}", code] + lines, place
        index = ("fail_request", "cancel_call", "cancel_wait").index(kind)
        if counts and int(counts[-1][index]) < place:
            return found, place - 1


def shuffled(name, wanted):
    for seed in range(1, SEEDS + 1):
        code, lines, _ = run(name, KIN_SEED=str(seed))
        same = name in CHANCE or sorted(lines) == sorted(wanted)
        if code != 0 or not same:
            return [f"KIN_SEED={seed}", code] + lines
    return []


def sweep(name):
    code, lines, usual = run(name)
    found, places = ([], 0) if code == 0 else ([code] + lines, 0)
    for kind in ("fail_request", "cancel_call", "cancel_wait"):
        more, count = faulty(name, kind, usual)
        found, places = found + more, places + count
    if places == 0:
        found.append("there was no fault at all")
    return found + shuffled(name, lines), places


def check(name, found, places):
    results.append(not found)
    print(f"{'not ok' if found else 'ok'} {len(results)} - Q4_example_{name} # {places} faults",
          flush=True)
    for line in found:
        print(f"# {line}")


names = sys.argv[3:] or sorted(path.stem for path in (source / "examples").glob("*.c")
                               # one needs a server (see tests/cli), two are servers
                               if path.stem not in {"crawl", "server", "http_server"})
with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
    for name, result in zip(names, pool.map(sweep, names)):
        check(name, *result)
print(f"1..{len(results)}")
sys.exit(not all(results))
