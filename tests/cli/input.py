#!/usr/bin/python3
"""Where items come from, and every bad input."""
import random

from harness import *


@test
def arguments_files_and_stdin_in_the_order_of_the_command_line():
    with Server() as s, directory() as d:
        a = write(d + "/a", f"{s.url}/page/a1\n{s.url}/page/a2\n")
        b = write(d + "/b", f"{s.url}/page/b1")
        r = fetch(s.url + "/page/1", "-f", a, s.url + "/page/2", "-", "--file", b,
                  input=f"{s.url}/page/in\n")
        equal((r.status, r.out.split()[1::2]), (0, ["1", "a1", "a2", "2", "in", "b1"]))
        r = fetch("-f", "-", input=f"{s.url}/page/in\n")
        equal(r.out, "page in\n")


@test
def lists_may_have_comments_blanks_and_foreign_line_ends():
    with Server() as s:
        r = fetch("-", input=b"\xef\xbb\xbf" + f"{s.url}/page/1\r\n\r\n  \t\n# a comment\n"
                  f"  # another\n\t{s.url}/page/2  \n\n{s.url}/page/3".encode())
        equal((r.status, r.out), (0, "page 1\npage 2\npage 3\n"))


@test
def lines_are_no_patterns():
    with Server() as s:
        item, = fetch("--json", "-", input=f"{s.url}/page/[1-3]").items()
        equal(item["item"], s.url + "/page/[1-3]")


@test
def a_list_is_read_while_it_is_written():
    with Server() as s:
        p = start("-", stdin=subprocess.PIPE)
        for i in range(3):
            p.stdin.write(f"{s.url}/page/{i}\n".encode())
            p.stdin.flush()
            equal(p.stdout.readline(), f"page {i}\n".encode())
        equal(finish(p).status, 0)


@test
def stdin_keeps_its_flags():
    reader, writer = os.pipe()
    other = os.dup(reader)
    with Server() as s:
        p = start("-", stdin=reader)
        os.write(writer, f"{s.url}/page/1\n".encode())
        equal(p.stdout.readline(), b"page 1\n")
        equal(os.get_blocking(other), True)
        os.close(writer)
        equal(finish(p).status, 0)
        equal(os.get_blocking(other), True)
    os.close(reader)
    os.close(other)


@test
def named_pipes_and_process_substitution():
    with Server() as s, directory() as d:
        os.mkfifo(d + "/fifo")
        p = start("-f", d + "/fifo")
        time.sleep(0.2)
        with open(d + "/fifo", "w") as fifo:
            fifo.write(s.url + "/page/1\n")
            fifo.flush()
            equal(p.stdout.readline(), b"page 1\n")
            fifo.write(s.url + "/page/2")
        r = finish(p)
        equal((r.status, r.out), (0, "page 2\n"))
        r = subprocess.run(["bash", "-c", '"$1" fetch -f <(echo "$2")', "bash", KIN, s.url + "/page/7"],
                           capture_output=True, timeout=LIMIT)
        equal((r.returncode, r.stdout), (0, b"page 7\n"))


def expand(*patterns, options=()):
    """The items that a pattern stands for; nothing listens there."""
    deaf, refused = refused_url()
    with deaf:
        items = fetch("--json", *options, *(refused + "/" + p for p in patterns)).items()
        return [i["item"].replace(refused + "/", "", 1) for i in items]


@test
def patterns():
    equal(expand("{a,b}/[1-3]"), ["a/1", "a/2", "a/3", "b/1", "b/2", "b/3"])
    equal(expand("[08-11]"), ["08", "09", "10", "11"])
    equal(expand("[0-10:5]x[a-e:2]"), ["0xa", "0xc", "0xe", "5xa", "5xc", "5xe", "10xa", "10xc",
                                       "10xe"])
    equal(expand("[A-C]", "x"), ["A", "B", "C", "x"])
    equal(expand("{,a}{b,}"), ["b", "", "ab", "a"])
    equal(expand("{only}"), ["only"])
    equal(expand("[5-5]"), ["5"])
    equal(expand("\\{a,b\\}"), ["{a,b}"])
    equal(expand("{a\\,b,c}"), ["a,b", "c"])
    equal(expand("q[]=1"), ["q[]=1"])
    equal(expand("{a,b}[1-2]", options=["-g"]), ["{a,b}[1-2]"])
    equal(expand("[1-3", options=["--globoff"]), ["[1-3"])


@test
def patterns_are_curls():
    if shutil.which("curl") is None:
        raise Skip("no curl")
    for pattern in ["{a,b}{c,d}", "[1-12]", "[01-12:5]", "[a-g:3]", "x{1,2}y[7-8]z"]:
        with Server() as s:
            subprocess.run(["curl", "-s", s.url + "/" + pattern, *["-o/dev/null"] * 16],
                           timeout=LIMIT)
            by_curl, s.requests = s.requests, []
            equal(fetch("-j", "1", s.url + "/" + pattern).status, 0)
            equal(s.requests, by_curl, pattern)


@test
def ipv6_addresses_are_no_patterns():
    item, = fetch("--json", "-t", "2s", "http://[::1]:9/").items()
    equal((item["item"], item["outcome"]), ("http://[::1]:9/", "failed"))


