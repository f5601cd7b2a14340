#!/usr/bin/env python3
"""The example server: it echoes, and drains when it is told to end. Prints TAP.

    server.py BUILD-DIR/examples SOURCE-DIR
"""
import select
import time

from server_test import Server, check, finish, read_all


def say(connection, text):
    connection.sendall(text)
    return connection.recv(64)


with Server("server") as server:
    clients = [server.connect() for _ in range(20)]
    answers = [say(client, b"%d" % i) for i, client in enumerate(clients)]
    check("it_echoes", answers == [b"%d" % i for i in range(20)], answers)
    clients[0].close()
    server.terminate()
    began = time.monotonic()
    rest = [read_all(client) for client in clients[1:]]
    check("who_is_idle_is_sent_home", rest == [b""] * 19, rest)
    done = server.end()
    check("the_server_has_ended_well", done == (0, "20 connections, 0 failed, 0 cut off", ""), done)
    check("nobody_was_waited_for", time.monotonic() - began < 4, time.monotonic() - began)

# One who sends and never reads: what it is owed fills all buffers.
with Server("server") as server:
    stuck, idle = server.connect(), server.connect()
    check("both_are_served", say(stuck, b"a") + say(idle, b"b") == b"ab")
    stuck.setblocking(False)
    while select.select([], [stuck], [], 1)[1]:
        stuck.send(b"x" * 65536)
    began = time.monotonic()
    server.terminate()
    check("the_idle_one_goes_first", read_all(idle) == b"" and server.process.poll() is None)
    check("who_comes_now_is_refused", server.refuses())
    done = server.end()
    took = time.monotonic() - began
    check("who_does_not_end_is_cut_off_after_five_seconds",
          done == (0, "2 connections, 0 failed, 1 cut off", "") and took >= 4.9, (done, took))
finish()
