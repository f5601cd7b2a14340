#!/usr/bin/env python3
"""Runs the example programs and checks what they print; and that every C block of the
README stands, line for line, in one of them. Prints TAP.

    run.py BUILD-DIR SOURCE-DIR
"""
import http.server
import pathlib
import re
import subprocess
import sys
import threading

build, source = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
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


def check_users():
    done = run("users")
    wanted = "ok: user_1\nok: user_2\ntimed_out: timeout\nok: user_4\n"
    check("example_users", done.returncode == 0 and done.stdout == wanted, done)


def check_pipeline():
    done = run("pipeline")
    check("example_pipeline", done.returncode == 0 and done.stdout == "100 items, sum 5050\n", done)


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


def check_readme():
    examples = [path.read_text() for path in sorted((source / "examples").glob("*.c"))]
    blocks = re.findall(r"```c\n(.*?)```", (source / "README.md").read_text(), re.S)
    for i, block in enumerate(blocks, 1):
        check(f"readme_block_{i}_is_an_example", any(block in text for text in examples), block)
    check("readme_has_examples", len(blocks) >= 2)


check_users()
check_pipeline()
if (build / "example-crawl").exists():
    check_crawl()
check_readme()
print(f"1..{len(results)}")
sys.exit(not all(results))
