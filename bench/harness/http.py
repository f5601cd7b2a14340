"""An HTTP server's cost a request: the same greeting from kin's example, from libuv with
the same parser, and from Go's net/http, under wrk, which keeps its connections.

As in net.py the server and the load are processes with a core each, and every server is a
fresh one. wrk must have seen nothing but right answers. Requests a second are shown and not
judged: where the server is fast, they say as much about wrk.
"""
import re
import shutil
import subprocess
import time
from collections import defaultdict

from .net import EPOLL, KIN, SECONDS, URING, Side, c_program, pinned, serving
from .report import Row, ratio_row

CONNECTIONS = (64, 1_000)


def sides(bench):
    found = {}

    def add(name, command, why, **env):
        if all(command):
            found[name] = Side(command, **env)
        else:
            bench.skip(name, why)

    program = c_program(bench, "http_kin")
    if c_program(bench, "raw_uring"):           # where there is io_uring
        add(KIN, [program], "no libhttp-parser-dev", **URING)
        add("kin on epoll", [program], "no libhttp-parser-dev", **EPOLL)
    else:
        add(KIN, [program], "no libhttp-parser-dev", **EPOLL)
    add("libuv", [c_program(bench, "http_uv")], "not installed (libuv1-dev, libhttp-parser-dev)")
    add("Go", [bench.go_peer("http_peer")], "not installed (golang-go)", GOMAXPROCS="1")
    return found


def processor_time(pid):
    """Nanoseconds of all threads, by the clock of the process."""
    return time.clock_gettime_ns(~pid << 3 | 2)


def load(port, pid, connections, seconds):
    """Requests a second, and the server's processor time for one."""
    command = pinned(1, ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s",
                         f"http://127.0.0.1:{port}/"])
    before = processor_time(pid)
    said = subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE).stdout
    used = processor_time(pid) - before
    if "Socket errors" in said or "Non-2xx" in said:
        raise RuntimeError(f"wrk: {said}")
    requests = int(re.search(r"(\d+) requests in", said)[1])
    return {"per_second": float(re.search(r"Requests/sec: +([\d.]+)", said)[1]),
            "cpu_ns": used / requests}


def measure_round(bench, found, connections, samples):
    seconds = max(1, round(SECONDS[bench.quick]))
    for name, side in found.items():
        with serving(side) as (port, pid):
            for figure, value in load(port, pid, connections, seconds).items():
                samples[name][figure].append(value)


def rows(samples, connections):
    what = f"HTTP, {connections:,} connections"
    for name in samples:
        if name == KIN:
            continue
        target = {} if name.startswith(KIN) else {"at_most": 1}
        yield ratio_row(f"{what}: CPU a request", (KIN, samples[KIN]["cpu_ns"]),
                        (name, samples[name]["cpu_ns"]), **target)
    for name in samples:
        if name != KIN:
            yield ratio_row(f"{what}: requests a second", (KIN, samples[KIN]["per_second"]),
                            (name, samples[name]["per_second"]))
    for name in samples:
        yield Row(f"{what}: CPU a request, {name}",
                  [ns / 1000 for ns in samples[name]["cpu_ns"]], "us")
        yield Row(f"{what}: {name}", samples[name]["per_second"], "/s")


def measure(bench):
    if not shutil.which("wrk"):
        bench.skip("HTTP", "wrk is not installed")
        return
    found = sides(bench)
    if KIN not in found:
        return
    for connections in CONNECTIONS:
        samples = {name: defaultdict(list) for name in found}
        for _ in range(bench.rounds):
            measure_round(bench, found, connections, samples)
        yield from rows(samples, connections)
