#!/usr/bin/env python3
"""Runs an example with the address of its server, and compares what it prints with what its
first comment says. Prints TAP.

    example.py PROGRAM SOURCE
"""
import os
import re
import subprocess
import sys

program, source = sys.argv[1:]
address = os.environ.get("POSTGRES") or os.environ["REDIS"]
with open(source) as file:
    promised = re.search(r"\n \* Prints:\n((?: \*     .*\n)+) \*/\n", file.read())[1]
wanted = re.sub(r"^ \*     ", "", promised, flags=re.M)
done = subprocess.run([program, address], stdin=subprocess.DEVNULL, capture_output=True,
                      text=True, timeout=60)
good = done.returncode == 0 and done.stdout == wanted and not done.stderr
print("ok" if good else "not ok", "1 - example prints what it promises")
if not good:
    print(f"# {done}\n# wanted {wanted!r}")
print("1..1")
sys.exit(not good)
