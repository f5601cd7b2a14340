"""Instructions of the hot paths, counted by callgrind: the same on every machine.

Counted is the difference between two sizes of the same program, so that start and
end of the process do not count. On the epoll backend: Valgrind knows no rings.
"""
import re
import shutil

from .report import Row

# Name of the program, operations in one unit of its size, and what it may at most take.
PATHS = (("yield", 2, None), ("spawn", 2000, None), ("limit", 2, None))
COLLECTED = re.compile(rb"Collected : (\d+)")


def count(bench, program, size):
    said = bench.output_of(
        ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null",
         bench.program(program), str(size)], KIN_BACKEND="epoll")
    return int(COLLECTED.search(said).group(1))


def measure(bench):
    if not shutil.which("valgrind"):
        bench.skip("instructions", "valgrind is not installed")
        return []
    rows = []
    for program, operations, at_most in PATHS:
        small, large = (1_000, 11_000) if operations == 2 else (10, 30)
        extra = count(bench, program, large) - count(bench, program, small)
        rows.append(Row(f"instructions: {program}", [extra / operations / (large - small)], "",
                        at_most=at_most))
    return rows
