#!/usr/bin/env python3
"""The example HTTP server: what it answers, to whom it closes, and that it does so under
load, to hostile clients, and while it ends. Prints TAP.

    http_server.py BUILD-DIR/examples SOURCE-DIR
"""
import re
import shutil
import signal
import subprocess
import threading
import time

from server_test import LIMIT, Server, check, finish, read_all, skip

HELLO = b"Hello, world!\n"
GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
LAST = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"


class Answer:
    def __init__(self, head, body):
        line, *headers = head.decode().split("\r\n")
        self.status = int(line.split(" ")[1])
        self.headers = {name.lower(): value for name, value in
                        (header.split(": ", 1) for header in headers)}
        self.body = body

    def __repr__(self):
        return f"{self.status} {self.headers} {self.body!r}"

    @property
    def closes(self):
        return self.headers.get("connection") == "close"


def split(stream, heads=()):
    """The answers in a stream; the i-th is without body for i in heads."""
    answers = []
    while stream:
        head, end, stream = stream.partition(b"\r\n\r\n")
        if not end:
            raise ValueError(f"cut off: {head!r}")
        answer = Answer(head, b"")
        size = int(answer.headers.get("content-length", 0))
        if len(answers) not in heads:
            answer.body, stream = stream[:size], stream[size:]
            if len(answer.body) < size:
                raise ValueError(f"cut off: {answer}")
        answers.append(answer)
    return answers


def exchange(server, *pieces, heads=()):
    """Sends the pieces, each when the one before has been taken; all that is answered."""
    with server.connect() as connection:
        for piece in pieces:
            connection.sendall(piece)
        return split(read_all(connection), heads)


def statuses(answers):
    return [answer.status for answer in answers]


# ------------------------------------------------------------------ what it answers

def curl(server, *arguments):
    done = subprocess.run(["curl", "-sS", "--max-time", str(LIMIT), *arguments],
                          capture_output=True)
    return done.returncode, done.stdout, done.stderr


def check_curl(server):
    if not shutil.which("curl"):
        skip("curl", "not installed")
        return
    url = f"http://127.0.0.1:{server.port}"
    check("curl_gets_a_page", curl(server, url) == (0, HELLO, b""))
    done = curl(server, "-w", "%{num_connects} %{http_code}\n", url, url + "/none", url)
    check("curl_keeps_the_connection",
          re.findall(rb"^(\d \d+)$", done[1], re.M) == [b"1 200", b"0 404", b"0 200"], done)
    done = curl(server, "-I", url)
    check("curl_gets_a_head", done[0] == 0 and b"Content-Length: 14" in done[1], done)
    done = curl(server, "-H", "Expect: 100-continue", "--data-binary", "y" * 4000, url + "/echo")
    check("curl_posts_when_it_is_asked_to_go_on", done == (0, b"y" * 4000, b""), done)
    done = curl(server, "-H", "Transfer-Encoding: chunked", "-d", "abc", url + "/echo")
    check("curl_posts_in_chunks", done == (0, b"abc", b""), done)
    done = curl(server, "--http1.0", "-w", "%{http_version}", url)
    check("curl_speaks_HTTP_1_0", done == (0, HELLO + b"1.1", b""), done)


def request(method=b"GET", target=b"/", headers=b"Host: a\r\n", body=b"", version=b"1.1"):
    return b"%s %s HTTP/%s\r\n%s\r\n%s" % (method, target, version, headers, body)


