"""The peers: how each is found and built, outside of the tree and without network.

Every peer is a program of bench/peers that takes WORK SIZE [OF] and prints lines "name
value", as kin's own programs do. A peer that is not installed is skipped, and said so.
"""
import os
import shutil
import subprocess
from pathlib import Path

from .commands import BENCH

SOURCES = BENCH / "peers"
# Of libdill, what coroutines and channels need; as its own build defines it, but without
# guard pages (peers/libdill.c says why).
DILL_SOURCES = ("chan", "cr", "ctx", "fd", "handle", "iol", "libdill", "now", "pollset", "rbtree",
                "stack", "utils")
DILL_FLAGS = ("-DNDEBUG", "-D_GNU_SOURCE", "-DDILL_THREADS", "-DDILL_SOCKETS", "-DDILL_NOGUARD",
              "-DHAVE_EPOLL", "-DHAVE_CLOCK_GETTIME", "-DHAVE_POSIX_MEMALIGN", "-DHAVE_MPROTECT")
NECO_FLAGS = ("-DNECO_USEHEAPSTACK", "-DNECO_STACKSIZE=16384")


def compiled(bench, name, source, *arguments, header=None, compiler="cc"):
    """The program made of a source; None where a header that it needs is not there."""
    program = bench.scratch / name
    language = "c++" if compiler == "c++" else "c"
    if header and subprocess.run([compiler, "-E", "-x", language, "-include", header, os.devnull],
                                 capture_output=True).returncode != 0:
        return None
    subprocess.run([compiler, "-O2", "-w", "-o", program, SOURCES / source, *arguments], check=True)
    return [str(program)]


def boost(bench):
    return compiled(bench, "boost", "boost.cpp", "-lboost_context", compiler="c++",
                    header="boost/context/detail/fcontext.hpp")


def state_threads(bench):
    return compiled(bench, "st", "st.c", "-lst", header="st.h")


def libuv(bench):
    return compiled(bench, "uv", "uv.c", "-luv", header="uv.h")


def libdill(bench):
    checkout = os.environ.get("KIN_BENCH_LIBDILL")
    return checkout and compiled(
        bench, "libdill", "libdill.c", *DILL_FLAGS, f"-I{checkout}",
        *(Path(checkout) / f"{name}.c" for name in DILL_SOURCES), "-lpthread")


def neco(bench):
    checkout = os.environ.get("KIN_BENCH_NECO")
    return checkout and compiled(bench, "neco", "neco.c", *NECO_FLAGS, f"-I{checkout}",
                                 Path(checkout) / "neco.c", "-lpthread")


def go(bench):
    program = bench.go_peer()
    return program and ["env", "GOMAXPROCS=1", program]


def tokio(bench):
    program = bench.tokio_peer()
    return program and [program]


def asyncio(bench):
    python = bench.python()
    return python and [python, str(SOURCES / "peer.py")]


def uvloop(bench):
    python = bench.python("uvloop")
    return python and [python, str(SOURCES / "peer.py"), "--uvloop"]


def trio(bench):
    python = bench.python("trio")
    return python and [python, str(SOURCES / "trio_peer.py")]


def node(_):
    program = shutil.which("node")
    return program and [program, str(SOURCES / "node.mjs")]


# Name, how it is made, and what is missing where it cannot be.
PEERS = (
    ("Boost.Context", boost, "libboost-context-dev"),
    ("libdill", libdill, "a checkout named by KIN_BENCH_LIBDILL"),
    ("State Threads", state_threads, "libst-dev"),
    ("neco", neco, "a checkout named by KIN_BENCH_NECO"),
    ("libuv", libuv, "libuv1-dev"),
    ("tokio", tokio, "cargo, librust-tokio-dev"),
    ("Go", go, "golang-go"),
    ("node", node, "nodejs"),
    ("uvloop", uvloop, "python3-uvloop"),
    ("asyncio", asyncio, "Python 3.11"),
    ("Trio", trio, "python3-trio"),
)


def find_peers(bench, wanted=None):
    """The command of each peer that is there, by name; all are looked for once."""
    if not bench.peers:
        for name, make, package in PEERS:
            bench.peers[name] = make(bench)
            if not bench.peers[name]:
                bench.skip(name, f"needs {package}")
    return {name: command for name, command in bench.peers.items()
            if command and (wanted is None or name in wanted)}
