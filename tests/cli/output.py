#!/usr/bin/python3
"""Where results go: files, JSON, tags, progress, the summary."""
import fcntl
import pty
import select
import struct
import termios

from harness import *


def tree(path):
    return {name: open(os.path.join(path, name), "rb").read() for name in os.listdir(path)}


@test
def files_are_named_after_their_urls():
    with Server() as s, directory() as d:
        urls = ["/page/1", "/page/a%2F..%2Fb", "/page/x?q=1&r=/../etc", "/", "/page/.hidden",
                "/page/%00", "/page/" + "l" * 3000, "/page/*:|<y>", "/page/..%5c..%5cz",
                "/page/caf\u00e9", "/page/-rf"]
        r = fetch("-o", d + "/out", "--json", "-g", *(s.url + u for u in urls))
        equal((r.status, set(r.outcomes())), (0, {"ok"}), r.err)
        names = [i["file"] for i in r.items()]
        equal(os.listdir(d), ["out"])
        equal(sorted(names), sorted(f"{d}/out/{n}" for n in os.listdir(d + "/out")))
        equal(names[0], d + "/out/1")
        equal(names[2], d + "/out/x?q=1&r=_.._etc")
        equal(names[3], d + "/out/index.html")
        equal(names[4], d + "/out/_hidden")
        equal(len(os.path.basename(names[6])), 180)
        equal(names[10], d + "/out/_rf")
        equal(open(names[0]).read(), "page 1\n")
        for name in os.listdir(d + "/out"):
            equal(re.search(r"[/\\\x00-\x20*:|<>\x7f-\uffff]|^\.", name), None, name)


@test
def dots_cannot_leave_the_directory():
    with Server() as s, directory() as d:
        for url in ["/..", "/../..", "/a/..", "/.", "/%2e%2e", "/a/%2e%2e/", "/..;/x", "/....//"]:
            equal(fetch("-g", "-o", d + "/in/out", s.url + url).status, 2, "its parent is not there")
        os.mkdir(d + "/in")
        for url in ["/..", "/../..", "/a/..", "/.", "/%2e%2e", "/a/%2e%2e/", "/..;/x", "/....//"]:
            equal(fetch("-g", "-o", d + "/in/out", s.url + url).status, 0, url)
        equal((os.listdir(d), os.listdir(d + "/in")), (["in"], ["out"]))
        equal(len(os.listdir(d + "/in/out")), 8)


@test
def no_file_is_overwritten():
    with Server() as s, directory() as d:
        write(d + "/x", "mine")
        urls = [f"{s.url}/{p}/x" for p in ("page", "wait/200", "wait/100", "wait/0")]
        r = fetch("--json", "-o", d, *urls)
        equal([os.path.basename(i["file"]) for i in r.items()], ["x.2", "x.3", "x.4", "x.5"],
              "numbered in the order of the input")
        equal(tree(d)["x"], b"mine")
        r = fetch("--json", "-o", d, urls[0])
        equal(os.path.basename(r.items()[0]["file"]), "x.6")


@test
def a_name_that_appears_meanwhile_is_not_overwritten():
    with Server() as s, directory() as d:
        p = start("-o", d, s.url + "/wait/500/x")
        time.sleep(0.2)
        write(d + "/x", "mine")
        equal(finish(p).status, 0)
        files = tree(d)
        equal((files.pop("x"), list(files.values())), (b"mine", [b"page x\n"]))


@test
def ten_thousand_of_the_same_name():
    with Server() as s, directory() as d:
        write(d + "/list", f"{s.url}/page/x\n" * 2000)
        r = fetch("-o", d + "/out", "-f", d + "/list")
        equal((r.status, len(os.listdir(d + "/out"))), (0, 2000))


