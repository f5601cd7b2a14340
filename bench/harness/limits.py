"""Limits and deadlines: by how much they are overshot, and from when they count."""
import json
import shutil
import subprocess
import sys

from .report import Row
from .servers import slow_server, write_lines

DEADLINE = 1.0

# In namespaces of its own: loopback up, and a name server that takes every question
# and never answers. Without it the question would be refused at once.
SILENT_NAMES = """
set -e
ip link set lo up
mount --bind "$1/resolv.conf" /etc/resolv.conf
: >"$1/bound"
"$2" -c 'import socket, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("127.0.0.1", 53))
print("bound", flush=True)
time.sleep(60)' >"$1/bound" &
while ! grep -q bound "$1/bound"; do sleep 0.01; done
shift 2
"$@" || true
kill $!
"""


def overshoot_ms(took):
    if took.status != 124:
        raise RuntimeError(f"a deadline that passed gave status {took.status}, not 124")
    return (took.wall - DEADLINE) * 1000


def overshoots(bench, what, arguments, prefix=()):
    runs = 3 if bench.quick else 10
    command = [*prefix, bench.program("measure"), bench.scratch / "inside", bench.kin, "fetch",
               "--progress", "never", "-d", "1s", *arguments]
    values = []
    for _ in range(runs):
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        values.append(overshoot_ms(bench.read_took(bench.scratch / "inside")))
    return Row(f"deadline overshot: {what}", values, "ms", at_most=50)


def silent_name_server(bench):
    if not (shutil.which("unshare") and shutil.which("ip")):
        return bench.skip("silent name server", "needs unshare and ip")
    (bench.scratch / "resolv.conf").write_text("nameserver 127.0.0.1\n")
    prefix = ["unshare", "--map-root-user", "--net", "--mount", "sh", "-c", SILENT_NAMES, "sh",
              bench.scratch, sys.executable]
    probe = subprocess.run([*prefix, "true"], capture_output=True)
    if probe.returncode != 0:
        return bench.skip("silent name server", "namespaces are not allowed here")
    return overshoots(bench, "a name server that never answers",
                      ["http://example.invalid/", "http://example.test/"], prefix)


def ok_pages(bench, jobs, pages):
    """How many pages each client gets, so many at a time, with a limit of a second each."""
    done = subprocess.run([bench.kin, "fetch", "-j", jobs, "-t", "1s", "--json", *pages],
                          capture_output=True, text=True)
    summary = json.loads(done.stdout.splitlines()[-1])["summary"]
    yield "kin", summary["ok"]
    if bench.curl():
        done = subprocess.run([bench.curl(), "-q", "-s", "-Z", "--parallel-max", jobs, "-m", "1",
                               "-w", "%{exitcode}\n",
                               *(a for page in pages for a in ("-o", "/dev/null", page))],
                              capture_output=True, text=True)
        yield "curl -Z", done.stdout.splitlines().count("0")


def limits_of_items(bench, url):
    """-t 1s over three pages of 0.7 s: what an item waits for its turn, or for a
    connection, is not its own time."""
    pages = [f"{url}/after/700?{i}" for i in range(3)]
    return [Row(f"-t 1s, three pages of 0.7 s, -j {jobs}: ok with {name}", [ok], "",
                at_least=3 if name == "kin" else None)
            for jobs in ("1", "3") for name, ok in ok_pages(bench, jobs, pages)]


def measure(bench):
    with slow_server() as url:
        many = write_lines(bench.scratch / "many", (f"{url}/stall?{i}" for i in range(1000)))
        rows = [overshoots(bench, "a stalled server", [f"{url}/stall"]),
                overshoots(bench, "a server that drips", [f"{url}/drip"]),
                overshoots(bench, "1,000 in flight", ["-j", "1000", "-f", many]),
                silent_name_server(bench)]
        return [row for row in rows if row] + limits_of_items(bench, url)
