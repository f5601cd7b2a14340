#!/usr/bin/python3
"""The command as a process: signals, pipes, limits, memory, failing malloc."""
from harness import *


@test
def signals_clean_up_and_are_raised_again():
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        with Server() as s:
            p = start("-j", "2", "--json", s.url + "/page/1", s.url + "/stall", s.url + "/half",
                      s.url + "/page/2")
            wait_for(s, 3)
            time.sleep(0.1)
            p.send_signal(number)
            began = time.monotonic()
            r = finish(p)
            equal(r.status, -number)
            at_most(time.monotonic() - began, 0.5 * SLOW, "seconds until it was gone")
            items = r.items()
            equal([i["outcome"] for i in items], ["ok", "cancelled", "cancelled", "skipped"])
            contains(items[1]["cancelled_by"]["message"], signal.Signals(number).name)
            contains(r.err, "interrupted by " + signal.Signals(number).name)


@test
def a_signal_while_the_list_is_waited_for():
    p = start("-", stdin=subprocess.PIPE)
    time.sleep(0.3)
    p.send_signal(signal.SIGINT)
    p.wait(LIMIT)
    equal(p.returncode, -signal.SIGINT)
    p.communicate()


@test
def a_signal_together_with_the_end_of_the_list():
    reader, writer = os.pipe()
    p = start("-", stdin=reader)
    os.close(reader)
    time.sleep(0.2)
    p.send_signal(signal.SIGSTOP)
    os.close(writer)
    p.send_signal(signal.SIGINT)
    p.send_signal(signal.SIGCONT)
    r = finish(p)
    equal(r.status, -signal.SIGINT)
    contains(r.err, "interrupted by SIGINT")
    lacks(r.err, "the list is empty")


@test
def a_signal_with_a_grace():
    with Server() as s:
        p = start("-j", "1", "--grace", "3s", "--json", s.url + "/wait/700/{a,b}")
        wait_for(s, 1)
        p.send_signal(signal.SIGTERM)
        r = finish(p)
        equal((r.status, r.outcomes()), (-signal.SIGTERM, ["ok", "skipped"]))


@test
def a_reader_who_stopped_reading_does_not_keep_us():
    with Server() as s:
        p = start(s.url + "/size/3000000", s.url + "/stall")
        wait_for(s, 2)
        time.sleep(0.5)
        p.send_signal(signal.SIGINT)
        began = time.monotonic()
        p.wait(LIMIT)
        equal(p.returncode, -signal.SIGINT)
        at_most(time.monotonic() - began, 1 + 0.5 * SLOW, "seconds")
        p.communicate()
        p = start(s.url + "/size/3000000", s.url + "/stall")
        wait_for(s, 4)
        time.sleep(0.5)
        p.send_signal(signal.SIGINT)
        time.sleep(0.2)
        p.send_signal(signal.SIGINT)
        began = time.monotonic()
        p.wait(LIMIT)
        at_most(time.monotonic() - began, 0.3 * SLOW, "seconds after the second signal")
        p.communicate()


@test
def ignored_signals_stay_ignored():
    with Server() as s:
        p = start(s.url + "/wait/700/1",
                  preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN))
        wait_for(s, 1)
        p.send_signal(signal.SIGINT)
        r = finish(p)
        equal((r.status, r.out), (0, "page 1\n"))


@test
def quit_and_usr1_show_what_runs():
    for number in (signal.SIGQUIT, signal.SIGUSR1):
        with Server() as s:
            p = start(s.url + "/wait/900/1", s.url + "/page/2")
            wait_for(s, 2)
            time.sleep(0.1)
            p.send_signal(number)
            r = finish(p)
            equal((r.status, r.out), (0, "page 1\npage 2\n"))
            contains(r.err, "2 items read, 1 running, 1 ended", "group items", s.url + "/wait/900/1",
                     "waits for")


