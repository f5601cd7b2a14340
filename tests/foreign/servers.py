#!/usr/bin/env python3
"""Runs a program with a server of its own: PostgreSQL or Redis, in a temporary directory and
on a Unix socket there, not on the network.

    servers.py postgres|redis PROGRAM [ARGUMENT…]

POSTGRES or REDIS in the program's environment says how to reach it, and SERVER_PID names a
file with its process id. A server that ends is started again, so that a test may kill it.
However the program ends, the server ends with it; if this script is killed, the kernel ends
them both. Prints a skipped plan where there is no such server.
"""
import ctypes
import os
import pathlib
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time

# What a crash of the machine would lose is of no interest; and nothing shall be left in
# /dev/shm when it is killed.
POSTGRES = {
    "listen_addresses": "", "unix_socket_directories": "{at}", "fsync": "off",
    "synchronous_commit": "off", "full_page_writes": "off", "max_connections": "40",
    "shared_buffers": "16MB", "dynamic_shared_memory_type": "mmap", "autovacuum": "off",
    "logging_collector": "off"}


def find(program):
    """Debian keeps the server's programs out of PATH."""
    places = sorted(map(str, pathlib.Path("/usr/lib/postgresql").glob("*/bin")), reverse=True)
    return shutil.which(program, path=os.pathsep.join([os.environ.get("PATH", "")] + places))


def unprivileged():
    """The user to run a server as: PostgreSQL refuses to be root's."""
    if os.getuid() != 0:
        return {}
    for name in "postgres", "redis", "nobody":
        try:
            user = pwd.getpwnam(name)
            return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        except KeyError:
            pass
    sys.exit("Bail out! no user to run a server as")


def end_with_parent(number):
    """Called in the child, when it has its user: changing that would forget it."""
    return lambda: ctypes.CDLL(None).prctl(1, number)


class Server:
    def __init__(self, at):
        self.at, self.process = at, None
        self.log = open(at / "log", "w")
        self.credentials = unprivileged()
        if self.credentials:
            os.chown(at, self.credentials["user"], self.credentials["group"])
        self.prepare()

    def start(self):
        self.process = subprocess.Popen(
            self.command(), cwd=self.at, stdin=subprocess.DEVNULL, stdout=self.log,
            stderr=self.log, start_new_session=True,
            preexec_fn=end_with_parent(self.fastest_end), **self.credentials)
        (self.at / "pid").write_text(str(self.process.pid))

    def wait(self):
        until = time.monotonic() + 60
        while subprocess.run(self.question(), stdout=subprocess.DEVNULL,
                             stderr=subprocess.DEVNULL).returncode != 0:
            if self.process.poll() is not None or time.monotonic() > until:
                sys.exit("Bail out! the server did not start:\n" + (self.at / "log").read_text())
            time.sleep(0.05)

    def end(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(self.fastest_end)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.log.close()


class Postgres(Server):
    fastest_end = signal.SIGQUIT        # ends all of its processes without ado
    programs = "postgres", "initdb", "pg_isready"

    def prepare(self):
        subprocess.run([find("initdb"), "-D", self.at / "data", "-U", "kin", "-A", "trust", "-N",
                        "--no-instructions", "--locale=C", "-E", "UTF8"], cwd=self.at, check=True,
                       stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log,
                       **self.credentials)
        with open(self.at / "data" / "postgresql.conf", "a") as file:
            file.writelines(f"{name} = '{value.format(at=self.at)}'\n"
                            for name, value in POSTGRES.items())

    def command(self):
        return [find("postgres"), "-D", self.at / "data"]

    def question(self):
        return [find("pg_isready"), "-q", "-h", self.at, "-U", "kin"]

    def environment(self):
        return {"POSTGRES": f"host={self.at} user=kin dbname=postgres"}


class Redis(Server):
    fastest_end = signal.SIGKILL
    programs = "redis-server", "redis-cli"

    def prepare(self):
        pass

    def command(self):
        return [find("redis-server"), "--port", "0", "--unixsocket", self.at / "socket", "--save",
                "", "--appendonly", "no", "--dir", self.at, "--enable-debug-command", "yes",
                "--unixsocketperm", "777"]

    def question(self):
        return [find("redis-cli"), "-s", self.at / "socket", "ping"]

    def environment(self):
        return {"REDIS": str(self.at / "socket")}


def look_after(program, server):
    """Until the program has ended; its code."""
    while True:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)
        if program.poll() is not None:
            return program.returncode
        if server.process.poll() is not None:
            time.sleep(0.05)            # PostgreSQL starts when all of its old processes have ended
            server.start()


def run(kind, command):
    with tempfile.TemporaryDirectory(prefix="kin-") as directory:
        os.chmod(directory, 0o755)
        server = kind(pathlib.Path(directory))
        try:
            server.start()
            server.wait()
            environment = {**os.environ, **server.environment(),
                           "SERVER_PID": f"{directory}/pid"}
            program = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL,
                                       preexec_fn=end_with_parent(signal.SIGKILL))
            return look_after(program, server)
        finally:
            server.end()


def main():
    kind = {"postgres": Postgres, "redis": Redis}[sys.argv[1]]
    missing = [name for name in kind.programs if not find(name)]
    if missing:
        print("1..0 # SKIP no", ", ".join(missing))
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))       # so that everything is tidied up
    return run(kind, sys.argv[2:])


if __name__ == "__main__":
    sys.exit(main())
