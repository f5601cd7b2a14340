#!/usr/bin/env python3
"""Checks that the table of CATALOGUE.md is true: each test that it names exists.

A name in `backticks` in the right column is a test, or with … at its end the beginning
of at least one. Where the right column says "same name", the names on the left are meant.
"""
import pathlib
import re
import sys

HERE = pathlib.Path(__file__).parent
DEFINITION = re.compile(r'^(?:[A-Z]+_)?TEST(?:_[A-Z]+)?\((\w+)', re.M)
MACRO = re.compile(r'^#define (\w+)\((\w+).*\n((?:.*\\\n)*)', re.M)
ROW = re.compile(r'^\| (.+?) \| (.+) \|$', re.M)


def made_by_macros(text):
    """#define SWEEPS(name) … TEST(C2_##name##_cancelled), and then SWEEPS(mutex)."""
    for macro, parameter, body in MACRO.findall(text):
        arguments = re.findall(rf'^{macro}\((\w+)', text, re.M)
        for before, after in re.findall(rf'TEST\w*\((\w*)##{parameter}(?:##(\w*))?', body):
            yield from (before + argument + after for argument in arguments)


def tests():
    for source in HERE.glob('*/*.c'):
        text = source.read_text()
        yield from DEFINITION.findall(text)
        yield from made_by_macros(text)


def wanted(row):
    left, right = row
    if right.startswith('same name'):
        yield from (name.rstrip('…') for name in re.findall(r'\w+…?', left.split(':')[-1]))
    for name in re.findall(r'`(\w+…?)`', right):
        yield name


def exists(name, known):
    if name.endswith('…'):
        return any(test.startswith(name[:-1]) for test in known)
    if name.startswith('_') or name.endswith('_'):      # a part of names, said in words
        return any(name in test for test in known)
    return any(test == name or re.match(rf'(?:[A-Z]\d+_)+{name}', test) for test in known)


def main():
    known = set(tests())
    rows = ROW.findall((HERE / 'CATALOGUE.md').read_text())
    missing = [name for row in rows for name in wanted(row)
               if re.search('[_…]', name) and not name.startswith('kin_') and
               not exists(name, known)]
    for number, name in enumerate(missing or ['CATALOGUE.md'], 1):
        print(f'{"not ok" if missing else "ok"} {number} - {name}')
    print(f'1..{max(1, len(missing))}')
    return 1 if missing else 0


if __name__ == '__main__':
    sys.exit(main())