@test
def a_closed_pipe_ends_it_by_sigpipe():
    with Server() as s:
        p = start("-j", "2", s.url + "/size/100000?[1-100]", preexec_fn=lambda:
                  signal.signal(signal.SIGPIPE, signal.SIG_DFL))
        p.stdout.read(10)
        p.stdout.close()
        err = p.stderr.read().decode()
        p.wait(LIMIT)
        equal((p.returncode, err), (-signal.SIGPIPE, ""))
        at_most(len(s.requests), 99, "requests")
        p = start(s.url + "/page/1", preexec_fn=lambda:
                  signal.signal(signal.SIGPIPE, signal.SIG_IGN))
        p.stdout.close()
        p.stderr.read()
        equal(p.wait(LIMIT), 125)


@test
def a_standard_output_that_cannot_be_written():
    with Server() as s:
        with open("/dev/full", "w") as full:
            r = fetch(s.url + "/page/[1-3]", stdout=full)
        equal(r.status, 125)
        contains(r.err, "standard output: No space left on device")
        r = fetch(s.url + "/page/1", preexec_fn=lambda: os.close(1), stdout=None)
        equal(r.status, 125)
        contains(r.err, "standard output: Bad file descriptor")
        # nothing of it may have gone into a socket
        equal(all(re.fullmatch(r"/page/\d", path) for path in s.requests), True, str(s.requests))
        r = subprocess.run([KIN, "fetch", s.url + "/page/7"], stdout=subprocess.PIPE,
                           stdin=subprocess.DEVNULL, preexec_fn=lambda: os.close(2))
        equal((r.returncode, r.stdout), (0, b"page 7\n"))
        r = fetch(s.url + "/page/7", preexec_fn=lambda: os.close(0))
        equal((r.status, r.out), (0, "page 7\n"))


@test
def few_descriptors_slow_it_down():
    with Server() as s, directory() as d:
        r = fetch("-j", "64", "--json", s.url + "/wait/20/[1-100]", preexec_fn=limited(NOFILE=32))
        equal((r.status, set(r.outcomes())), (0, {"ok"}), r.err)
        contains(r.err, "the limit of 32 file descriptors")
        r = fetch("-j", "64", "-o", d + "/out", s.url + "/wait/20/[1-100]",
                  preexec_fn=limited(NOFILE=32))
        equal((r.status, len(os.listdir(d + "/out"))), (0, 100), r.err)
        r = fetch("-j", "64", "--json", "-d", "30s", preexec_fn=limited(NOFILE=32))
        equal(r.outcomes().count("ok"), 78, "the demonstration")


@test
def descriptors_taken_away_at_run_time():
    with Server() as s:
        p = start("-j", "40", "--json", s.url + "/wait/100/[1-120]")
        wait_for(s, 40)
        resource.prlimit(p.pid, resource.RLIMIT_NOFILE, (32, 32))
        r = finish(p)
        equal((r.status, set(r.outcomes())), (0, {"ok"}), r.err)


@test
def the_soft_limit_is_raised():
    with Server() as s:
        r = fetch("-j", "40", s.url + "/wait/100/[1-40]", preexec_fn=lambda:
                  resource.setrlimit(resource.RLIMIT_NOFILE, (32, 200)))
        equal(r.status, 0)
        assert s.most > 10, s.most      # so many fit into 32
        lacks(r.err, "descriptors")


@test
def a_file_that_may_not_grow_is_one_items_failure():
    with Server() as s, directory() as d:
        r = fetch("-o", d, "--json", s.url + "/size/300000", s.url + "/page/1",
                  preexec_fn=limited(FSIZE=100000))
        a, b = r.items()
        equal((a["outcome"], a["error"]["code"], b["outcome"]), ("failed", "EFBIG", "ok"))
        equal((r.status, os.listdir(d)), (1, ["1"]))


@test
def a_backend_that_is_not_there():
    r = fetch("http://127.0.0.1:9/", env={**os.environ, "KIN_BACKEND": "nonsense"})
    equal((r.status, r.out), (125, ""))
    contains(r.err, "KIN_BACKEND=nonsense", "uring", "epoll")


