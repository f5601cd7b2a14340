"""Running what is measured: building it, finding the peers, what a command took."""
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

BENCH = Path(__file__).resolve().parent.parent
TREE = BENCH.parent

CRATES = Path("/usr/share/cargo/registry")      # as Debian installs them

# A package for the one file, and where cargo finds what that needs: here, and nowhere else.
TOKIO_PACKAGE = """
[package]
name = "{name}"
version = "0.0.0"
edition = "2021"

[[bin]]
name = "{name}"
path = "{source}"

[dependencies]
libc = "0.2"
tokio = {{ version = "1", features = ["io-util", "net", "rt", "sync", "time"] }}

[profile.release]
codegen-units = 1
lto = true
"""
TOKIO_CRATES = """
[source.crates-io]
replace-with = "debian"

[source.debian]
directory = "{crates}"
"""


def say(text):
    print(text, file=sys.stderr, flush=True)


@dataclass
class Took:
    wall: float         # seconds
    user: float
    system: float
    peak_kib: int
    status: int

    @property
    def cpu(self):
        return self.user + self.system


class Bench:
    """The place of one run: a release build, a scratch directory, the peers."""

    def __init__(self, build, quick, rounds, works=None):
        self.build, self.quick, self.rounds = Path(build), quick, rounds
        self.works = works              # of the core, these only; None: all
        self.skipped, self.peers = [], {}
        self._scratch = tempfile.TemporaryDirectory(prefix="kin-bench-")
        self.scratch = Path(self._scratch.name)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._scratch.cleanup()

    def prepare(self):
        if not (self.build / "build.ninja").exists():
            subprocess.run(["meson", "setup", self.build, TREE, "--buildtype=release", "-Db_lto=true",
                            "-Dtests=false", "-Dexamples=false"],
                           check=True, stdout=subprocess.DEVNULL)
        subprocess.run(["ninja", "-C", self.build, "--quiet"], check=True)

    def program(self, name):
        return str(self.build / "bench" / f"bench_{name}")

    @property
    def kin(self):
        return str(self.build / "cli" / "kin")

    def skip(self, what, why):
        self.skipped.append(f"{what}: {why}")
        say(f"skipped: {what}: {why}")

    # The peers; None where one is not installed.

    def curl(self):
        return shutil.which("curl")

    def python(self, module=None):
        """A Python 3.11 or newer that has the module: Debian's, or the first in the path."""
        test = "import sys, asyncio; asyncio.TaskGroup" + (f"; import {module}" if module else "")
        for python in ("/usr/bin/python3", shutil.which("python3")):
            if python and subprocess.run([python, "-c", test], capture_output=True).returncode == 0:
                return python
        return None

    def go_peer(self, name="peer"):
        """A program of bench/peers in Go, built without network and outside of the tree."""
        program = self.scratch / f"go-{name}"
        if program.exists():
            return str(program)
        if not shutil.which("go"):
            return None
        env = dict(os.environ, GO111MODULE="off", GOCACHE=str(self.scratch / "go-cache"))
        subprocess.run(["go", "build", "-o", program, BENCH / "peers" / f"{name}.go"],
                       check=True, env=env)
        return str(program)

    def tokio_peer(self, name="peer"):
        """The same on tokio, of what Debian's packages hold."""
        package = self.scratch / f"tokio-{name}"
        program = package / "target" / "release" / name
        if program.exists():
            return str(program)
        cargo = Path("/usr/bin/cargo")          # of the same version as the crates
        if not cargo.exists() or not list(CRATES.glob("tokio-1.*")):
            return None
        (package / ".cargo").mkdir(parents=True)
        (package / ".cargo" / "config.toml").write_text(TOKIO_CRATES.format(crates=CRATES))
        (package / "Cargo.toml").write_text(
            TOKIO_PACKAGE.format(name=name, source=BENCH / "peers" / f"{name}.rs"))
        env = dict(os.environ, CARGO_HOME=str(package / "home"), RUSTC="/usr/bin/rustc")
        subprocess.run([cargo, "build", "--quiet", "--offline", "--release"], cwd=package,
                       check=True, env=env)
        return str(program)

    # What commands say, and what they take.

    def figures(self, command, **env):
        """The "name value" lines that a measuring program prints."""
        done = subprocess.run(command, env=dict(os.environ, **env), text=True,
                              stdout=subprocess.PIPE, check=True)
        return {name: float(value) for name, value in map(str.split, done.stdout.splitlines())}

    def output_of(self, command, **env):
        return subprocess.run(command, env=dict(os.environ, **env), check=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT).stdout

    def measure(self, command, stdin=subprocess.DEVNULL):
        """Runs a command, its output thrown away."""
        result = self.scratch / "measured"
        subprocess.run([self.program("measure"), result, *command], check=True, stdin=stdin,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return self.read_took(result)

    def read_took(self, result):
        wall, user, system, peak, status = result.read_text().split()
        return Took(float(wall), float(user), float(system), int(peak), int(status))
