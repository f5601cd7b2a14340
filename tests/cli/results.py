#!/usr/bin/python3
"""Outcomes, exit statuses, limits, policies, retries."""
from harness import *


@test
def one_page():
    with Server() as s:
        r = fetch(s.url + "/page/7")
        equal((r.status, r.out), (0, "page 7\n"))
        contains(r.err, "1 item in", "1 ok")


@test
def pages_come_in_input_order():
    with Server() as s:
        urls = [f"{s.url}/wait/{ms}/{i}" for i, ms in enumerate([400, 200, 0, 300, 100])]
        r = fetch(*urls)
        equal((r.status, r.out), (0, "".join(f"page {i}\n" for i in range(5))))


@test
def unordered_pages_come_as_they_are_complete():
    with Server() as s:
        urls = [f"{s.url}/wait/{ms}/{i}" for i, ms in enumerate([800, 400, 0])]
        r = fetch("--unordered", *urls)
        equal((r.status, r.out), (0, "page 2\npage 1\npage 0\n"))


@test
def order_also_when_the_window_is_full():
    with Server() as s, directory() as d:
        lines = [f"{s.url}/wait/1500/head"] + [f"{s.url}/page/{i}" for i in range(3000)]
        r = fetch("-j", "20", "-f", write(d + "/list", "\n".join(lines)))
        equal(r.status, 0)
        equal(r.out, "page head\n" + "".join(f"page {i}\n" for i in range(3000)))


