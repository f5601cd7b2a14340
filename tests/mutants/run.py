#!/usr/bin/env python3
"""Shows how strong the tests are: plants bugs, one at a time, and wants each to be found.

    tests/mutants/run.py              all of them, about twenty minutes
    tests/mutants/run.py G3 wheel     those whose name contains one of the words
    tests/mutants/run.py --list

A bug is one replacement in one source file (mutants.py). It is planted into a copy of
the tree, which is built, and the suite's core programs run, on the virtual clock but for
those that need the real one, the random programs last, with 20,000 of them. The first that fails, or dies, has found
the bug. A bug that nobody finds is a missing test; a replacement that does not apply
any more is an error, too. Prints TAP.
"""
import argparse
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True

from mutants import MUTANTS

TREE = pathlib.Path(__file__).resolve().parent.parent.parent
LAST = "random"
RANDOM_PROGRAMS = "20000"
LIMIT = 300         # seconds a program; a mutant may hang


def run(command, **options):
    return subprocess.run(command, stdin=subprocess.DEVNULL, text=True, errors="replace",
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options)


class Copy:
    """A copy of the tree with a build of its own."""

    def __init__(self, directory):
        self.tree, self.build = directory / "tree", directory / "build"
        shutil.copytree(TREE, self.tree, ignore=shutil.ignore_patterns(".git", "build*"))
        done = run(["meson", "setup", self.build, self.tree, "-Dexamples=false", "-Dbench=false",
                    "-Ddefault_library=static", "-Db_ndebug=false", "-Doptimization=1"])
        if done.returncode:
            sys.exit(done.stdout)

        tests = json.loads(run(["meson", "introspect", "--tests", self.build]).stdout)
        backends = {}
        for test in tests:
            if "kin:core" in test["suite"] and "KIN_BACKEND" in test["env"]:
                program = pathlib.Path(test["cmd"][0])
                backends.setdefault(program, set()).add(test["env"]["KIN_BACKEND"])
        self.backend = {program: "virtual" if "virtual" in some else "epoll"
                        for program, some in backends.items()}
        self.programs = sorted(self.backend, key=self.order)

    @staticmethod
    def order(program):
        """The large ones last."""
        return program.name.startswith(LAST), program.name.startswith("break_"), program.name

    def compile(self):
        return run(["ninja", "-C", self.build,
                    *(program.relative_to(self.build) for program in self.programs)])

    def find(self):
        """The first test program that fails, and its first failed line."""
        for program in self.programs:
            env = dict(os.environ, KIN_BACKEND=self.backend[program],
                       RANDOM_SEEDS=RANDOM_PROGRAMS)
            try:
                done = run([program], env=env, timeout=LIMIT)
            except subprocess.TimeoutExpired:
                return f"{program.name}: hangs"
            if done.returncode:
                failed = [line for line in done.stdout.splitlines() if line.startswith("not ok")]
                return f"{program.name}: {failed[0] if failed else f'status {done.returncode}'}"
        return None


def try_mutant(copy, mutant):
    """(good, what to say)"""
    path = copy.tree / "src" / mutant.file
    before = path.read_text()
    if before.count(mutant.old) != 1:
        return False, f"applies {before.count(mutant.old)} times"
    path.write_text(before.replace(mutant.old, mutant.new))
    try:
        built = copy.compile()
        if built.returncode:
            return False, "does not compile\n" + built.stdout[-2000:]
        found = copy.find()
    finally:
        path.write_text(before)
    return bool(found), f"found by {found}" if found else "NOBODY NOTICED"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("words", nargs="*")
    parser.add_argument("--list", action="store_true")
    asked = parser.parse_args()
    chosen = [m for m in MUTANTS if not asked.words or any(w in m.name for w in asked.words)]
    if asked.list:
        print("\n".join(m.name for m in chosen))
        return 0
    bad = 0
    with tempfile.TemporaryDirectory(prefix="kin-mutants-") as directory:
        copy = Copy(pathlib.Path(directory))
        built = copy.compile()
        sound = None if built.returncode else copy.find()
        if built.returncode or sound:
            sys.exit(f"without any bug: {sound or built.stdout[-4000:]}")
        for number, mutant in enumerate(chosen, 1):
            good, text = try_mutant(copy, mutant)
            bad += not good
            first, *rest = text.splitlines()
            print(f"{'ok' if good else 'not ok'} {number} - {mutant.name} # {first}", flush=True)
            for line in rest:
                print("# " + line)
    print(f"1..{len(chosen)}")
    return 1 if bad or not chosen else 0


if __name__ == "__main__":
    sys.exit(main())