ANSWERS = [
    ("a_query_is_not_part_of_the_path", request(target=b"/?a=b"), 200, False),
    ("an_absolute_target", request(target=b"http://a/"), 200, False),
    ("no_such_page", request(target=b"/none"), 404, False),
    ("nothing_to_post_to",
     request(b"POST", headers=b"Host: a\r\nContent-Length: 0\r\n"), 404, False),
    ("a_method_that_is_not_allowed", request(b"DELETE"), 405, False),
    ("a_body_that_nobody_asked_for",
     request(headers=b"Host: a\r\nContent-Length: 3\r\n", body=b"abc"), 200, False),
    ("close_when_asked", LAST, 200, True),
    ("HTTP_1_0_closes", request(version=b"1.0", headers=b""), 200, True),
    ("HTTP_1_0_may_keep",
     request(version=b"1.0", headers=b"Connection: keep-alive\r\n"), 200, False),
    ("an_upgrade_is_not_taken",
     request(headers=b"Host: a\r\nConnection: upgrade\r\nUpgrade: h2c\r\n"), 200, False),
    ("empty_headers",
     request(headers=b"X:\r\nHost: a\r\nY: \r\nExpect:100-continue\r\n"), 200, False),
    ("lines_before_a_request", b"\r\n\r\n" + GET, 200, False),
    # what ends the connection
    ("no_host", request(headers=b""), 400, True),
    ("two_hosts", request(headers=b"Host: a\r\nHost: b\r\n"), 400, True),
    ("no_method", request(b"FETCH"), 501, True),
    ("no_request", b"\0\1\2\3", 501, True),
    ("no_version", b"GET /\r\n\r\n", 505, True),
    ("another_version", request(version=b"2.0"), 505, True),
    ("a_broken_header", request(headers=b"Host: a\r\n: b\r\n"), 400, True),
    ("a_space_in_a_name", request(headers=b"Host : a\r\n"), 400, True),
    ("a_NUL_in_a_header", request(headers=b"Host: a\0b\r\n"), 400, True),
    ("a_length_that_is_none", request(headers=b"Host: a\r\nContent-Length: x\r\n"), 400, True),
    ("a_negative_length", request(headers=b"Host: a\r\nContent-Length: -1\r\n"), 400, True),
    ("two_lengths",
     request(headers=b"Host: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n"), 400, True),
    ("a_length_beside_chunks",
     request(headers=b"Host: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n"), 400, True),
    ("a_length_beyond_64_bits",
     request(headers=b"Host: a\r\nContent-Length: 99999999999999999999999\r\n"), 400, True),
    ("a_body_too_long",
     request(b"POST", b"/echo", b"Host: a\r\nContent-Length: 4097\r\n"), 413, True),
    ("chunks_too_long", request(b"POST", b"/echo", b"Host: a\r\nTransfer-Encoding: chunked\r\n",
                                b"1001\r\n" + b"x" * 4097 + b"\r\n0\r\n\r\n"), 413, True),
    ("a_chunk_of_no_size", request(b"POST", b"/echo", b"Host: a\r\nTransfer-Encoding: chunked\r\n",
                                   b"zz\r\n"), 400, True),
    ("a_target_too_long", request(target=b"/" + b"a" * 1024), 414, True),
    ("a_header_too_long", request(headers=b"Host: a\r\nX: " + b"x" * 8192 + b"\r\n"), 431, True),
    ("too_many_headers", request(headers=b"Host: a\r\n" + b"X: x\r\n" * 2000), 431, True),
    ("another_expectation", request(headers=b"Host: a\r\nExpect: tea\r\n"), 417, True),
]


def check_answers(server):
    for name, text, status, closes in ANSWERS:
        answers = exchange(server, text + (b"" if closes else LAST))
        wanted = [status] if closes else [status, 200]
        # what was wrong is not followed by answers to what the rest could be taken for
        good = statuses(answers) == wanted and answers[0].closes == closes and answers[-1].closes
        check(f"answer_to_{name}", good, answers)


def check_largest(server):
    """What is just not too long."""
    text = (request(b"POST", b"/echo", b"Host: a\r\nContent-Length: 4096\r\n", b"y" * 4096) +
            request(target=b"/" + b"a" * 1023) +
            request(headers=b"Host: a\r\nX: " + b"x" * 8000 + b"\r\n") + LAST)
    answers = exchange(server, text)
    check("the_longest_of_all", statuses(answers) == [200, 404, 200, 200] and
          answers[0].body == b"y" * 4096, answers)


def check_head(server):
    answers = exchange(server, request(b"HEAD") + request(b"HEAD", b"/none") + LAST, heads=(0, 1))
    check("a_head_has_no_body", statuses(answers) == [200, 404, 200] and
          answers[0].headers["content-length"] == "14", answers)
    when = answers[0].headers["date"]
    check("the_date_is_one", time.strptime(when, "%a, %d %b %Y %H:%M:%S GMT"), when)


