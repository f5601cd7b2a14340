"""Cancelling many blocked tasks, beside the peers: until the call returns, and until
all are joined."""
import resource
from collections import defaultdict

from .commands import BENCH, say
from .report import Row, ratio_row

BLOCKED = 100_000       # half wait for an event, half sleep
RECEIVERS = 10_000      # each reads from a socket of its own
OTHER_DESCRIPTORS = 100

# How much faster than each of the peers kin must be.
AT_LEAST = 3


def receivers():
    """As many as there may be descriptors for."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = soft - OTHER_DESCRIPTORS
    if most < RECEIVERS:
        say(f"only {most:,} receivers: RLIMIT_NOFILE is {soft:,}")
    return min(most, RECEIVERS)


def find_peers(bench):
    """Name and command of each that is installed."""
    go, tokio, python = bench.go_peer(), bench.tokio_peer(), bench.python()
    commands = {"tokio": tokio and [tokio], "Go": go and [go],
                "asyncio": python and [python, str(BENCH / "peers" / "peer.py")]}
    missing = {"tokio": "not installed (cargo, librust-tokio-dev)",
               "Go": "not installed (golang-go)", "asyncio": "no Python 3.11"}
    for peer in commands:
        if not commands[peer]:
            bench.skip(peer, missing[peer])
    return {peer: command for peer, command in commands.items() if command}


def one_round(bench, peers, sizes, samples):
    """Every side once, one after the other."""
    for work, size in sizes.items():
        kin = [bench.program("cancel"), str(size), work]
        sides = {"kin": (kin, {})}
        if work == "receive":
            sides["kin on epoll"] = kin, {"KIN_BACKEND": "epoll"}
        for peer, command in peers.items():
            sides[peer] = [*command, work, str(size)], {"GOMAXPROCS": "1"}
        for side, (command, env) in sides.items():
            for figure, value in bench.figures(command, **env).items():
                samples[work, figure][side].append(value)


def rows_of(what, samples, **target):
    """What each of kin's tasks takes; then the peers beside the backend that kin chooses."""
    rows = [Row(f"{what}: {side}, of each", values, "ns")
            for side, values in samples.items() if side.startswith("kin")]
    return rows + [ratio_row(what, (peer, values), ("kin", samples["kin"]), **target)
                   for peer, values in samples.items() if not peer.startswith("kin")]


def measure(bench):
    peers = find_peers(bench)
    sizes = {"cancel": BLOCKED, "receive": receivers()}
    whats = {"cancel": f"cancel {sizes['cancel']:,} blocked",
             "receive": f"cancel {sizes['receive']:,} receiving"}
    samples = defaultdict(lambda: defaultdict(list))
    for _ in range(bench.rounds):
        one_round(bench, peers, sizes, samples)
    rows = []
    for work, what in whats.items():
        rows += rows_of(f"{what}, call", samples[work, "call"])
        rows += rows_of(f"{what}, call and join", samples[work, "joined"], at_least=AT_LEAST)
    return rows
