"""What the tests of the kin command share: TAP, running the command, and a server
whose pages misbehave on demand.

A test is a function that is registered with @test and fails by an exception.
Each program ends with main(). Arguments select tests by a part of their names.
The command is $KIN, its backend $KIN_BACKEND; TAP_SLOW multiplies the limits.
"""
import contextlib
import json
import os
import re
import resource
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import traceback

KIN = os.environ.get("KIN", "kin")
SLOW = float(os.environ.get("TAP_SLOW", "1"))
LIMIT = 30 * SLOW
os.environ["KIN_DEBUG"] = "1"
# Whoever starts the tests in the background of a script has them ignored, and a child inherits
# that; the command would, as it should, leave them ignored.
for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
    if signal.getsignal(number) == signal.SIG_IGN:
        signal.signal(number, signal.SIG_DFL)
OUTCOMES = ["ok", "failed", "timed_out", "defaulted", "cancelled", "skipped"]

_tests = []


class Skip(Exception):
    pass


def test(function):
    _tests.append(function)
    return function


def equal(got, wanted, what=""):
    if got != wanted:
        raise AssertionError(f"{what}\n   got {got!r}\nwanted {wanted!r}")


def contains(text, *parts):
    for part in parts:
        if part not in text:
            raise AssertionError(f"{part!r} is not in\n{text}")


def lacks(text, *parts):
    for part in parts:
        if part in text:
            raise AssertionError(f"{part!r} should not be in\n{text}")


def at_most(got, most, what):
    """Bounds on time are what a quiet machine needs; a busy one gets five times that."""
    if got > 5 * most:
        raise AssertionError(f"{what}: {got} is more than {5 * most}")


def main():
    wanted = [t for t in _tests if not sys.argv[1:]
              or any(word in t.__name__ for word in sys.argv[1:])]
    print(f"1..{len(wanted)}", flush=True)
    failed = 0
    for number, function in enumerate(wanted, 1):
        note = ""
        try:
            function()
            word = "ok"
        except Skip as skip:
            word, note = "ok", f" # SKIP {skip}"
        except BaseException:
            word = "not ok"
            failed += 1
            for line in traceback.format_exc().splitlines():
                print("# " + line)
        print(f"{word} {number} - {function.__name__}{note}", flush=True)
    sys.exit(1 if failed else 0)


# ----------------------------------------------------------------- the command

class Result:
    def __init__(self, status, out, err, took):
        self.status, self.bytes, self.took = status, out, took
        self.out = out.decode("utf-8", "surrogateescape")
        # The runtime's reports must not be about mistakes; a slow machine is none.
        self.err = re.sub(r"(?m)^kin: .* kept the others waiting .*\n", "",
                          err.decode("utf-8", "surrogateescape"))

    def items(self):
        """The objects of --json; checks what must hold for all of them."""
        lines = [json.loads(line) for line in self.bytes.decode("utf-8").split("\n")[:-1]]
        *items, last = lines
        summary = last["summary"]
        equal(summary["total"], len(items), "the summary's total")
        for outcome in OUTCOMES:
            equal(summary[outcome], sum(i["outcome"] == outcome for i in items), outcome)
        equal(summary["exit"], 128 - self.status if self.status < 0 else self.status, "exit")
        for item in items:
            schema_check(item)
        schema_check(last)
        return items

    def outcomes(self):
        return [item["outcome"] for item in self.items()]


def start(*args, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, preexec_fn=None, **more):
    def prepare():
        """A shell that runs us in the background has us ignore these."""
        for number in signal.SIGINT, signal.SIGQUIT:
            signal.signal(number, signal.SIG_DFL)
        if preexec_fn:
            preexec_fn()

    return subprocess.Popen([KIN, "fetch", *args], stdin=stdin, stdout=stdout,
                            stderr=subprocess.PIPE, preexec_fn=prepare, **more)


