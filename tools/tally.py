#!/usr/bin/env python3
"""Adds up what ./check ran.

    tally.py LOGS           the failures, the rules held, and the closing line
    tally.py --line LOGS S  one line about suite S

LOGS/suites has a line "STATUS NAME" for each run of meson, whose log (one JSON
object a test program) is LOGS/NAME.json; LOGS/parts has TAP lines of its own. A
program that speaks TAP counts with each of its tests, any other as one. A
program that ended badly although no test of it says so (a crash between tests,
a plan not kept) is one failure more, and so is a suite that ran nothing:
silence is never success.

A rule of the contract (G2, T16 …) is held when at least one test bears its id and
none of these failed in any suite.
"""
import json
import re
import sys
from itertools import groupby
from pathlib import Path

TAP_LINE = re.compile(r"^(not ok|ok)\b\s*\d*\s*-?\s*([^#\n]*)(?:#\s*(SKIP.*))?", re.I)
TAP_PLAN = re.compile(r"^1\.\.(\d+)", re.M)
RULE = re.compile(r"^((?:[GCDEFQSTW]\d+_)+)")
MEANT = {"OK", "SKIP", "EXPECTEDFAIL"}
SHOWN_LINES = 60


def parse_tap(text):
    """[(outcome, name, its comments)] of a TAP text. What a failed test has to say
    stands below its line in some programs, above it in others; the ones that pass
    say nothing."""
    tests, above = [], []
    for line in text.splitlines():
        match = TAP_LINE.match(line)
        if TAP_PLAN.match(line):
            continue
        if not match:
            above.append(line)
            if tests:
                tests[-1][2].append(line)
            continue
        word, name, skip = match.groups()
        outcome = "failed" if word.lower() == "not ok" else "skipped" if skip else "passed"
        after_quiet = not tests or tests[-1][0] == "passed"
        comments = [skip[4:].strip()] if skip else above if after_quiet else []
        tests.append((outcome, name.strip(), list(comments)))
        above = []
    return tests


def program_results(record):
    """The tests of one program, as meson's log has it."""
    name, out, err = record["name"], record.get("stdout") or "", record.get("stderr") or ""
    plan = TAP_PLAN.search(out)
    tests = parse_tap(out) if plan else []
    bad = record["result"] not in MEANT
    if tests and (not bad or any(test[0] == "failed" for test in tests)):
        if len(tests) < int(plan.group(1)):
            tests.append(("failed", "(ended before its last test)", err.splitlines()))
        return tests
    whole = "failed" if bad else "skipped" if record["result"] == "SKIP" or plan else "passed"
    about = f"({record['result'].lower()}, status {record['returncode']})" if bad else name
    return tests + [(whole, about, (out + err).splitlines())]


def suite_results(logs, suite, status):
    """[(program, outcome, test, comments)] of one run of meson."""
    results = []
    path = logs / f"{suite}.json"
    for line in path.read_text().splitlines() if path.exists() else []:
        record = json.loads(line)
        results += [(record["name"], *test) for test in program_results(record)]
    told = any(result[1] == "failed" for result in results)
    if not results or (status and not told):
        said = logs / f"{suite}.txt"
        text = said.read_text(errors="replace").splitlines() if said.exists() else []
        results.append(("meson test", "failed", f"(status {status})", text))
    return results


def read_suites(logs):
    path = logs / "suites"
    lines = path.read_text().splitlines() if path.exists() else []
    return {name: suite_results(logs, name, int(status))
            for status, name in (line.split(" ", 1) for line in lines)}


def read_parts(logs):
    path = logs / "parts"
    return [(name, outcome, name, comments)
            for outcome, name, comments in parse_tap(path.read_text() if path.exists() else "")]


def counts(results):
    return {outcome: sum(result[1] == outcome for result in results)
            for outcome in ("passed", "failed", "skipped")}


def line_of(results):
    n = counts(results)
    line = f"{n['passed']} passed, {n['failed']} failed"
    return line + (f", {n['skipped']} skipped" if n["skipped"] else "")


def print_failures(suite, results):
    for program, outcome, test, comments in results:
        if outcome == "failed":
            print(f"\n--- {suite}: {program}: {test}")
            if len(comments) > SHOWN_LINES:
                print(f"[{len(comments) - SHOWN_LINES} lines left out]")
            print("\n".join(comments[-SHOWN_LINES:]))


def print_skips(results):
    """Which programs skipped how much, and why; the same in several suites only once."""
    skips = sorted({(program, " ".join(comments) or "no reason given", test)
                    for program, outcome, test, comments in results if outcome == "skipped"})
    if skips:
        print("\nSkipped:")
    for (program, why), tests in groupby(skips, key=lambda skip: skip[:2]):
        print(f"  {program}: {', '.join(test for _, _, test in tests)} ({why})")


def rule_ids(test):
    match = RULE.match(test)
    return match.group(1).strip("_").split("_") if match else []


def by_kind_and_number(rule):
    return rule[0], int(rule[1:])


def print_rules(results):
    passed, failed = set(), set()
    for _, outcome, test, _ in results:
        if outcome != "skipped":
            (failed if outcome == "failed" else passed).update(rule_ids(test))
    held = sorted(passed - failed, key=by_kind_and_number)
    print(f"\nRules held ({len(held)}): {' '.join(held)}")
    if failed:
        print(f"Rules broken: {' '.join(sorted(failed, key=by_kind_and_number))}")


def main():
    if sys.argv[1] == "--line":
        logs, suite = Path(sys.argv[2]), sys.argv[3]
        print(f"{suite}: {line_of(read_suites(logs)[suite])}")
        return 0
    logs = Path(sys.argv[1])
    suites = read_suites(logs)
    for suite, results in suites.items():
        print_failures(suite, results)
    everything = read_parts(logs) + [result for results in suites.values() for result in results]
    print_skips(everything)
    print_rules(everything)
    print(line_of(everything))
    n = counts(everything)
    return 1 if n["failed"] or not n["passed"] else 0


if __name__ == "__main__":
    sys.exit(main())
