"""kin fetch beside curl -Z, Go and aiohttp: CPU and time of the client, start-up, memory."""
import os
import socket
import time
from collections import defaultdict

from .commands import BENCH
from .report import Row, ratio_row
from .servers import find_nginx, nginx, write_lines


# The peers, and the most that kin may take of each one's CPU, and of its time.
PEERS = (("curl -Z", "curl", 1.0, 1.0), ("Go", "golang-go", None, 1.0),
         ("aiohttp", "python3-aiohttp", 1 / 3, 1.0))
NAMES = {"cpu": "CPU", "wall": "time"}


def clients(bench, urls, jobs, ca=None):
    """The commands that fetch all URLs, so many at a time, and throw the pages away. ca: who
    signed the server's certificate, which all of them verify."""
    listed = write_lines(bench.scratch / "urls", urls)
    config = write_lines(bench.scratch / "curl.conf",
                         (f'url = "{url}"\noutput = "/dev/null"' for url in urls))
    trusted = [ca] if ca else []
    cacert = ["--cacert", ca] if ca else []
    commands = {"kin": [bench.kin, "fetch", *cacert, "-j", str(jobs), "--progress", "never",
                        "-f", listed]}
    if bench.curl():
        commands["curl -Z"] = [bench.curl(), "-q", "-s", "-Z", "--parallel-max", str(jobs),
                               *cacert, "-K", config]
    if bench.go_peer("fetch"):
        commands["Go"] = [bench.go_peer("fetch"), str(jobs), listed, *trusted]
    if bench.python("aiohttp"):
        commands["aiohttp"] = [bench.python("aiohttp"), BENCH / "peers" / "fetch.py", str(jobs),
                               listed, *trusted]
    return commands


def cpu_and_time(bench, urls, jobs, ca=None):
    took = defaultdict(list)
    for _ in range(bench.rounds):
        for name, command in clients(bench, urls, jobs, ca).items():
            took[name].append(bench.measure(command))
            if took[name][-1].status != 0:
                raise RuntimeError(f"{name} ended with status {took[name][-1].status}")
    rows = []
    for peer, _, of_cpu, of_time in PEERS:
        for what, target in (("cpu", of_cpu), ("wall", of_time)) if peer in took else ():
            rows.append(ratio_row(
                f"{len(urls):,} pages{', TLS' if ca else ''}, {jobs} at a time, {NAMES[what]}",
                ("kin", [getattr(t, what) for t in took["kin"]]),
                (peer, [getattr(t, what) for t in took[peer]]),
                **({"at_most": round(target, 3)} if target else {})))
    return rows


def fetched(bench, site):
    there = clients(bench, site.http, 1)
    for peer, package, _, _ in PEERS:
        if peer not in there:
            bench.skip(peer, f"needs {package}")
    if not site.https:
        bench.skip("TLS", "needs openssl")
    rows = []
    for jobs in (5, 50):
        rows += cpu_and_time(bench, site.http, jobs)
        rows += cpu_and_time(bench, site.https, jobs, site.ca) if site.https else []
    return rows


def first_request_ms(command):
    """From the start of the command to the first byte of its request."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/"
        quiet = [(os.POSIX_SPAWN_OPEN, fd, "/dev/null", os.O_RDWR, 0) for fd in (0, 1, 2)]
        began = time.monotonic()
        pid = os.posix_spawnp(command[0], [*command, url], os.environ, file_actions=quiet)
        connection, _ = server.accept()
        with connection:
            connection.recv(1)
            took = time.monotonic() - began
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            os.waitpid(pid, 0)
    return took * 1000


def start_up(bench):
    ours, curls = [], []
    for _ in range(max(10, bench.rounds)):
        ours.append(first_request_ms([bench.kin, "fetch"]))
        if bench.curl():
            curls.append(first_request_ms([bench.curl(), "-q", "-s"]))
    rows = [Row("start to first request", ours, "ms", at_most=10)]
    if curls:
        rows.append(ratio_row("start to first request", ("kin", ours), ("curl", curls)))
    return rows


def memory(bench, urls):
    """Peak memory over lists of growing length on standard input."""
    sizes = [10_000, 100_000] if bench.quick else [10_000, 100_000, 1_000_000]
    peaks = []
    for size in sizes:
        listed = write_lines(bench.scratch / "list", (urls[i % len(urls)] for i in range(size)))
        with open(listed) as stdin:
            took = bench.measure([bench.kin, "fetch", "-j", "50", "--progress", "never", "-"],
                                 stdin=stdin)
        if took.status != 0:
            raise RuntimeError(f"kin fetch of {size} URLs ended with status {took.status}")
        peaks.append(took.peak_kib)
    bytes_each = (peaks[-1] - peaks[0]) * 1024 / (sizes[-1] - sizes[0])
    return [Row(f"peak memory over {sizes[-1]:,} URLs: of that over {sizes[0]:,}",
                [peaks[-1] / peaks[0]], "x", at_most=1.1,
                sides={f"{size:,} URLs, KiB": peak for size, peak in zip(sizes, peaks)}),
            Row("peak memory: growth for each URL", [bytes_each], "B")]


def measure(bench):
    rows = start_up(bench)
    if not find_nginx():
        bench.skip("nginx", "not installed")
        return rows
    with nginx(bench.scratch) as site:
        rows += fetched(bench, site)
        rows += memory(bench, site.http)
    return rows
