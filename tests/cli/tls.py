#!/usr/bin/python3
"""HTTPS: whom the command trusts, and what it says of those whom it does not."""
from harness import *


@test
def cacert_is_who_is_trusted():
    with directory() as d:
        mine = make_certificate(d + "/mine.pem")
        with Server(mine) as s:
            r = fetch("--cacert", mine, *(f"{s.url}/page/{i}" for i in range(20)))
            equal((r.status, r.out), (0, "".join(f"page {i}\n" for i in range(20))))


@test
def cacert_may_hold_several():
    with directory() as d:
        mine, other = make_certificate(d + "/mine.pem"), make_certificate(d + "/other.pem")
        both = write(d + "/both.pem", open(other).read() + open(mine).read())
        with Server(mine) as s, Server(other) as t:
            r = fetch("--cacert", both, s.url + "/page/1", t.url + "/page/2")
            equal((r.status, r.out), (0, "page 1\npage 2\n"))


@test
def unknown_certificates_are_refused_and_said_to_be():
    with directory() as d:
        mine, other = make_certificate(d + "/mine.pem"), make_certificate(d + "/other.pem")
        with Server(mine) as s:
            for trusted in [], ["--cacert", other]:
                r = fetch(*trusted, "-r", "2", s.url + "/page/1")
                equal((r.status, r.out), (1, ""))
                contains(r.err, "certificate", "self-signed" if not trusted else "certificate")
                item, = fetch(*trusted, "-r", "2", "--json", s.url + "/page/1").items()
                equal((item["outcome"], item["attempts"]), ("failed", 1))   # no use to try again
                equal(item["error"]["code"], "CURLE_PEER_FAILED_VERIFICATION")
                contains(item["error"]["message"], "certificate", s.url)
            equal(s.requests, [])


@test
def cacert_of_another_name_is_refused():
    with directory() as d:
        mine = make_certificate(d + "/mine.pem", "DNS:example.test")
        with Server(mine) as s:
            item, = fetch("--cacert", mine, "--json", s.url + "/page/1").items()
            equal(item["outcome"], "failed")
            contains(item["error"]["message"], "certificate", "127.0.0.1")
            equal(s.requests, [])


@test
def cacert_changes_nothing_for_http():
    with directory() as d, Server() as s:
        r = fetch("--cacert", make_certificate(d + "/mine.pem"), s.url + "/page/1")
        equal((r.status, r.out), (0, "page 1\n"))


@test
def cacert_is_looked_at_before_anything_is_fetched():
    with directory() as d, Server() as s:
        def refused(path, why):
            usage("--cacert", path, s.url + "/page/1", says=["--cacert " + path, why])

        refused(d + "/absent.pem", "No such file")
        refused(d, "Is a directory")
        refused(write(d + "/key.pem", "-----BEGIN PRIVATE KEY-----\n"), "no certificate in it")
        refused(write(d + "/empty.pem", ""), "no certificate in it")
        os.mkfifo(d + "/pipe")
        refused(d + "/pipe", "not a regular file")
        if os.geteuid() != 0:
            os.chmod(write(d + "/secret.pem", ""), 0)
            refused(d + "/secret.pem", "Permission denied")
        equal(s.requests, [])


@test
def broken_cacert_fails_each_item_by_name():
    with directory() as d:
        mine = make_certificate(d + "/mine.pem")
        broken = write(d + "/broken.pem", "-----BEGIN CERTIFICATE-----\nnothing\n"
                                          "-----END CERTIFICATE-----\n")
        with Server(mine) as s:
            item, = fetch("--cacert", broken, "--json", s.url + "/page/1").items()
            equal((item["outcome"], item["error"]["code"]),
                  ("failed", "CURLE_SSL_CACERT_BADFILE"))
            contains(item["error"]["message"], broken)


main()
