#!/usr/bin/env python3
"""Runs each example program and compares what it prints with what its first comment says
that it prints. Checks also that every C block of the README and of docs/asyncio.md and
docs/foreign.md stands, line for line, in an example, and that each example that asyncio.md
names exists, and the other way round. Prints TAP. (What needs a server: tests/foreign.)

    run.py BUILD-DIR SOURCE-DIR
"""
import http.server
import pathlib
import re
import subprocess
import sys
import threading

build, source = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
SERVERS = {"server", "http_server"}     # tested by server.py, http_server.py
results = []


def check(name, good, why=""):
    results.append(good)
    print(f"{'ok' if good else 'not ok'} {len(results)} - {name}", flush=True)
    if not good:
        print("# " + str(why).replace("\n", "\n# "), flush=True)


def run(name, *arguments):
    return subprocess.run([build / f"example-{name}", *arguments], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=60)


class Pages(http.server.BaseHTTPRequestHandler):
    """Page 7 does not exist; the others are empty."""

    def do_GET(self):
        self.send_response(404 if self.path == "/7" else 200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


def promised(text):
    """What stands under "Prints:" in the first comment; a line that ends with a backslash
    goes on in the next."""
    found = re.match(r"/\*.*?\n \* Prints:\n((?: \*.*\n)*?) \*/\n", text, re.S)
    lines = [line[len(" *     "):] for line in found[1].split("\n")[:-1]] if found else []
    return re.sub(r" \\\n +", " ", "\n".join(lines + [""]))


def printed(text):
    """Without what depends on the machine: folders of sources, addresses."""
    return re.sub(r"0x[0-9a-f]{6,}", "0x…", re.sub(r"[^\s(]*/(\w+\.c:\d+)", r"\1", text))


def check_example(path):
    wanted, done = promised(path.read_text()), run(path.stem)
    good = done.returncode == 0 and wanted and printed(done.stdout) == wanted
    check(f"example_{path.stem}", good and not done.stderr, f"{done}, wanted {wanted!r}")


def check_crawl():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Pages)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    base = f"http://127.0.0.1:{server.server_port}/"
    done = run("crawl", base)
    failed = [line for line in done.stderr.split("\n") if line.startswith("  ")]
    good = len(failed) == 1 and failed[0].startswith(f"  {base}7: 404 Not Found (HTTP_404")
    check("example_crawl_names_who_failed_and_nobody_else", done.returncode == 1 and good, done)
    done = run("crawl", base + "page/")
    ok = [f"200 {base}page/{i}" for i in range(100)]
    check("example_crawl", done.returncode == 0 and done.stdout.split("\n")[:-1] == ok, done)
    server.shutdown()


def check_blocks(page, examples):
    """The code of a page is code that was compiled and run."""
    blocks = re.findall(r"```c\n(.*?)```", page.read_text(), re.S)
    for i, block in enumerate(blocks, 1):
        check(f"{page.stem}_block_{i}_is_an_example".lower(),
              any(block in path.read_text() for path in examples), block)
    check(f"{page.stem}_has_examples".lower(), len(blocks) >= 2)


def check_names(page, examples):
    named = re.findall(r"\]\(\.\./examples/(\w+)\.c\)", page.read_text())
    missing = set(named) ^ {path.stem for path in examples}
    check(f"{page.stem}_names_each_example_and_no_other", not missing, sorted(missing))


examples = sorted((source / "examples").glob("*.c"))
for path in examples:
    if path.stem == "tls" and not (build / "example-tls").exists():     # without OpenSSL
        continue
    if path.stem != "crawl" and path.stem not in SERVERS:
        check_example(path)
if (build / "example-crawl").exists():
    check_crawl()
for page in source / "README.md", source / "docs" / "asyncio.md":
    check_blocks(page, examples)
check_blocks(source / "docs" / "foreign.md", sorted((source / "examples" / "foreign").glob("*.c")))
check_names(source / "docs" / "asyncio.md", examples)
print(f"1..{len(results)}")
sys.exit(not all(results))