@test
def failures_leave_no_file():
    with Server() as s, directory() as d:
        r = fetch("-o", d, "-t", "300ms", s.url + "/half", s.url + "/cut", s.url + "/status/500",
                  s.url + "/drip", s.url + "/page/1")
        equal((r.status, list(tree(d))), (1, ["1"]))
        p = start("-o", d, s.url + "/drip")
        time.sleep(0.4)
        p.kill()
        p.communicate()
        equal(list(tree(d)), ["1"], "after kill -9")
        p = start("-o", d, s.url + "/drip")
        time.sleep(0.4)
        p.terminate()
        equal(finish(p).status, -signal.SIGTERM)
        equal(list(tree(d)), ["1"], "after SIGTERM")


@test
def only_the_last_attempt_is_saved():
    with Server() as s, directory() as d:
        equal(fetch("-o", d, "-r", "2", s.url + "/flaky/2/x").status, 0)
        equal(tree(d), {"x": b"page x\n"})


@test
def directories_that_cannot_be_written():
    with directory() as d:
        usage("-o", write(d + "/file", ""), "http://h/", says="Not a directory")
        usage("-o", d + "/a/b", "http://h/", says="No such file")
        usage("-o", "", "http://h/", says="not a directory")
        usage("-o", "/proc", "http://h/", says="--output /proc")
        if os.getuid() != 0:
            os.mkdir(d + "/mine", 0o500)
            usage("-o", d + "/mine", "http://h/", says="Permission denied")


@contextlib.contextmanager
def small_file_system():
    if os.getuid() != 0:
        raise Skip("only root can mount")
    with directory() as d:
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", d],
                          stderr=subprocess.DEVNULL).returncode != 0:
            raise Skip("cannot mount here")
        try:
            yield d
        finally:
            subprocess.run(["umount", "-l", d], check=True)


@test
def a_full_directory():
    with Server() as s, small_file_system() as d:
        r = fetch("-o", d + "/out", "--json", s.url + "/size/2000000", s.url + "/page/1",
                  s.url + "/size/3000000")
        items = r.items()
        equal([i["outcome"] for i in items], ["failed", "ok", "failed"])
        equal((items[0]["error"]["code"], items[0]["error"]["class"]), ("ENOSPC", "system"))
        contains(items[0]["error"]["message"], d + "/out/2000000: No space left on device")
        equal((r.status, tree(d + "/out")), (1, {"1": b"page 1\n"}))
        r = fetch("-o", d + "/out", "-r", "3", "--json", s.url + "/size/2000000")
        equal(r.items()[0]["attempts"], 1, "no retry makes a disk larger")


@test
def a_full_spool():
    with Server() as s, small_file_system() as d:
        urls, env = [s.url + "/size/3000000", s.url + "/page/1"], {**os.environ, "TMPDIR": d}
        r = fetch(*urls, env=env)
        equal((r.status, r.out), (1, "page 1\n"))
        contains(r.err, "temporary file", "No space left on device")
        equal(fetch("--json", *urls, env=env).outcomes(), ["ok", "ok"], "nothing to keep")


@test
def tags():
    with Server() as s:
        r = fetch("--tag", s.url + "/page/1", s.url + "/size/40")
        a, b = s.url + "/page/1\t", s.url + "/size/40\t"
        equal(r.out, f"{a}page 1\n{b}0123456789abcde\n{b}0123456789abcde\n{b}01234567\n")


@test
def json_tells_the_times():
    with Server() as s:
        a, b = fetch("-j", "1", "--json", s.url + "/wait/300/{a,b}").items()
        for item in (a, b):
            at_most(abs(item["run_ms"] - 310), 100 * SLOW, "run_ms")
        at_most(a["queued_ms"], 100 * SLOW, "queued_ms")
        at_most(abs(b["queued_ms"] - 300), 100 * SLOW, "queued_ms")


@test
def json_comes_as_items_end():
    with Server() as s:
        p = start("--json", s.url + "/page/1", s.url + "/wait/1000/2")
        began = time.monotonic()
        json.loads(p.stdout.readline())
        at_most(time.monotonic() - began, 0.5 * SLOW, "seconds until the first line")
        finish(p)


