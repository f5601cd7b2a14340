"""The works of the core: what runs, how much of it, who has it, what kin must reach.

A size counts rounds (of each task), groups of a thousand, tasks, or the depth of a tree.
Peers that are slower do less of the same; what is given is for one operation.
"""
from dataclasses import dataclass, field

PYTHON = ("uvloop", "asyncio", "Trio")
TASKS = ("libdill", "State Threads", "neco", "tokio", "Go", "node") + PYTHON
SYNCHRONISED = tuple(peer for peer in TASKS if peer != "node")

# By how much less each does than kin.
SLOWNESS = {"kin": 1, "bare switch": 1, "Boost.Context": 1, "libuv": 2, "Go": 10, "node": 10,
            "libdill": 5, "State Threads": 5, "neco": 5, "tokio": 10,
            "uvloop": 100, "asyncio": 100, "Trio": 200}
SWITCHES = 5_000_000                # pairs of them, where two contexts are the unit


@dataclass
class Work:
    key: str
    title: str
    name: str                       # what the peers call it
    size: int
    kin: tuple                      # kin's program, and its arguments after the size
    of: int = None
    peers: tuple = TASKS
    figure: str = None              # what kin's program calls it, and …
    peers_figure: str = None        # … what the peers do
    same_size: bool = False         # all do as much; or, in python_size, not those
    python_size: int = None
    most_rounds: int = 99
    at_most: float = None           # of the best of …
    among: tuple = None             # … these, or of all
    below: str = "<="
    extras: dict = field(default_factory=dict)      # title by figure: values beside the time

    def size_for(self, side, quick):
        if side in PYTHON and self.python_size:
            return self.python_size
        if side == "bare switch" and self.of is None:
            return SWITCHES
        less = 5 if quick and not self.same_size else 1
        return max(self.size // (1 if self.same_size else SLOWNESS[side] * less), 1)

    def command(self, side, command, quick):
        """What a side runs; kin's programs and the bare switch have arguments of their own."""
        size = str(self.size_for(side, quick))
        of = [] if self.of is None else [str(self.of)]
        if side == "kin":
            return [*command, size, *self.kin[1:], *of]
        if side == "bare switch":
            return [*command, size, *of]
        return [*command, self.name, size, *of]


BARE = ("bare switch", "Boost.Context")

WORKS = (
    Work("yield", "yield between two tasks", "yield", 5_000_000, ("yield",),
         peers=BARE + TASKS, at_most=1.3, among=("Boost.Context",)),
    Work("yield1000", "1,000 tasks yield in turn", "yield", 10_000, ("yield",), of=1000,
         peers=BARE + TASKS, at_most=1.3, among=("Boost.Context",)),
    Work("yield10000", "10,000 tasks yield in turn", "yield", 600, ("yield",), of=10_000,
         peers=BARE + TASKS, at_most=1.3, among=("Boost.Context",)),
    Work("spawn", "spawn and join, 1,000 a group", "spawn", 3_000, ("spawn",),
         figure="spawn_recorded", at_most=1, among=("libdill",)),
    Work("unrecorded", "… without kin_task", "spawn", 3_000, ("spawn",),
         peers=("bare switch",)),
    Work("half", "… half of them yield once", "half", 3_000, ("spawn", "half"), at_most=1),
    Work("blocked", "… all blocked at once", "blocked", 2_000, ("spawn", "blocked"),
         at_most=1, among=("State Threads",)),
    Work("tree", "skynet, a leaf", "tree", 6, ("tree",), same_size=True, python_size=4,
         at_most=0.2, among=("tokio",), most_rounds=5, extras={"tree_mib": "peak memory, MiB"}),
    Work("pingpong", "ping-pong, a message", "pingpong", 2_000_000, ("channel", "pingpong"),
         peers=SYNCHRONISED, at_most=1, among=("State Threads",)),
    Work("queue", "queue of 128, an item", "queue", 5_000_000, ("channel", "queue"),
         peers=SYNCHRONISED, at_most=1, among=("State Threads",)),
    Work("timeout", "limit armed, wait, disarmed", "timeout", 2_000_000, ("timeout",), of=0,
         peers=("libuv",) + SYNCHRONISED, at_most=1, among=("State Threads",)),
    Work("limit", "limit set and lifted in a turn", "limit", 3_000_000, ("limit",),
         peers=("bare switch",)),
    Work("timeout10000", "the same beside 10,000", "timeout", 2_000_000, ("timeout",), of=10_000,
         peers=("libuv",) + SYNCHRONISED),
    Work("timeout1000000", "the same beside 1,000,000", "timeout", 2_000_000, ("timeout",),
         of=1_000_000, peers=("libuv", "libdill", "State Threads", "neco", "tokio", "Go"),
         most_rounds=3),
    Work("cancel", "cancel and join 100,000 blocked", "cancel", 100_000, ("cancel", "cancel"),
         peers=SYNCHRONISED, same_size=True, figure="joined", peers_figure="joined",
         at_most=0.333, most_rounds=5, extras={"call": "until the call returns, ns"}),
    Work("semaphore", "semaphore of 5 among 1,000", "semaphore", 2_000, ("semaphore",),
         peers=tuple(p for p in SYNCHRONISED if p != "libdill"),
         at_most=0.5, among=("State Threads",)),
    *(Work(f"select{n}", f"select over {n} channels", "select", 2_000_000 // n, ("select",), of=n,
           peers=("libdill", "neco", "tokio", "Go"), at_most=1, among=("libdill", "Go"))
      for n in (2, 8, 64)),
    Work("sleepers", "a million sleepers, CPU", "sleepers", 1_000_000, ("sleepers", "short"),
         peers=("libuv",) + TASKS, same_size=True, python_size=100_000, most_rounds=2,
         at_most=1, among=("Go",),
         extras={"sleepers_s": "wall, s", "sleepers_peak_kib": "peak memory of each, KiB",
                 "touch": "first touch of its stack, ns"}),
)
