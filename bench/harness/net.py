"""The network: an echo server's cost a request, and a client's for a short connection.

Servers and clients are processes of their own on 127.0.0.1, one core each, and each
server is a fresh one on a port of its own: what earlier connections have left behind in
the system is nobody's burden.
"""
import contextlib
import os
import shutil
import subprocess
from collections import defaultdict
from pathlib import Path

from .commands import BENCH
from .report import Row, ratio_row
from .servers import ended_after

CONNECTIONS = (1, 64, 1_000, 10_000)
SECONDS = (2.5, 1.0)                    # of load, full and quick
SHORT = (10_000, 2_000)                 # connections
RAW = ("raw epoll", "raw io_uring")
NEAR_RAW = {64: 1.03, 1_000: 1.05, 10_000: 1.05}    # kin to the better of them
KIN = "kin"
EPOLL, URING = {"KIN_BACKEND": "epoll"}, {"KIN_BACKEND": "uring"}


class Side:
    """A program that takes "echo", and "short PORT COUNT", with its environment."""

    def __init__(self, command, **env):
        self.command, self.env = [str(part) for part in command], dict(os.environ, **env)

    def words(self, *arguments):
        return [*self.command, *map(str, arguments)]


def c_program(bench, name):
    path = bench.build / "bench" / "net" / f"bench_{name}"
    return path if path.exists() else None


def peers(bench):
    found = {}

    def add(name, command, why, **env):
        if all(command):
            found[name] = Side(command, **env)
        else:
            bench.skip(name, why)

    add("libuv", [c_program(bench, "uv")], "not installed (libuv1-dev)")
    add("State Threads", [c_program(bench, "st")], "not installed (libst-dev)")
    add("Go", [bench.go_peer("echo_peer")], "not installed (golang-go)", GOMAXPROCS="1")
    add("tokio", [bench.tokio_peer("echo_peer")], "not installed (librust-tokio-dev)")
    script = BENCH / "peers" / "echo_peer.py"
    add("asyncio", [bench.python(), script, "asyncio"], "no Python 3.11")
    add("uvloop", [bench.python("uvloop"), script, "uvloop"], "not installed (python3-uvloop)")
    add("node", [shutil.which("node"), BENCH / "peers" / "echo_peer.js"], "not installed (nodejs)")
    return found


def kin_sides(bench):
    """kin as it comes, and on the other backend."""
    program = c_program(bench, "kin_net")
    sides = {KIN: Side([program], **URING), "kin on epoll": Side([program], **EPOLL)}
    if not c_program(bench, "raw_uring"):
        del sides[KIN]
        sides = {KIN: sides["kin on epoll"]}
    return sides


def raw_servers(bench):
    programs = zip(RAW, ("raw_epoll", "raw_uring"))
    return {name: Side([c_program(bench, program)]) for name, program in programs
            if c_program(bench, program)}


def pinned(core, command):
    """On that core alone, where there are two."""
    cores = sorted(os.sched_getaffinity(0))
    return ["taskset", "-c", str(cores[core]), *command] if len(cores) > 1 else command


@contextlib.contextmanager
def serving(side, *arguments):
    """Gives the server's port and process id."""
    command = pinned(0, side.words(*arguments))
    with subprocess.Popen(command, env=side.env, text=True, stdout=subprocess.PIPE) as process:
        with ended_after(process):
            line = process.stdout.readline().split()
            if line[:1] != ["port"]:
                raise RuntimeError(f"{Path(side.command[-1]).name} does not listen")
            yield line[1], process.pid


def echo(bench, side, arguments, connections, samples):
    with serving(side, *arguments) as (port, pid):
        command = pinned(1, [str(c_program(bench, "load")), port, str(pid), str(connections),
                             str(SECONDS[bench.quick])])
        for figure, value in bench.figures(command).items():
            samples[figure].append(value)


def echo_rounds(bench, sides, connections):
    """Figures of every side, by its name; within a round one after the other."""
    samples = {name: defaultdict(list) for name in sides}
    for _ in range(bench.rounds):
        for name in list(samples):
            arguments = () if name in RAW else ("echo",)
            try:
                echo(bench, sides[name], arguments, connections, samples[name])
            except subprocess.CalledProcessError:
                if name == KIN or name in RAW:
                    raise
                bench.skip(name, f"does not serve {connections:,} connections")
                del samples[name]
    return samples


def echo_rows(samples, connections):
    what = f"echo, {connections:,} connections"
    raw = [samples[name]["cpu_ns"] for name in RAW if name in samples]
    ours = samples[KIN]["cpu_ns"]

    def pair(name, figure):
        return (name, samples[name][figure])

    if connections == 1:
        yield ratio_row(f"{what}: p50", (KIN, samples[KIN]["p50_us"]), pair(RAW[0], "p50_us"))
    else:
        yield ratio_row(f"{what}: CPU a request", (KIN, ours),
                        ("the better raw loop", [min(both) for both in zip(*raw)]),
                        at_most=NEAR_RAW[connections])
    if RAW[1] in samples:
        yield ratio_row(f"{what}: p99", pair(KIN, "p99_us"), pair(RAW[1], "p99_us"), at_most=1)
    for name in samples:
        if name != KIN and name not in RAW:
            target = {} if connections == 1 or name.startswith(KIN) else {"at_most": 1}
            yield ratio_row(f"{what}: CPU a request", (KIN, ours), pair(name, "cpu_ns"), **target)
    for name in samples:
        yield Row(f"{what}: CPU a request, {name}",
                  [ns / 1000 for ns in samples[name]["cpu_ns"]], "us")
    for name in (KIN, *RAW):
        if name in samples:
            yield Row(f"{what}: {name}", samples[name]["per_second"], "/s")
            yield Row(f"{what}: p50 of {name}", samples[name]["p50_us"], "us")
            yield Row(f"{what}: p99 of {name}", samples[name]["p99_us"], "us")


def short_rounds(bench, sides, server):
    samples = defaultdict(list)
    for _ in range(bench.rounds):
        for name, side in sides.items():
            with serving(server) as (port, _):
                arguments = [port, SHORT[bench.quick]]
                if name not in RAW:
                    arguments.insert(0, "short")
                figures = bench.figures(pinned(1, side.words(*arguments)), **side.env)
                samples[name].append(figures["short_ns"])
    return samples


def short_rows(samples):
    what = "a short connection, client CPU"
    for name in samples:
        if name != KIN:
            target = {"at_most": 1} if name == "libuv" else {}
            yield ratio_row(what, (KIN, samples[KIN]), (name, samples[name]), **target)
    for name in samples:
        yield Row(f"{what}: {name}", [ns / 1000 for ns in samples[name]], "us")


def measure(bench):
    ours, others, raw = kin_sides(bench), peers(bench), raw_servers(bench)
    rows = []
    for connections in CONNECTIONS:
        samples = echo_rounds(bench, {**raw, **ours, **others}, connections)
        rows += echo_rows(samples, connections)
    clients = {RAW[0]: Side([c_program(bench, "short_epoll")]), **ours, **others}
    return rows + list(short_rows(short_rounds(bench, clients, raw[RAW[0]])))
