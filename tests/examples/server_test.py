"""What the tests of the example servers share: TAP, and a server as a process.

Nothing waits for a time to pass: each socket has a limit that a good server never comes
near, and everything else is waited for until it is there.
"""
import contextlib
import os
import pathlib
import signal
import socket
import subprocess
import sys

build = pathlib.Path(sys.argv[1])
LIMIT = 20 * int(os.environ.get("TAP_SLOW", 1))
results = []


def check(name, good, why=""):
    results.append(bool(good))
    print(f"{'ok' if good else 'not ok'} {len(results)} - {name}", flush=True)
    if not good:
        print("# " + str(why).replace("\n", "\n# "), flush=True)


def skip(name, why):
    results.append(True)
    print(f"ok {len(results)} - {name} # SKIP {why}", flush=True)


def finish():
    print(f"1..{len(results)}")
    sys.exit(not all(results))


class Server:
    """Ended by SIGTERM at the latest when the block is left."""

    def __init__(self, name, *arguments, **variables):
        self.process = subprocess.Popen(
            [build / f"example-{name}", "0", *arguments], stdin=subprocess.DEVNULL, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=os.environ | variables)
        words = self.process.stdout.readline().split()
        self.port = int(words[1]) if words else None    # it may have failed before

    def connect(self):
        return socket.create_connection(("127.0.0.1", self.port), timeout=LIMIT)

    def refuses(self):
        try:
            self.connect().close()
        except ConnectionRefusedError:
            return True
        return False

    def terminate(self):
        self.process.send_signal(signal.SIGTERM)

    def end(self):
        """What it returned, and wrote; but for steps that took long on a busy machine."""
        out, err = self.process.communicate(timeout=LIMIT)
        err = "".join(line for line in err.splitlines(True) if "kept the others" not in line)
        return self.process.returncode, out.strip(), err

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.communicate()


def read_all(connection):
    """Until the server closes."""
    parts = []
    with contextlib.suppress(ConnectionResetError):
        while part := connection.recv(65536):
            parts.append(part)
    connection.close()
    return b"".join(parts)
