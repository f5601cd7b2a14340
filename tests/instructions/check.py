#!/usr/bin/env python3
"""Counts the instructions of the hot paths, and holds them against a bound. Prints TAP.

    check.py                      builds a release in build-check/release, and checks it
    check.py --build              builds it only
    check.py --program PATHS      checks that program, as the test does
    check.py --update             writes today's counts into the table below

Counted is what Valgrind's callgrind collects of two sizes of the same program (paths.c);
the difference, divided by the operations, is what one operation takes, without the start
and the end of the process. It hardly varies between runs and machines, but it does between
compilers: the table is that of gcc 12 on x86-64, and elsewhere the test is skipped.

Whoever makes a path longer sees the test fail. If that is worth it, --update raises the
bound, and the commit says what was bought. A path that has become shorter is only
mentioned: --update lowers its bound.
"""
import argparse
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

TREE = Path(__file__).resolve().parents[2]
BUILD = TREE / "build-check" / "release"
BUILT = "tests/instructions/paths"
OPTIONS = ("--buildtype=release", "-Db_lto=true", "-Dhttp=disabled", "-Dbench=false",
           "-Dexamples=false")

MEASURED_ON = "gcc 12 x86_64"
AT_MOST = 1.03                  # times today's
MUCH_LESS = 0.95
# The instructions of one operation.
TODAY = {
    "yield": 86.2,
    "spawn_join": 172.7,
    "cancel_join": 958.1,
    "limit": 207.0,
    "limit_wait": 502.6,
    "semaphore": 274.3,
    "queue": 107.1,
    "ping_pong": 189.8,
    "select_8": 741.5,
    "park_wake_epoll": 1184.2,
}

OPERATIONS = 1_000              # of the smaller size; the larger has three times as many
COLLECTED = re.compile(r"Collected : (\d+)")


def quietly(*command):
    """Runs it, and shows what it said if it fails."""
    done = subprocess.run(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode != 0:
        sys.exit(done.stdout)


def build():
    """Only what is counted: a release of all the tests would take minutes."""
    if not (BUILD / "build.ninja").exists():
        quietly("meson", "setup", BUILD, TREE, *OPTIONS)
    quietly("ninja", "-C", BUILD, BUILT)
    return BUILD / BUILT


def paths_of(program):
    """On what it was compiled, and the operations in a unit of each path."""
    compiler, *lines = subprocess.run([program], check=True, text=True,
                                      stdout=subprocess.PIPE).stdout.splitlines()
    return compiler, {name: int(operations) for name, operations in map(str.split, lines)}


def instructions(program, path, units):
    done = subprocess.run(
        ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", program, path,
         str(units)], env={"PATH": os.environ["PATH"]}, text=True, stderr=subprocess.PIPE)
    if done.returncode != 0:
        raise RuntimeError(f"{path} ended with status {done.returncode}:\n{done.stderr}")
    return int(COLLECTED.search(done.stderr)[1])


def count(program, path, operations):
    """The instructions of one operation."""
    small = max(1, OPERATIONS // operations)
    more = instructions(program, path, 3 * small) - instructions(program, path, small)
    return more / (2 * small * operations)


def why_not(compiler):
    """Why the counts cannot be compared here, or None."""
    if not shutil.which("valgrind"):
        return "valgrind is not installed"
    if compiler != MEASURED_ON:
        return f"the counts are those of {MEASURED_ON}, this is {compiler}"
    return None


def check(number, path, counted):
    today = TODAY.get(path)
    if today is None:
        print(f"not ok {number} - {path}\n# {counted:.1f}, and not in the table")
        return False
    good = counted <= today * AT_MOST
    print(f"{'ok' if good else 'not ok'} {number} - {path}_in_at_most_so_many_instructions")
    print(f"# {counted:.1f}, at most {today * AT_MOST:.1f} ({counted / today - 1:+.1%})")
    if not good:
        print("# what to do: see the first lines of tests/instructions/check.py")
    elif counted < today * MUCH_LESS:
        print("# much less than the table says: check.py --update lowers the bound")
    return good


def check_all(program, paths):
    good = True
    print(f"1..{len(paths) + 1}")
    for number, (path, operations) in enumerate(paths.items(), 1):
        try:
            good &= check(number, path, count(program, path, operations))
        except RuntimeError as error:
            print(f"not ok {number} - {path}\n# " + str(error).replace("\n", "\n# "))
            good = False
        sys.stdout.flush()
    gone = sorted(TODAY.keys() - paths.keys())
    print(f"{'not ok' if gone else 'ok'} {len(paths) + 1} - each_path_of_the_table_is_counted")
    if gone:
        print(f"# {', '.join(gone)}")
    return good and not gone


def update(program, paths):
    rows = [(path, count(program, path, operations)) for path, operations in paths.items()]
    lines = [f'    "{path}": {counted:.1f},\n' for path, counted in rows]
    source = Path(__file__)
    source.write_text(re.sub(r"(?ms)^TODAY = \{\n.*?^\}", "TODAY = {\n" + "".join(lines) + "}",
                             source.read_text(), count=1))
    for path, counted in rows:
        was = f"{TODAY[path]:8.1f}" if path in TODAY else f"{'':8}"
        print(f"{path:16} {was} -> {counted:.1f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--program", help="paths, as a release is built; else one is built")
    parser.add_argument("--update", action="store_true", help="write today's counts into the table")
    parser.add_argument("--build", action="store_true", help="build the release only")
    asked = parser.parse_args()
    program = asked.program or build()
    if asked.build:
        return 0
    compiler, paths = paths_of(program)
    why = why_not(compiler)
    if asked.update:
        return update(program, paths) if not why else why
    if why:
        print(f"1..0 # SKIP {why}")
        return 0
    return 0 if check_all(program, paths) else 1


if __name__ == "__main__":
    sys.exit(main())
