"""Servers that behave as no server should, one thread a connection.

The first path segment says how; what a server saw can be asked for afterwards:
/sent/KEY answers how many bytes went out for /…/KEY, and whether its peer is gone.
"""

import gzip
import socket
import ssl
import struct
import threading
import time

OK = b"HTTP/1.1 200 OK\r\n"
sent = {}                                   # key: [bytes, "open" or "gone"]


class Request:
    def __init__(self, connection):
        self.connection = connection
        self.buffer = b""

    def fill(self):
        data = self.connection.recv(65536)
        self.buffer += data
        return bool(data)

    def head(self):
        while b"\r\n\r\n" not in self.buffer:
            if not self.fill():
                return False
        head, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
        lines = head.decode("latin-1").split("\r\n")
        self.method, self.target, _ = lines[0].split(" ", 2)
        self.lines = lines[1:]
        self.headers = {k.lower(): v.strip() for k, v in (line.split(":", 1) for line in lines[1:])}
        return True

    def take(self, size):
        while len(self.buffer) < size and self.fill():
            pass
        data, self.buffer = self.buffer[:size], self.buffer[size:]
        return data

    def line(self):
        while b"\r\n" not in self.buffer and self.fill():
            pass
        line, self.buffer = self.buffer.split(b"\r\n", 1)
        return line

    def body(self):
        if self.headers.get("transfer-encoding") == "chunked":
            body = b""
            while size := int(self.line(), 16):
                body += self.take(size)
                self.line()
            self.line()
            return body
        return self.take(int(self.headers.get("content-length", 0)))


def answer(c, body, extra=b""):
    c.sendall(OK + b"Content-Length: %d\r\n" % len(body) + extra + b"\r\n" + body)
    return True                             # keep the connection


# ---------------------------------------------------------------- behaviours

def short(c, request):
    c.sendall(OK + b"Content-Length: 100\r\n\r\nten bytes.")


def long(c, request):
    c.sendall(OK + b"Content-Length: 10\r\n\r\nten bytes." + b"and more" * 1000)


def drip(c, request):
    c.sendall(OK + b"Content-Length: 1000\r\n\r\n")
    for _ in range(1000):
        c.sendall(b".")
        time.sleep(1)


def stall(c, request):
    forget(c)


def half(c, request):
    c.sendall(OK + b"Content-Length: 1000\r\n\r\nthis far")
    forget(c)


def cut(c, request):
    c.sendall(OK + b"Content-Le")


def silent(c, request):
    pass


def reset(c, request):
    c.sendall(OK + b"Content-Length: 1000\r\n\r\nthis far")
    time.sleep(0.05)
    c.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def headers(c, request):
    c.sendall(OK)
    endless(c, b"X-Filler: " + b"x" * 1000 + b"\r\n")


def tiny_headers(c, request):
    c.sendall(OK)
    endless(c, b"a: b\r\n" * 1000)


def one_header(c, request):
    c.sendall(OK + b"X-Filler: ")
    endless(c, b"x" * 65536)


def early_hints(c, request):
    endless(c, b"HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n" * 100)


def garbage(c, request):
    c.sendall(bytes(range(256)) * 16)


def loop(c, request):
    c.sendall(b"HTTP/1.1 302 Found\r\nLocation: /loop\r\nContent-Length: 0\r\n\r\n")
    return True


def hops(c, request, n, status="302"):
    """n redirects, then what the last hop saw."""
    if n == "0":
        return echo(c, request)
    request.body()
    c.sendall(b"HTTP/1.1 %s See\r\nX-Hop: %s\r\nLocation: /hops/%d/%s\r\nContent-Length: 4\r\n\r\nhop!"
              % (status.encode(), n.encode(), int(n) - 1, status.encode()))
    return True


def elsewhere(c, request, scheme):
    c.sendall(b"HTTP/1.1 302 Found\r\nLocation: %s:///etc/passwd\r\nContent-Length: 0\r\n\r\n"
              % scheme.encode())
    return True


def huge(c, request, key="huge"):
    c.sendall(OK + b"\r\n")
    endless(c, b"0123456789abcdef" * 4096, key)


def zeros(c, request, size):
    c.sendall(OK + b"Content-Length: %s\r\n\r\n" % size.encode())
    left = int(size)
    while left > 0:
        c.sendall(bytes(min(left, 1 << 20)))
        left -= 1 << 20
    return True