def check_continue(server):
    """The body is sent only when the server asks for it."""
    with server.connect() as connection:
        connection.sendall(request(b"POST", b"/echo",
                                   b"Host: a\r\nExpect: 100-Continue\r\nContent-Length: 3\r\n"))
        interim = connection.recv(4096)
        connection.sendall(b"abc" + LAST)
        answers = split(read_all(connection))
    check("it_says_continue", interim == b"HTTP/1.1 100 Continue\r\n\r\n", interim)
    check("and_takes_the_body", [answer.body for answer in answers] == [b"abc", HELLO], answers)
    answers = exchange(server, request(b"POST", b"/echo", b"Host: a\r\nExpect: 100-continue\r\n"
                                       b"Content-Length: 5000\r\n"))
    check("what_it_would_not_take_it_does_not_ask_for", statuses(answers) == [413], answers)


# ------------------------------------------------------------- in pieces, in a row

PIPELINE = (GET + request(b"HEAD", b"/none") +
            request(b"POST", b"/echo", b"Host: a\r\nContent-Length: 5\r\n", b"first") +
            request(b"POST", b"/echo", b"host:a\r\nTransfer-Encoding: chunked\r\n",
                    b"3\r\nsec\r\n3;x=y\r\nond\r\n0\r\nTrailer: t\r\n\r\n") + LAST)
PIPELINE_BODIES = [HELLO, b"", b"first", b"second", HELLO]


def check_pieces(server):
    bad = []
    for cut in range(1, len(PIPELINE)):
        answers = exchange(server, PIPELINE[:cut], PIPELINE[cut:], heads=(1,))
        if [answer.body for answer in answers] != PIPELINE_BODIES:
            bad.append((cut, answers))
    check("a_pipeline_cut_in_two_anywhere", not bad, bad[:3])
    answers = exchange(server, *(PIPELINE[i:i + 1] for i in range(len(PIPELINE))), heads=(1,))
    check("a_pipeline_byte_by_byte", [answer.body for answer in answers] == PIPELINE_BODIES)
    answers = exchange(server, GET * 500 + LAST)
    check("five_hundred_at_once", statuses(answers) == [200] * 501, len(answers))


def check_disappearing(server):
    """Clients that leave at any point of a request cost nobody else anything."""
    for cut in range(0, len(PIPELINE), 7):
        connection = server.connect()
        connection.sendall(PIPELINE[:cut])
        connection.close()
    check("who_leaves_is_not_missed", statuses(exchange(server, LAST)) == [200])


# --------------------------------------------------------------------- slow clients

def check_slow():
    with Server("http_server", "1") as server:
        connection = server.connect()
        connection.sendall(GET)
        first = connection.recv(4096)
        dripping, began = True, time.monotonic()

        def drip():
            try:
                for byte in GET * 1000:
                    connection.sendall(bytes([byte]))
                    time.sleep(0.2)
                    if not dripping:
                        break
            except OSError:
                pass
        thread = threading.Thread(target=drip)
        thread.start()
        answers = split(read_all(connection))
        dripping, took = False, time.monotonic() - began
        thread.join()
        check("a_request_that_drips_in_is_ended",
              HELLO in first and statuses(answers) == [408] and answers[0].closes and
              0.9 < took < LIMIT, (answers, took))
        connection = server.connect()
        connection.setblocking(False)
        sent = 0
        try:
            while sent < 1 << 28:
                sent += connection.send(GET * 1000)
        except BlockingIOError:
            pass
        check("who_does_not_read_fills_no_more_than_buffers", sent < 1 << 28, sent)
        connection.settimeout(LIMIT)
        time.sleep(2)                   # longer than an answer may take
        read_all(connection)
        server.terminate()
        done = server.end()
        check("slow_clients_are_no_failures",
              done == (0, "2 connections, 0 failed, 0 cut off", ""), done)


# ----------------------------------------------------------------------- many, much

LOADS = {
    "wrk": (["wrk", "-t1", "-c50", "-d1s"], [r"Requests/sec: +[1-9]"],
            [r"Socket errors", r"Non-2xx"]),
    "ab": (["ab", "-q", "-k", "-n", "5000", "-c", "20"], [r"Complete requests: +5000",
                                                         r"Failed requests: +0\n",
                                                         r"Keep-Alive requests: +5000"],
           [r"Non-2xx", r"Write errors: +[1-9]"]),
    "ab without keep-alive": (["ab", "-q", "-n", "2000", "-c", "20"], [r"Complete requests: +2000",
                                                                       r"Failed requests: +0\n"],
                              [r"Non-2xx", r"Write errors: +[1-9]"]),
    "h2load": (["h2load", "--h1", "-n", "5000", "-c", "20", "-m", "8"],
               [r"5000 succeeded, 0 failed, 0 errored, 0 timeout"], []),
}