def finish(process, input=None, began=None):
    began = began or time.monotonic()
    try:
        out, err = process.communicate(input, timeout=LIMIT)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        raise AssertionError(f"the command hangs\n{out!r}\n{err.decode(errors='replace')}")
    result = Result(process.returncode, out or b"", err, time.monotonic() - began)
    lacks(result.err, "Assertion", "Sanitizer", "runtime error")
    return result


def fetch(*args, input=None, **more):
    began = time.monotonic()
    stdin = subprocess.PIPE if input is not None else subprocess.DEVNULL
    if isinstance(input, str):
        input = input.encode()
    more.setdefault("stdin", stdin)
    return finish(start(*args, **more), input, began)


def usage(*args, says=(), **more):
    """The command must refuse this: one line, status 2, nothing on standard output."""
    result = fetch(*args, **more)
    equal(result.status, 2, f"status of {args}: {result.err}")
    equal(result.out, "", "standard output")
    equal(len(result.err.splitlines()), 1, f"lines of {result.err!r}")
    contains(result.err, "kin fetch: ", *([says] if isinstance(says, str) else says))


@contextlib.contextmanager
def directory():
    path = tempfile.mkdtemp(prefix="kin-test-")
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def write(path, data):
    with open(path, "wb") as file:
        file.write(data if isinstance(data, bytes) else data.encode())
    return path


def limited(**limits):
    """For preexec_fn: limited(NOFILE=32)."""
    def apply():
        for name, value in limits.items():
            resource.setrlimit(getattr(resource, "RLIMIT_" + name), (value, value))
    return apply


# ------------------------------------------------------------------ the schema

with open(os.path.join(os.path.dirname(os.path.abspath(__file__)),
                       "../../cli/fetch.schema.json")) as _file:
    _schema = json.load(_file)
_types = {"object": dict, "string": str, "integer": int, "number": (int, float)}


def _check(value, schema, where):
    schema = {**_schema["$defs"][schema["$ref"].rsplit("/", 1)[1]], **schema} \
        if "$ref" in schema else schema
    if "type" in schema and not isinstance(value, _types[schema["type"]]):
        raise AssertionError(f"{where}: {value!r} is no {schema['type']}")
    if "enum" in schema and value not in schema["enum"]:
        raise AssertionError(f"{where}: {value!r} is none of {schema['enum']}")
    if value == "" or ("minimum" in schema and value < schema["minimum"]):
        raise AssertionError(f"{where}: {value!r} is too small")
    for key in schema.get("required", []):
        if key not in value:
            raise AssertionError(f"{where}: {key} is missing in {value!r}")
    if "properties" in schema:
        for key, inner in value.items():
            if key not in schema["properties"]:
                raise AssertionError(f"{where}: {key} is not in the schema")
            _check(inner, schema["properties"][key], f"{where}.{key}")


def schema_check(line):
    """The part of JSON Schema that fetch.schema.json uses; unknown keys fail too."""
    name = next((n for n in ("summary", "progress") if n in line), "item")
    _check(line, {"$ref": "#/$defs/" + name}, name)


# ------------------------------------------------------------------ the server

def make_certificate(path, names="IP:127.0.0.1"):
    """A certificate signed by itself, with its key in the same file."""
    if shutil.which("openssl") is None:
        raise Skip("no openssl")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30",
                    "-subj", "/CN=kin test", "-addext", "subjectAltName=" + names,
                    "-keyout", path + ".key", "-out", path],
                   check=True, stdin=subprocess.DEVNULL, capture_output=True)
    with open(path, "a") as whole, open(path + ".key") as key:
        whole.write(key.read())
    return path


def wait_for(s, count):
    """Until so many requests have come."""
    until = time.monotonic() + LIMIT
    while len(s.requests) < count:
        if time.monotonic() > until:
            raise AssertionError(f"only {len(s.requests)} of {count} requests came")
        time.sleep(0.01)