@test
def large_pages_are_spooled_in_order():
    with Server() as s, directory() as d:
        sizes = [0, 1, 65535, 65536, 65537, 200000, 1000000, 3000000, 10]
        lines = [f"{s.url}/wait/700/x"] + [f"{s.url}/size/{n}" for n in sizes] * 6
        r = fetch("-j", "9", "-f", write(d + "/list", "\n".join(lines)),
                  env={**os.environ, "TMPDIR": d})
        equal(r.status, 0)
        one = b"".join((b"0123456789abcde\n" * (n // 16 + 1))[:n] for n in sizes)
        equal(r.bytes == b"page x\n" + one * 6, True, "the bytes are the same")
        equal(os.listdir(d), ["list"], "left behind")


@test
def jobs_bounds_how_many_run():
    with Server() as s:
        r = fetch("-j", "3", f"{s.url}/wait/500/[1-6]")
        equal((r.status, s.most), (0, 3))
    with Server() as s:
        r = fetch(f"{s.url}/wait/500/[1-10]")
        equal((r.status, s.most), (0, 5), "the default")


@test
def limit_counts_from_the_start_of_an_item():
    with Server() as s:
        r = fetch("-j", "1", "-t", "1s", "--json", s.url + "/wait/700/{a,b,c}")
        equal((r.status, r.outcomes()), (0, ["ok"] * 3))


@test
def timed_out_items_are_124():
    with Server() as s:
        r = fetch("-t", "300ms", "--json", s.url + "/stall", s.url + "/page/1", s.url + "/half",
                  s.url + "/drip")
        items = r.items()
        equal([i["outcome"] for i in items], ["timed_out", "ok", "timed_out", "timed_out"])
        equal(r.status, 124)
        for i in (0, 2, 3):
            equal(items[i]["error"]["code"], "KIN_ETIMEDOUT")
            equal(items[i]["error"]["class"], "timeout")
            at_most(abs(items[i]["run_ms"] - 300), 150 * SLOW, "run_ms")
        contains(items[0]["error"]["message"], "no answer within 300 ms")
        contains(items[2]["error"]["message"], "incomplete after 300 ms (status 200, 9 bytes)")
        contains(r.err, "timed out", "no answer within 300 ms")


@test
def half_a_page_is_never_printed():
    with Server() as s:
        r = fetch("-t", "200ms", s.url + "/half", s.url + "/cut", s.url + "/status/404")
        equal((r.status, r.out), (1, ""))


@test
def failures_are_1_and_the_rest_goes_on():
    deaf, refused = refused_url()
    with Server() as s, deaf:
        r = fetch("--json", "-k", s.url + "/status/404", s.url + "/page/1", s.url + "/status/500",
                  refused + "/x", s.url + "/cut", s.url + "/loop",
                  "http://" + "x" * 64 + "/")       # no part of a name can be so long
        items = r.items()
        equal([i["outcome"] for i in items], ["failed", "ok"] + ["failed"] * 5)
        equal(r.status, 1)
        errors = [i.get("error", {}) for i in items]
        equal([e.get("code") for e in errors],
              ["HTTP_404", None, "HTTP_500", "CURLE_COULDNT_CONNECT", "CURLE_PARTIAL_FILE",
               "CURLE_TOO_MANY_REDIRECTS", "CURLE_COULDNT_RESOLVE_HOST"])
        equal(errors[0]["class"], "http status")
        equal(errors[3]["class"], "http")
        contains(r.err, "404 Not Found", "500 Internal Server Error")


@test
def failures_and_timeouts_together_are_1():
    with Server() as s:
        r = fetch("-t", "200ms", s.url + "/stall", s.url + "/status/404")
        equal(r.status, 1)
        # losers last, the failed ones at the very end
        lines = r.err.splitlines()
        contains(lines[-2], "timed out")
        contains(lines[-1], "failed")


@test
def redirects_are_followed_and_told():
    with Server() as s:
        item, = fetch("--json", s.url + "/moved/moved/page/3").items()
        equal((item["status"], item["redirects"], item["url"]), (200, 2, s.url + "/page/3"))
        equal((item["bytes"], item["type"]), (7, "text/plain"))


@test
def deadline_cancels_what_runs_and_skips_the_rest():
    with Server() as s:
        r = fetch("-j", "2", "-d", "400ms", "--json", s.url + "/page/1", s.url + "/stall",
                  s.url + "/half", s.url + "/page/2", s.url + "/page/3")
        items = r.items()
        equal([i["outcome"] for i in items], ["ok", "cancelled", "cancelled", "skipped", "skipped"])
        equal(r.status, 124)
        for i in items[1:]:
            equal(i["cancelled_by"]["reason"], "deadline")
            equal(i["error"]["code"], "KIN_ECANCELED")
        equal((items[3]["attempts"], items[3]["run_ms"]), (0, 0))
        contains(r.err, "the deadline of 400 ms has passed", "never started")
        at_most(r.took, 0.4 + 0.3 * SLOW, "seconds")


@test
def deadline_holds_for_a_thousand_stalled_items():
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as silent:    # never accepts
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        r = fetch("-j", "1000", "-d", "2s", "--json", url + "/[1-1000]")
        equal((r.status, set(r.outcomes())), (124, {"cancelled"}))
        wall = json.loads(r.out.splitlines()[-1])["summary"]["wall_ms"]
        at_most(wall, 2000 + 500 * SLOW, "wall_ms")


@test
def deadline_that_nobody_notices_is_0():
    with Server() as s:
        r = fetch("-d", "5s", s.url + "/page/[1-9]")
        equal(r.status, 0)
        lacks(r.err, "deadline")


@test
def deadline_ends_the_wait_for_the_list():
    p = start("-d", "300ms", "-", stdin=subprocess.PIPE)
    began = time.monotonic()
    p.wait(LIMIT)
    equal(p.returncode, 124)
    at_most(time.monotonic() - began, 0.3 + 0.5 * SLOW, "seconds")
    p.communicate()


@test
def fail_fast_cancels_the_rest():
    with Server() as s:
        r = fetch("-j", "3", "--fail-fast", "--json", s.url + "/stall", s.url + "/page/1",
                  s.url + "/wait/300/1", s.url + "/moved/wait/100/1", s.url + "/status/404",
                  s.url + "/page/2")
        items = r.items()
        equal([i["outcome"] for i in items],
              ["cancelled", "ok", "cancelled", "ok", "failed", "skipped"])
        equal(r.status, 1)
        equal(items[0]["cancelled_by"]["reason"], "sibling")
        contains(items[0]["cancelled_by"]["name"], "http://127.0.0.1")


@test
def max_fail_cancels_at_the_nth():
    with Server() as s:
        r = fetch("-j", "1", "--max-fail", "2", "--json", s.url + "/status/404", s.url + "/page/1",
                  s.url + "/status/500", s.url + "/page/[2-4]")
        equal(r.outcomes(), ["failed", "ok", "failed", "skipped", "skipped", "skipped"])
        equal(r.status, 1)
        contains(r.err, "2 failed")
        r = fetch("--max-fail", "3", s.url + "/status/404", s.url + "/page/1")
        equal(r.status, 1)


@test
def max_fail_counts_timeouts_and_cancels_what_runs():
    with Server() as s:
        r = fetch("-j", "2", "-t", "300ms", "--max-fail", "1", "--json", s.url + "/wait/100/1",
                  s.url + "/stall", s.url + "/wait/250/2", s.url + "/page/1")
        equal(r.outcomes(), ["ok", "timed_out", "cancelled", "skipped"])
        equal(r.status, 124)


@test
def first_takes_the_first_success():
    with Server() as s:
        r = fetch("--first", "--json", s.url + "/stall", s.url + "/status/404",
                  s.url + "/wait/200/won", s.url + "/wait/3000/late")
        items = r.items()
        equal([i["outcome"] for i in items], ["cancelled", "failed", "ok", "cancelled"])
        equal(r.status, 0)
        equal(items[0]["cancelled_by"]["reason"], "decision")
        r = fetch("--first", s.url + "/wait/500/late", s.url + "/page/won")
        equal((r.status, r.out), (0, "page won\n"))


@test
def first_without_a_success():
    with Server() as s:
        equal(fetch("--first", s.url + "/status/404", s.url + "/status/500").status, 1)
        equal(fetch("--first", "-t", "200ms", s.url + "/stall").status, 124)
        r = fetch("--first", "-t", "200ms", "--on-timeout", "x", "--json", s.url + "/stall",
                  s.url + "/wait/150/1")
        equal((r.status, r.outcomes()[1]), (0, "ok"), "a default does not win")
        r = fetch("--first", "-t", "150ms", "--on-timeout", "x", s.url + "/stall")
        equal((r.status, r.out), (124, ""), "there is no default where nothing won")


@test
def first_keeps_one_of_many_that_come_together():
    with Server() as s, directory() as d:
        for options in ["--json"], ["--json", "-o", d]:
            p = start("--first", "-j", "20", *options, s.url + "/wait/150/[1-20]")
            time.sleep(0.1)
            p.send_signal(signal.SIGSTOP)
            time.sleep(0.25)                # all the answers are there now
            p.send_signal(signal.SIGCONT)
            r = finish(p)
            items = r.items()
            equal(r.status, 0)
            equal(sorted(i["outcome"] for i in items), ["cancelled"] * 19 + ["ok"])
            for i in items:
                if i["outcome"] == "cancelled":
                    equal(i["cancelled_by"]["reason"], "decision")
        equal(len(os.listdir(d)), 1)


@test
def on_timeout_text():
    with Server() as s:
        r = fetch("-t", "200ms", "--on-timeout", "nothing", s.url + "/page/1", s.url + "/half",
                  s.url + "/page/2")
        equal((r.status, r.out), (0, "page 1\nnothing\npage 2\n"))
        contains(r.err, "1 defaulted")
        item, = fetch("-t", "200ms", "--on-timeout", "nothing", "--json", s.url + "/stall").items()
        equal((item["outcome"], item["error"]["code"]), ("defaulted", "KIN_ETIMEDOUT"))


@test
def on_timeout_file_skip_fail():
    with Server() as s, directory() as d:
        write(d + "/default", b"\x00no newline")
        r = fetch("-t", "200ms", "--on-timeout", f"@{d}/default", s.url + "/stall")
        equal((r.status, r.bytes), (0, b"\x00no newline"))
        r = fetch("-t", "200ms", "--on-timeout", "skip", "--json", s.url + "/stall")
        equal((r.status, r.outcomes()), (0, ["defaulted"]))
        r = fetch("-t", "200ms", "--on-timeout", "skip", s.url + "/half")
        equal((r.status, r.out), (0, ""))
        r = fetch("-t", "200ms", "--on-timeout", "fail", "--json", s.url + "/stall")
        equal((r.status, r.outcomes()), (124, ["timed_out"]))
        r = fetch("-t", "200ms", "--on-timeout", "text", "-o", d + "/out", s.url + "/stall")
        equal(r.status, 0)
        equal(open(d + "/out/stall").read(), "text\n")
        r = fetch("-t", "1s", "--on-timeout", "text", s.url + "/status/404")
        equal((r.status, r.out), (1, ""), "a failure is no timeout")


@test
def retries_until_it_works():
    with Server() as s:
        r = fetch("-r", "3", "--json", s.url + "/flaky/2/a", s.url + "/drop/1/b")
        a, b = r.items()
        equal((a["outcome"], a["attempts"], b["outcome"], b["attempts"]), ("ok", 3, "ok", 2))
        r = fetch("-r", "2", s.url + "/flaky/2/c")
        equal((r.status, r.out), (0, "page c\n"), "only the last attempt's page")


@test
def retries_end():
    with Server() as s:
        item, = fetch("-r", "1", "--json", s.url + "/flaky/9/a").items()
        equal((item["outcome"], item["attempts"], item["status"]), ("failed", 2, 503))
        item, = fetch("-r", "5", "--json", s.url + "/status/404").items()
        equal(item["attempts"], 1, "a 404 will be one again")
        equal(s.seen["/status/404"], 1)
        item, = fetch("-r", "5", "--json", s.url + "/loop").items()
        equal(item["attempts"], 1, "so will a circle of redirects")


@test
def what_cannot_pass_is_not_tried_again():
    def serve(listener):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                connection.recv(4096)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n"
                                   b"Content-Length: 9\r\n\r\nno gzip!\n")
                connection.close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, args=(listener,), daemon=True).start()
        item, = fetch("-r", "3", "-t", "5s", "--json",
                      f"http://127.0.0.1:{listener.getsockname()[1]}/").items()
        equal((item["outcome"], item["attempts"]), ("failed", 1))
        listener.shutdown(socket.SHUT_RDWR)


@test
def retry_after_is_honoured():
    with Server() as s:
        r = fetch("-r", "1", "--json", s.url + "/busy/1/a")
        item, = r.items()
        equal((item["outcome"], item["attempts"]), ("ok", 2))
        if item["run_ms"] < 1000:
            raise AssertionError(f"came back after {item['run_ms']} ms")


@test
def retry_after_asks_for_a_day_at_most():
    with Server() as s:
        p = start("-r", "1", "-d", "48h", s.url + "/busy/99999999999/a")
        time.sleep(0.3)
        equal((len(s.requests), p.poll()), (1, None), "it waits, within the deadline")
        p.send_signal(signal.SIGINT)
        equal(finish(p).status, -signal.SIGINT)


@test
def retries_never_pass_the_limit():
    with Server() as s:
        r = fetch("-r", "5", "-t", "1s", "--json", s.url + "/busy/60/a")
        item, = r.items()
        equal((item["outcome"], item["attempts"], r.status), ("failed", 1, 1))
        at_most(item["run_ms"], 500 * SLOW, "it does not wait for what it will not live to see")
        item, = fetch("-r", "5", "-d", "1s", "--json", s.url + "/busy/60/b").items()
        equal(item["outcome"], "failed")
        item, = fetch("-r", "100", "-t", "700ms", "--json", s.url + "/stall").items()
        equal((item["outcome"], item["attempts"]), ("timed_out", 1), "attempts share the limit")


@test
def grace_lets_what_runs_end():
    with Server() as s:
        args = ["-j", "1", "-d", "300ms", "--json", s.url + "/wait/600/{a,b}"]
        equal(fetch(*args).outcomes(), ["cancelled", "skipped"])
        r = fetch("--grace", "2s", *args)
        equal((r.outcomes(), r.status), (["ok", "skipped"], 124))
        r = fetch("--grace", "200ms", "-d", "300ms", "--json", s.url + "/stall")
        equal(r.outcomes(), ["cancelled"])
        at_most(abs(r.took - 0.5), 0.2 * SLOW, "seconds from 0.5")


@test
def grace_of_an_items_own_limit():
    with Server() as s:
        args = ["-t", "300ms", "--json", s.url + "/wait/500/a", s.url + "/stall"]
        r = fetch("--grace", "500ms", *args)
        equal((r.outcomes(), r.status), (["ok", "timed_out"], 124))


@test
def grace_and_fail_fast():
    with Server() as s:
        r = fetch("-j", "2", "--fail-fast", "--grace", "2s", "--json", s.url + "/wait/500/a",
                  s.url + "/status/404", s.url + "/page/1")
        equal((r.outcomes(), r.status), (["ok", "failed", "skipped"], 1))


@test
def the_demonstration():
    r = fetch("--json")
    summary = json.loads(r.out.splitlines()[-1])["summary"]
    equal([summary[k] for k in ("total", "ok", "failed", "timed_out")], [100, 78, 16, 6])
    equal(r.status, 1)
    at_most(summary["wall_ms"], 3000 * SLOW, "wall_ms")
    equal(len(r.items()), 100)
    r = fetch()
    contains(r.err, "demonstration", "timed out", "404 Not Found", "500 Internal", "connect")
    contains(r.out, "fast", "." * 50, "T" * 6, "x" * 6)
    r = fetch("-j", "1", "-d", "500ms", "--json")
    equal(r.status, 124)


@test
def the_demonstration_behind_a_proxy():
    deaf, refused = refused_url()
    with deaf:
        r = fetch("-j", "1", "-d", "400ms", env={**os.environ, "http_proxy": refused})
        equal(r.status, 124)
        rows = [line for line in r.out.splitlines() if line.startswith("  ")][:7]
        contains(rows[0], "fast", ".", "-", " ms to ")
        lacks("\n".join(rows), " h ", " min")
        for row in rows:
            equal(" to " in row, bool(set(row.split()[1]) - {"-"}), row)


@test
def start_is_quick():
    with Server() as s:
        fetch(s.url + "/page/0")
        times = [fetch(s.url + "/page/1").took for _ in range(9)]
        at_most(sorted(times)[4], 0.05 * SLOW, "median of whole runs, in seconds")


main()