@test
def progress_for_programs():
    with Server() as s:
        r = fetch("-j", "1", "--progress", "json", s.url + "/wait/150/[1-6]")
        lines = [json.loads(l) for l in r.err.splitlines() if l.startswith("{")]
        for line in lines:
            schema_check(line)
        counts = [l["progress"]["ok"] for l in lines]
        equal(counts, sorted(counts))
        equal(lines[0]["progress"]["total"], 6)
        equal(3 <= len(lines) <= 14, True, f"{len(lines)} lines")
        last = lines[-1]["progress"]
        equal((last["read"], last["running"], last["ok"]), (6, 0, 6), "the last one")
        equal(r.out.count("page"), 6)


def on_terminal(*args, stdout=subprocess.PIPE, columns=80):
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("4H", 24, columns, 0, 0))
    p = subprocess.Popen([KIN, "fetch", *args], stdin=subprocess.DEVNULL, stderr=slave,
                         stdout=slave if stdout is None else stdout)
    os.close(slave)
    seen = b""
    while True:
        try:
            piece = os.read(master, 65536)
        except OSError:
            break
        if not piece:
            break
        seen += piece
    os.close(master)
    out = p.stdout.read() if p.stdout else b""
    p.wait(LIMIT)
    return out, seen.decode()


@test
def progress_for_people():
    with Server() as s:
        out, seen = on_terminal("-j", "1", s.url + "/wait/300/[1-4]")
        contains(seen, "\r\x1b[K", "of 4 done", "1 running")
        equal(out, b"page 1\npage 2\npage 3\npage 4\n")
        updates = seen.count("running")
        equal(3 <= updates <= 1.5 * 12 * SLOW, True, f"{updates} updates")
        # the last of it is wiped before the summary
        contains(seen.replace("\r\n", "\n"), "\r\x1b[Kkin: 4 items in")
        out, seen = on_terminal("--progress", "never", s.url + "/wait/300/1")
        lacks(seen, "running")
        out, seen = on_terminal(s.url + "/wait/300/1", stdout=None)
        lacks(seen, "running")
        lacks(fetch(s.url + "/wait/300/1").err, "running")


@test
def progress_fits_a_narrow_terminal():
    with Server() as s:
        _, seen = on_terminal(s.url + "/wait/200/1", columns=20)
        lines = re.findall(r"\r\x1b\[K(\d[^\r]*)", seen)
        equal({len(line) for line in lines}, {19}, f"{lines}")


@test
def the_demonstration_on_a_terminal():
    _, seen = on_terminal(stdout=None)
    seen = seen.replace("\r\n", "\n")
    contains(seen, "of 100 done", "\r\x1b[K  fast ", "\n  slow ", "\r\x1b[Kkin: 100 items in")


@test
def colours_are_for_terminals():
    with Server() as s:
        contains(on_terminal(s.url + "/status/404")[1], "\x1b[31m")
        lacks(fetch(s.url + "/status/404").err, "\x1b")


@test
def reasons_are_told_once_and_whole():
    deaf, refused = refused_url()
    with Server() as s, deaf:
        r = fetch(s.url + "/status/404?" + "x" * 3000, s.url, refused, s.url + "/moved/status/410")
        lines = {l.split(": ")[0].split("/", 3)[-1][:10]: l for l in r.err.splitlines()[1:]}
        contains(lines["status/404"], "…: 404 Not Found")
        contains(lines["moved/stat"], f"{s.url}/moved/status/410: {s.url}/status/410: 410 Gone")
        lacks(r.err, "GET ")
        contains(r.err, refused + ": Failed to connect")


@test
def the_summary_is_bounded():
    deaf, refused = refused_url()
    with Server() as s, deaf:
        r = fetch("-j", "20", s.url + "/status/{400,401,402,403,404}?[1-20]", refused + "/[1-20]")
        equal(r.status, 1)
        lines = r.err.splitlines()
        equal(len(lines), 1 + 10 + 1)
        contains(lines[0], "120 items", "120 failed")
        contains(lines[-1], "and 110 more", "20 × 404 Not Found", "20 × 403 Forbidden")
        indexes = [int(l.split("?")[1].split(":")[0]) for l in lines[1:11]]
        equal(indexes, list(range(1, 11)), "the first of the list")


main()