@test
def a_huge_pattern_costs_nothing():
    with Server() as s:
        r = fetch("-d", "200ms", "--json", s.url + "/stall?[1-1000000000000]")
        equal(r.status, 124)
        outcomes = r.outcomes()
        equal(outcomes[:5], ["cancelled"] * 5)
        at_most(len(outcomes), 10006, "items")


@test
def bad_urls_as_arguments():
    usage("nonsense", says="nonsense: not a URL")
    usage("example.org/x", says="no http:// or https://")
    usage("ftp://example.org/", says="unknown scheme 'ftp'")
    usage("file:///etc/passwd", says="unknown scheme 'file'")
    usage("http://", says="malformed URL")
    usage("http://host:99999/", says="malformed URL")
    usage("http://ho st/", says="malformed URL")
    usage("http://host/\x01", says="control characters")
    usage("", says="not a URL")
    usage("-g", "two\nlines \x1b[31m", says="two?lines ?[31m: not a URL")
    usage("", says="'': not a URL")
    usage("-j", "", "http://h/", says="--jobs '': not a whole number")
    usage("-j", "1\n2", "http://h/", says="--jobs 1?2")
    with directory() as d:
        usage(write(d + "/urls", "http://a/\n"), says="for a file with URLs: -f")


@test
def passwords_are_not_shown():
    deaf, refused = refused_url()
    with deaf, Server() as s:
        for url, why in [(s.url + "/status/404", "404 Not Found"), (refused + "/x", "connect"),
                         (s.url + "/moved/status/500", "500 Internal Server Error"),
                         ("http://host:99999/x", "malformed")]:
            r = fetch(url.replace("://", "://me:secret@"))
            contains(r.err, why, "://…@")
            lacks(r.err, "secret")
        r = fetch("-", input="me:secret@host/x\n")
        contains(r.err, "…@host/x: not a URL")
        lacks(r.err, "secret")
    with Server() as s:
        p = start(s.url.replace("://", "://me:secret@") + "/wait/1000/1")
        wait_for(s, 1)
        p.send_signal(signal.SIGUSR1)
        r = finish(p)
        contains(r.err, "  http://…@127.0.0.1")     # the task's name in the tree
        lacks(r.err, "secret")


@test
def international_host_names():
    if "IDN" not in subprocess.run(["curl", "--version"], capture_output=True, text=True).stdout:
        raise Skip("a libcurl without them")
    with Server() as s:             # as a proxy, so that nobody is asked for the name
        fetch("http://b\u00fccher.invalid/",
              env={**os.environ, "LC_ALL": "C.UTF-8", "http_proxy": s.url, "no_proxy": ""})
        equal(s.requests, ["http://xn--bcher-kva.invalid/"])


@test
def bad_patterns():
    for pattern in ["[1-", "{a,b", "[3-1]", "[a-]", "[1-2:0]", "[1-2:]", "[a-Z]", "{}", "a}", "a]",
                    "{a{b}}", "[1-99999999999999999999]", "[x]", "[1-2-3]",
                    "[0-999999999999999999][0-999999999999999999]"]:
        usage("http://h/" + pattern, says="of the pattern")


@test
def bad_options():
    usage("--nonsense", "http://h/", says="unrecognized option '--nonsense'")
    usage("-Q", "http://h/", says="invalid option -- 'Q'")
    usage("--jobs", says="requires an argument")
    for value in ["0", "-1", "x", "", "1.5", "3x", "99999999999999999999", "1000001"]:
        usage("-j", value, "http://h/", says="--jobs " + value)
    for option in ["-t", "-d", "--grace"]:
        for value in ["-3", "abc", "3x", "1e99", "", ".", "inf", "nan", "0x10", "9999999999h",
                      "1 s", "1s ", "99999999999999999999"]:
            usage(option, value, "http://h/", says=value)
    usage("-t", "0", "http://h/", says="must be more than nothing")
    usage("-d", "0s", "http://h/", says="must be more than nothing")
    usage("-r", "-1", "http://h/", says="--retries -1")
    usage("--max-fail", "0", "http://h/", says="--max-fail 0")
    usage("--progress", "much", "http://h/", says="--progress much")
    usage("--on-timeout", "@/nowhere", "-t1", "http://h/", says="No such file")
    usage("--on-timeout", "@/", "-t1", "http://h/", says="Is a directory")
    usage("--on-timeout", "text", "http://h/", says="needs --timeout")


@test
def good_durations():
    with Server() as s:
        for value in ["300ms", "3s", "1.5s", "2m", "1h", "3", "0.5", ".5s", "2500000us",
                      "1.000000001s", "876000h"]:
            equal(fetch("-t", value, "-d", value, s.url + "/page/1").status, 0, value)


@test
def contradictions():
    for flags in [["--fail-fast", "-k"], ["--first", "--max-fail", "2"], ["--first", "-k"],
                  ["--first", "--fail-fast"], ["--fail-fast", "--max-fail", "3"],
                  ["--json", "--tag"], ["--tag", "-o", "/tmp"], ["-k", "--max-fail", "3"]]:
        usage(*flags, "http://h/", says="contradict each other")


