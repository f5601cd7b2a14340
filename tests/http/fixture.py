#!/usr/bin/env python3
"""Runs a test program with servers to test against.

    fixture.py PROGRAM [ARGUMENT…]

Starts nginx (HTTP; HTTPS with HTTP/2 and a certificate of a CA made here),
Python's http.server, and the hostile servers of hostile.py, all on free ports of
the loopback, writes their addresses into the environment (HTTP_…), and runs the
program. However that ends, the servers end with it; if this script is killed,
the kernel kills them.
"""

import ctypes
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

import hostile

NGINX = """
daemon off;
master_process off;
pid {dir}/nginx.pid;
error_log {dir}/error.log;
worker_rlimit_nofile 4096;
events {{ worker_connections 2048; }}
http {{
    access_log off;
    default_type text/plain;
    client_body_temp_path {dir}/body;
    proxy_temp_path {dir}/proxy;
    fastcgi_temp_path {dir}/fastcgi;
    uwsgi_temp_path {dir}/uwsgi;
    scgi_temp_path {dir}/scgi;
    keepalive_requests 1000000;
    client_max_body_size 64m;
    server {{
        listen 127.0.0.1:{http};
        listen [::1]:{http} ipv6only=on;
        listen 127.0.0.1:{https} ssl http2;
        ssl_certificate {dir}/server.pem;
        ssl_certificate_key {dir}/server.key;
        root {dir}/www;
        location / {{ }}
        location /gzip/ {{ alias {dir}/www/; gzip on; gzip_types *; gzip_min_length 1; }}
        location /moved {{ return 302 /hello.txt; }}
        location /teapot {{ return 418 "short and stout"; }}
        location /broken {{ return 503 "later"; }}
        location /nothing {{ return 204; }}
        location /seen {{
            return 200 "$request_method|$server_protocol|$http_accept_encoding|$http_user_agent";
        }}
        location /echo {{ proxy_pass http://127.0.0.1:{hostile}; proxy_http_version 1.1; }}
        location /slow/ {{ proxy_pass http://127.0.0.1:{hostile}/later/; }}
        location /connection {{ return 200 "$connection"; }}
    }}
}}
"""

HTTP_SERVER = """
import http.server, sys
class Quiet(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def log_message(self, *args): pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Quiet).serve_forever()
"""


def free_port():
    """A port free on both loopbacks: nothing else here picks ports in this range."""
    while True:
        with socket.socket() as four, socket.socket(socket.AF_INET6) as six:
            four.bind(("127.0.0.1", 0))
            port = four.getsockname()[1]
            try:
                six.bind(("::1", port))
                return port
            except OSError:
                continue


def die_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def start(*command, **options):
    return subprocess.Popen(command, preexec_fn=die_with_parent, stdin=subprocess.DEVNULL,
                            **options)


def wait_for(port, server):
    until = time.monotonic() + 20
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=5).close()
            return
        except OSError:
            if server.poll() is not None or time.monotonic() > until:
                sys.exit("Bail out! a server on port %d did not start" % port)
            time.sleep(0.01)


def openssl(*arguments):
    subprocess.run(["openssl", *arguments], check=True, stdin=subprocess.DEVNULL,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def make_certificates(at):
    """A CA, and a certificate of its for localhost and 127.0.0.1."""
    new = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
           "-days", "30"]
    openssl(*new, "-subj", "/CN=kin test CA", "-keyout", f"{at}/ca.key", "-out", f"{at}/ca.pem")
    openssl(*new, "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
            "-addext", "basicConstraints=critical,CA:FALSE",
            "-CA", f"{at}/ca.pem", "-CAkey", f"{at}/ca.key",
            "-keyout", f"{at}/server.key", "-out", f"{at}/server.pem")
    openssl(*new, "-subj", "/CN=another CA", "-keyout", f"{at}/other.key", "-out",
            f"{at}/other.pem")


def make_pages(www):
    www.mkdir()
    (www / "hello.txt").write_text("hello, kin\n")
    (www / "empty.txt").write_text("")
    (www / "long.txt").write_text("all work and no play\n" * 5000)
    (www / "big.bin").write_bytes(bytes(i * 7 % 251 for i in range(1 << 16)) * 160)


def set_up(at):
    www = at / "www"
    make_certificates(at)
    make_pages(www)
    ports = {"http": free_port(), "https": free_port(), "python": free_port()}
    ports.update(hostile.start(at))
    (at / "nginx.conf").write_text(NGINX.format(dir=at, **ports))
    nginx = start(shutil.which("nginx") or "/usr/sbin/nginx", "-c", f"{at}/nginx.conf", "-e", f"{at}/error.log", "-p", str(at))
    python = start(sys.executable, "-c", HTTP_SERVER, str(ports["python"]), cwd=www)
    wait_for(ports["http"], nginx)
    wait_for(ports["python"], python)
    environment = {f"HTTP_{name.upper()}": str(port) for name, port in ports.items()}
    environment["HTTP_DIR"] = str(at)
    return [nginx, python], environment


def main():
    # Proxies of the machine must not come between us and the loopback.
    inherited = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}
    with tempfile.TemporaryDirectory(prefix="kin-http-") as directory:
        servers, environment = set_up(pathlib.Path(directory))
        try:
            program = start(*sys.argv[1:], env={**inherited, **environment})
            sys.exit(program.wait())
        finally:
            for server in servers:
                server.kill()
                server.wait()


if __name__ == "__main__":
    main()
