"""Cancelling many tasks that each read from a socket, beside the peers: until the call
returns, and until all are joined. Those that wait for nothing but each other are core's."""
import resource
from collections import defaultdict

from .commands import say
from .peers import find_peers
from .report import Row, ratio_row

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


def one_round(bench, peers, size, samples):
    """Every side once, one after the other."""
    kin = [bench.program("cancel"), str(size), "receive"]
    sides = {"kin": (kin, {}), "kin on epoll": (kin, {"KIN_BACKEND": "epoll"})}
    for peer, command in peers.items():
        sides[peer] = [*command, "receive", str(size)], {}
    for side, (command, env) in sides.items():
        for figure, value in bench.figures(command, **env).items():
            samples[figure][side].append(value)


def rows_of(what, samples, **target):
    """What each of kin's tasks takes; then the peers beside the backend that kin chooses."""
    rows = [Row(f"{what}: {side}, of each", values, "ns")
            for side, values in samples.items() if side.startswith("kin")]
    return rows + [ratio_row(what, (peer, values), ("kin", samples["kin"]), **target)
                   for peer, values in samples.items() if not peer.startswith("kin")]


def measure(bench):
    peers = find_peers(bench, ("tokio", "Go", "asyncio"))
    size = receivers()
    what = f"cancel {size:,} receiving"
    samples = defaultdict(lambda: defaultdict(list))
    for _ in range(bench.rounds):
        one_round(bench, peers, size, samples)
    return [*rows_of(f"{what}, call", samples["call"]),
            *rows_of(f"{what}, call and join", samples["joined"], at_least=AT_LEAST)]