def peak(*args, **more):
    """The most memory that the command has used, in KiB."""
    p = start(*args, stdout=subprocess.DEVNULL, **more)
    threading.Thread(target=p.stderr.read, daemon=True).start()
    _, status, usage = os.wait4(p.pid, 0)
    p.returncode = os.waitstatus_to_exitcode(status)
    return p.returncode, usage.ru_maxrss


@test
def memory_does_not_grow_with_the_list():
    if SLOW > 1:
        raise Skip("means nothing under instrumentation")
    deaf, refused = refused_url()
    with deaf, directory() as d:
        peaks = []
        for count in (2000, 60000):
            with open(d + "/list", "w") as file:
                for i in range(count):
                    file.write(f"{refused}/{i}\n")
            status, most = peak("-j", "20", "-f", d + "/list")
            equal(status, 1)
            peaks.append(most)
        at_most(peaks[1] - peaks[0], 2048, f"KiB more ({peaks})")


@test
def memory_does_not_grow_behind_a_slow_head():
    if SLOW > 1:
        raise Skip("means nothing under instrumentation")
    with Server() as s, directory() as d:
        lines = [f"{s.url}/wait/4000/x"] + [f"{s.url}/size/100000?{i}" for i in range(3000)]
        status, most = peak("-j", "10", "-f", write(d + "/list", "\n".join(lines)))
        equal(status, 0)
        at_most(most, 60000, "KiB, with 1000 pages of 100 kB waiting")


def sweep(ours, *args):
    """Runs the command with the k-th allocation failing, for many k, or for all of
    those that are not libcurl's."""
    library = os.environ.get("KIN_FAULT")
    if not library or SLOW > 1:
        raise Skip("not under instrumentation")
    every = os.environ.get("KIN_SWEEP") == "all"

    def run(k):
        r = fetch("-t", "1s", *args,
                  env={**os.environ, "LD_PRELOAD": os.path.relpath(library), "KIN_FAIL_AT": str(k),
                       **({"KIN_FAIL_OURS": "1"} if ours else {})})
        if r.status < 0:
            raise AssertionError(f"allocation {k}: status {r.status}\n{r.err}")
        return r, int(re.search(r"^malloc: (\d+) calls", r.err, re.M)[1])

    r, total = run(0)
    equal(r.status, 0)
    statuses = {}
    # Most are OpenSSL setting itself up, where any few will do.
    ks = [k for k in range(1, total + 1) if ours or every or k % 29 == 0 or k > total - 450]
    for k in ks:
        r, _ = run(k)
        if r.status not in (0, 1, 124, 125):
            raise AssertionError(f"allocation {k} of {total}: status {r.status}\n{r.err}")
        statuses[r.status] = statuses.get(r.status, 0) + 1
        if "--json" in args and r.out and r.status != 125:
            r.items()
        if r.status != 0 and r.err.count("\n") < 2:
            raise AssertionError(f"allocation {k} of {total}: nothing was said\n{r.err}")
    # libcurl 7.88 forgets a few of its own; then the item's limit ends the wait.
    at_most(statuses.get(124, 0), 6, "allocations whose failure was only ended by the limit")
    print(f"# {len(ks)} of {total} allocations; statuses {statuses}")
    equal(statuses.get(125, 0) > 0, True, "some were ours")


@test
def every_allocation_may_fail():
    with Server() as s:
        sweep(False, "--json", s.url + "/page/1")


@test
def every_allocation_may_fail_with_a_list_and_tags():
    with Server() as s, directory() as d:
        sweep(True, "--tag", "--unordered", "--progress", "json", s.url + "/page/{a,b}/[1-2]",
              "-f", write(d + "/list", f"{s.url}/size/100000\n{s.url}/moved/page/1\n"))


@test
def every_allocation_may_fail_with_files():
    with Server() as s, directory() as d:
        sweep(True, "-o", d + "/out", s.url + "/page/1", s.url + "/page/1")
        equal([n for n in os.listdir(d + "/out") if open(f"{d}/out/{n}").read() != "page 1\n"], [])


main()