def check_loads(server):
    for name, (command, wanted, unwanted) in LOADS.items():
        if not shutil.which(command[0]):
            skip(f"no_errors_under_{name}".replace(" ", "_"), f"{command[0]} is not installed")
            continue
        done = subprocess.run([*command, f"http://127.0.0.1:{server.port}/"], capture_output=True,
                              text=True, timeout=LIMIT)
        good = (done.returncode == 0 and all(re.search(line, done.stdout) for line in wanted) and
                not any(re.search(line, done.stdout) for line in unwanted))
        check(f"no_errors_under_{name}".replace(" ", "_"), good, done.stdout + done.stderr)


# ------------------------------------------------------------------------- the end

def check_drain():
    with Server("http_server") as server:
        idle, busy = server.connect(), server.connect()
        idle.sendall(GET)
        idle.recv(4096)
        busy.sendall(request(target=b"/slow") + GET)
        half = server.connect()
        half.sendall(GET[:10])
        check("all_are_served", statuses(exchange(server, LAST)) == [200])
        server.terminate()
        check("idle_connections_end", read_all(idle) == b"")
        check("nobody_new_is_taken", server.refuses())
        half.sendall(GET[10:])
        answers = split(read_all(half))
        check("a_request_that_has_begun_is_answered",
              statuses(answers) == [200] and answers[0].closes, answers)
        answers = split(read_all(busy))
        check("an_answer_under_way_is_given",
              statuses(answers) == [200] and answers[0].closes, answers)
        done = server.end()
        check("then_it_ends", done == (0, "4 connections, 0 failed, 0 cut off", ""), done)


def check_drain_under_load():
    """Whoever asks while it ends gets a whole answer or none."""
    with Server("http_server") as server:
        broken, counts = [], [0] * 8

        def ask(i):
            try:
                while True:
                    counts[i] += len(exchange(server, GET + LAST))
            except ConnectionError:
                pass
            except ValueError as error:
                broken.append(error)
        threads = [threading.Thread(target=ask, args=[i]) for i in range(8)]
        for thread in threads:
            thread.start()
        while sum(counts) < 100:
            time.sleep(0.01)
        server.terminate()
        for thread in threads:
            thread.join()
        done = server.end()
        check("no_answer_is_cut_off_by_the_end",
              not broken and done[0] == 0 and "0 failed, 0 cut off" in done[1] and not done[2],
              (broken, done))


# -------------------------------------------------------------- faults everywhere

KINDS = ("fail_request", "cancel_call", "cancel_wait")
BAD = re.compile(r"misuse|deadlock|Sanitizer")
MOST_TO_BEGIN = 20          # requests for memory, without which a run does not even begin


def live(variables):
    """A short life; how it ended, and what it said."""
    with Server("http_server", **variables) as server:
        if server.port:
            try:
                exchange(server, GET + LAST)
            except (OSError, ValueError):
                pass                # a client may have to suffer, but nothing else
            server.terminate()
        return server.end()


def check_faults():
    for kind in KINDS:
        bad, place, counted = [], 0, None
        while counted is None or place <= counted:
            place += 1
            code, _, err = live({"KIN_FAULT": f"{kind}:{place}"})
            counts = re.findall(r"there were (\d+) requests, (\d+) calls, (\d+) waits", err)
            # The signal may meet a process that ends by itself and has given it back already.
            met_the_end = code == -signal.SIGTERM
            silent = met_the_end or (kind == "fail_request" and place <= MOST_TO_BEGIN)
            if not (code in (0, 1) or met_the_end) or BAD.search(err) or not (counts or silent):
                bad.append((place, code, err))
                break
            counted = int(counts[-1][KINDS.index(kind)]) if counts else None
        check(f"Q4_it_ends_well_with_any_{kind}", not bad and place > 2, (place, bad))


with Server("http_server") as server:
    check_curl(server)
    check_answers(server)
    check_largest(server)
    check_head(server)
    check_continue(server)
    check_pieces(server)
    check_disappearing(server)
    check_loads(server)
    server.terminate()
    done = server.end()
    check("none_of_all_that_was_a_failure",
          done[0] == 0 and "0 failed, 0 cut off" in done[1] and not done[2], done)
check_slow()
check_drain()
check_drain_under_load()
check_faults()
finish()
