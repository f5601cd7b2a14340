#!/usr/bin/env python3
"""Says which rules of the contract a test run held.

    meson test -C build; tests/rules.py build/meson-logs/testlog.txt
    build/tests/core/group | tests/rules.py

A test is named after its rule (G2_close_waits_for_all) or after the trap that
it keeps shut (T16_...). A rule is held if at least one of its tests ran and all
that ran passed. Exits with 1 if a rule was broken, or one asked for with
--require is without a test that ran.
"""
import argparse
import collections
import re
import sys

LINE = re.compile(r'^\s*(not )?ok \d+ - (\S+)(?: # (SKIP)\b.*)?')
RULES = re.compile(r'^(?:[A-Z]\d+_)+')

# All rules, and all traps.
PROMISED = ('G1 G2 G3 G4 G5 G6 G7 G8 G9 G10 G11 G12 G13 G14 G15 C1 C2 C3 C4 C5 C6 C7 C8 C9 C10 '
            'D1 D2 D3 D4 D5 W1 W2 W3 W4 S1 S2 S3 S4 E1 E2 E3 E4 E5 F1 F2 F3 F4 F5 Q1 Q2 Q3 Q4').split()
PROMISED += [f'T{number:02}' for number in range(1, 68)]


class Tally:
    def __init__(self):
        self.passed = self.failed = self.skipped = 0

    def add(self, failed, skipped):
        if skipped:
            self.skipped += 1
        elif failed:
            self.failed += 1
        else:
            self.passed += 1


def read(streams):
    rules, others, by_rule = collections.defaultdict(Tally), Tally(), 0
    for stream in streams:
        for match in filter(None, map(LINE.match, stream)):
            names = RULES.match(match[2])
            tallies = [rules[name] for name in names[0].split('_') if name] if names else [others]
            by_rule += bool(names) and not match[3]
            for tally in tallies:
                tally.add(bool(match[1]), bool(match[3]))
    return rules, others, by_rule


def order(rule):
    return 'GCDWSEFQT'.find(rule[0]), int(rule[1:])


def names(rules):
    return ' '.join(sorted(rules, key=order)) or 'none'


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('logs', nargs='*', type=argparse.FileType('r'), default=[sys.stdin])
    parser.add_argument('--require', action='store_true', help='every promised rule must be held')
    arguments = parser.parse_args()
    rules, others, by_rule = read(arguments.logs)

    broken = {rule for rule, tally in rules.items() if tally.failed}
    held = {rule for rule, tally in rules.items() if tally.passed} - broken
    missing = set(PROMISED) - held - broken
    for title, wanted in (('rules held', 'GCDWSEFQ'), ('traps kept shut', 'T')):
        chosen = {rule for rule in held if rule[0] in wanted}
        print(f'{title}: {len(chosen)} ({names(chosen)})')
    print(f'broken: {names(broken)}')
    print(f'promised, without a test in this run: {names(missing)}')
    print(f'{by_rule} tests by rule, {others.passed + others.failed} by other names, '
          f'{others.failed} of those failed')
    return 1 if broken or others.failed or (arguments.require and missing) else 0


if __name__ == '__main__':
    sys.exit(main())