def bomb(c, request):
    """A hundred megabytes of zeros, as a hundred kilobytes."""
    return answer(c, gzip.compress(bytes(100 << 20), 6), b"Content-Encoding: gzip\r\n")


def bad_gzip(c, request):
    return answer(c, gzip.compress(b"x")[:10] + b"\xff" * 100, b"Content-Encoding: gzip\r\n")


def once(c, request):
    """Promises to keep the connection, and closes it after a while."""
    answer(c, b"once")
    time.sleep(0.1)


def echo(c, request, *rest):
    body = request.body()
    text = "%s %s\n%s\n\n" % (request.method, request.target, "\n".join(request.lines))
    return answer(c, text.encode("latin-1") + body)


def early(c, request):
    """Answers without having read the body."""
    c.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nno\n")
    time.sleep(0.5)


def never_reads(c, request):
    forget(c)


def folded(c, request):
    return answer(c, b"ok", b"X-Folded: one\r\n  two\r\nX-Empty:\r\nX-Twice: 1\r\nX-Twice: 2\r\n")


def old(c, request):
    c.sendall(b"HTTP/1.0 200 OK\r\nContent-Type: text/old\r\n\r\nold")


def trailers(c, request):
    c.sendall(OK + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Trailer: late\r\n\r\n")
    return True


def cut_chunk(c, request):
    c.sendall(OK + b"Transfer-Encoding: chunked\r\n\r\n64\r\nabc")


def bad_chunk(c, request):
    c.sendall(OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nabc")


def later(c, request, milliseconds):
    time.sleep(int(milliseconds) / 1000)
    return answer(c, milliseconds.encode())


def report(c, request, key):
    count, state = sent.get(key, [0, "unknown"])
    return answer(c, b"%d %s" % (count, state.encode()))


BEHAVIOURS = {f.__name__: f for f in (
    short, long, drip, stall, half, cut, silent, reset, headers, tiny_headers, one_header,
    early_hints, garbage, loop, hops, elsewhere, huge, zeros, bomb, bad_gzip, once, echo, early,
    never_reads, folded, old, trailers, cut_chunk, bad_chunk, later, report)}


# ------------------------------------------------------------------ plumbing

def endless(c, data, key=None):
    entry = sent.setdefault(key, [0, "open"])
    try:
        while True:
            entry[0] += c.send(data)
    except OSError:
        entry[1] = "gone"
        raise


def forget(c):
    """Says nothing more until the peer goes."""
    while c.recv(65536) if c.fileno() >= 0 else b"":
        time.sleep(1)


def serve(connection):
    try:
        with connection:
            request = Request(connection)
            while request.head():
                name, *rest = request.target.lstrip("/").split("/")
                if not BEHAVIOURS[name](connection, request, *rest):
                    break
    except (OSError, ValueError):           # gone, also in the middle of a chunk's size
        pass


def pump(source, target):
    try:
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass


def proxy(connection):
    """CONNECT, and absolute URLs, whose answer it marks by its own header."""
    with connection:
        request = Request(connection)
        if not request.head():
            return
        if request.method == "CONNECT":
            host, port = request.target.rsplit(":", 1)
            if port == "1":
                connection.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
                return
            with socket.create_connection((host, int(port))) as server:
                connection.sendall(b"HTTP/1.1 200 Connected\r\nX-Proxy: connect\r\n\r\n")
                threading.Thread(target=pump, args=(server, connection), daemon=True).start()
                pump(connection, server)
        else:
            answer(connection, b"proxied " + request.target.encode(), b"X-Proxy: plain\r\n")


def mute(connection):
    """Accepts, and says nothing: no TLS handshake either."""
    with connection:
        try:
            forget(connection)
        except OSError:
            pass


def listen(handler):
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)

    def accept():
        while True:
            connection, _ = listener.accept()
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=handler, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    return listener.getsockname()[1]


def tls_then(handler, at):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(at / "server.pem", at / "server.key")

    def shake(connection):
        try:
            handler(context.wrap_socket(connection, server_side=True))
        except OSError:
            connection.close()
    return shake


refusing = socket.socket()                  # bound, so that nobody else gets it, but not listening


def start(at):
    threading.stack_size(512 * 1024)
    refusing.bind(("127.0.0.1", 0))
    return {"hostile": listen(serve), "hostile_tls": listen(tls_then(serve, at)),
            "proxy": listen(proxy), "mute": listen(mute), "refused": refusing.getsockname()[1]}