class Server:
    """A server on loopback, of https where a certificate is given; what a page does follows
    from its path:

    /page/N         200, "page N\n"              /wait/MS/N    the same, after MS
    /size/N         N bytes                      /status/S     that status
    /flaky/K/N      503 K times, then 200        /busy/S/N     429 with Retry-After: S, once
    /stall          takes the request, says nothing, for ever
    /half           begins a page and then says nothing
    /drip           a byte every 50 ms, without end
    /cut            promises 1000 bytes, sends 10, closes
    /moved/PATH     302 to /PATH                 /loop         302 to itself
    /drop/K/N       closes without a word K times, then 200
    """

    def __init__(self, certificate=None):
        self.tls = None
        if certificate:
            self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.tls.load_cert_chain(certificate)
        self.lock = threading.Lock()
        self.requests, self.seen = [], {}
        self.now = self.most = 0
        self.closing = False
        self.socket = socket.create_server(("127.0.0.1", 0), backlog=4096)
        self.port = self.socket.getsockname()[1]
        self.url = f"http{'s' if certificate else ''}://127.0.0.1:{self.port}"
        self.connections = set()
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.closing = True
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        with self.lock:
            open_ones = list(self.connections)
        for connection in open_ones:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def _accept(self):
        while not self.closing:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            with self.lock:
                self.connections.add(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.tls:
                connection = self.tls.wrap_socket(connection, server_side=True)
            with connection, connection.makefile("rb") as lines:
                while self._serve_one(connection, lines):
                    pass
        except (OSError, ValueError):
            pass
        finally:
            with self.lock:
                self.connections.discard(connection)

    def _serve_one(self, connection, lines):
        first = lines.readline()
        while lines.readline().strip():
            pass
        if not first.strip():
            return False
        path = first.split()[1].decode()
        with self.lock:
            self.requests.append(path)
            self.seen[path] = count = self.seen.get(path, 0) + 1
            self.now += 1
            self.most = max(self.most, self.now)
        try:
            return self._answer(connection, path, count)
        finally:
            with self.lock:
                self.now -= 1

    def _send(self, connection, status, body, *headers):
        head = [f"HTTP/1.1 {status} Words", f"Content-Length: {len(body)}",
                "Content-Type: text/plain", *headers]
        with self.lock:
            self.now -= 1       # the client is free to go on before we come back
        connection.sendall("\r\n".join(head).encode() + b"\r\n\r\n" + body)
        with self.lock:
            self.now += 1
        return True

    def _wait_for_end(self, connection):
        connection.recv(1)
        return False

    def _answer(self, connection, path, count):
        name, *rest = path.lstrip("/").split("?")[0].split("/")
        page = f"page {rest[-1] if rest else ''}\n".encode()
        if name == "wait":
            time.sleep(int(rest[0]) / 1000)
        elif name == "size":
            page = (b"0123456789abcde\n" * (int(rest[0]) // 16 + 1))[:int(rest[0])]
        elif name == "status":
            return self._send(connection, int(rest[0]), b"a page for people\n")
        elif name == "flaky" and count <= int(rest[0]):
            return self._send(connection, 503, b"not yet\n")
        elif name == "busy" and count == 1:
            return self._send(connection, 429, b"later\n", f"Retry-After: {rest[0]}")
        elif name == "drop" and count <= int(rest[0]):
            return False
        elif name == "stall":
            return self._wait_for_end(connection)
        elif name == "half":
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nhalf of i")
            return self._wait_for_end(connection)
        elif name == "drip":
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n")
            while True:
                connection.sendall(b".")
                time.sleep(0.05)
        elif name == "cut":
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nonly this.")
            return False
        elif name == "moved":
            return self._send(connection, 302, b"", "Location: /" + "/".join(rest))
        elif name == "loop":
            return self._send(connection, 302, b"", "Location: /loop")
        return self._send(connection, 200, page)


def refused_url():
    """A URL at a port that is bound, and not listening; keep the socket."""
    deaf = socket.socket()
    deaf.bind(("127.0.0.1", 0))
    return deaf, f"http://127.0.0.1:{deaf.getsockname()[1]}"