@test
def bad_lists():
    with directory() as d:
        usage("-f", d + "/nowhere", says="No such file")
        usage("-f", d, says="Is a directory")
        usage("-f", write(d + "/empty", ""), says="the list is empty")
        usage("-f", write(d + "/comments", "# nothing\n\n"), says="the list is empty")
        usage("-", input="", says="the list is empty")
        usage("-", "-", input="", says="only be read once")
        usage("-", stdin=None, preexec_fn=lambda: os.close(0), says="standard input is closed")
        r = fetch("-f", "/proc/self/mem")
        equal(r.status, 125)
        contains(r.err, "/proc/self/mem: Input/output error")
        if os.getuid() != 0:
            os.chmod(write(d + "/secret", "http://h/"), 0)
            usage("-f", d + "/secret", says="Permission denied")


@test
def bad_lines_are_failed_items():
    with Server() as s:
        r = fetch("--json", "-", input=f"nonsense\n{s.url}/page/1\nftp://x/\nhttp://\n")
        items = r.items()
        equal([i["outcome"] for i in items], ["failed", "ok", "failed", "failed"])
        equal((r.status, [i["attempts"] for i in items]), (1, [0, 1, 0, 0]))
        contains(items[0]["error"]["message"], "not a URL")
        contains(items[2]["error"]["message"], "unknown scheme")


@test
def lines_of_a_megabyte():
    with Server() as s:
        long = s.url + "/" + "x" * 1000000
        r = fetch("--json", "-", input=f"{s.url}/page/1\n{long}\n{s.url}/page/2\n{long}")
        items = r.items()
        equal([i["outcome"] for i in items], ["ok", "failed", "ok", "failed"])
        equal(items[1]["item"], long[:100])
        contains(items[1]["error"]["message"], f"a line of {len(long)} bytes is too long")
        contains(items[3]["error"]["message"], f"a line of {len(long)} bytes is too long")
        # just short enough
        fits = s.url + "/" + "x" * (65535 - len(s.url) - 1)
        items = fetch("--json", "-", input=f"{fits}\n{fits}y\n{s.url}/page/1").items()
        equal([i["outcome"] for i in items[1:]], ["failed", "ok"])
        lacks(items[0].get("error", {}).get("message", ""), "too long")
        # a comment may be as long as it likes
        items = fetch("--json", "-", input=f"#{long}\n{s.url}/page/1").items()
        equal([i["outcome"] for i in items], ["ok"])


@test
def binary_garbage():
    for seed in range(20):
        garbage = random.Random(seed).randbytes(20000)
        r = fetch("--json", "-", input=garbage)
        equal((r.status, set(r.outcomes())), (1, {"failed"}), f"seed {seed}")
        r = fetch("-", input=garbage)
        equal((r.status, r.bytes), (1, b""))
        # nothing that a terminal would obey
        lacks(r.err, "\x1b", "\x07", "\x00")
    items = fetch("--json", "-", input=b"http://h/\xff\xc3\x28\xed\xa0\x80\x00e").items()
    equal(items[0]["item"], "http://h/" + "�" * 2 + "(" + "�" * 3 + "\0e")


@test
def other_commands():
    def run(*args):
        return subprocess.run([KIN, *args], capture_output=True, text=True, timeout=LIMIT,
                              stdin=subprocess.DEVNULL)
    r = run("--version")
    equal((r.returncode, r.stdout[:6], r.stderr), (0, "kin 0.", ""))
    r = run("--help")
    equal((r.returncode, r.stderr), (0, ""))
    contains(r.stdout, "kin fetch")
    lacks(r.stdout, "kin run")
    r = run("run", "true")
    equal((r.returncode, r.stdout), (2, ""))
    contains(r.stderr, "not there yet")
    equal(run().returncode, 2)
    r = run("nonsense")
    equal(r.returncode, 2)
    contains(r.stderr, "unknown command 'nonsense'")
    with open("/dev/full", "w") as full:
        equal(subprocess.run([KIN, "--help"], stdout=full).returncode, 125)


@test
def help_manual_and_completions_agree():
    r = fetch("--help")
    equal((r.status, r.err), (0, ""))
    options = re.findall(r"^ +(?:-(\w), )?--([\w-]+)", r.out, re.M)
    equal(len(options) > 15, True)
    at_most(max(map(len, r.out.splitlines())), 90, "columns")
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)),
                           "../../man/kin-fetch.1")) as file:
        described = [re.findall(r"Fl (?:Fl )?([\w-]+)", line.replace("\\-", "-"))
                     for line in file if line.startswith(".It")]
    described = {word.lstrip("-") for line in described for word in line}
    equal(described, {word for option in options for word in option if word}, "the manual")
    script = fetch("--bash-completion")
    for _, name in options:
        contains(script.out, "--" + name)
    probe = script.out + "\nCOMP_CWORD=2; _kin_fetch kin --fail fetch; echo ${COMPREPLY[@]}"
    out = subprocess.run(["bash", "-c", probe], capture_output=True, text=True).stdout
    equal(out, "--fail-fast\n")


main()
