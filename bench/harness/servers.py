"""The servers that are fetched from, all on loopback: nginx, and one that is slow.

Each is a context manager, owns its processes and its directory, and is ended by
its process id.
"""
import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

NGINX_CONF = """
worker_processes 1;
{user}
daemon off;
pid {dir}/nginx.pid;
error_log {dir}/error.log;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    keepalive_requests 100000000;
    open_file_cache max=20000;
    client_body_temp_path {dir}/temp; proxy_temp_path {dir}/temp;
    fastcgi_temp_path {dir}/temp; uwsgi_temp_path {dir}/temp; scgi_temp_path {dir}/temp;
    types {{ text/plain txt; }}
    root {dir}/pages;
    server {{ listen 127.0.0.1:{http} backlog=4096; }}
    {tls}
}}
"""
# HTTP/1.1 for all: without http2 nobody can agree on another.
NGINX_TLS = """
    server {{
        listen 127.0.0.1:{https} ssl backlog=4096;
        ssl_certificate {ca};
        ssl_certificate_key {ca}.key;
    }}
"""
PAGES, PAGE_BYTES = 10_000, 1_000


@dataclass
class Site:
    """The URLs of the same pages, and the file with the certificate of those of https."""
    http: list
    https: list         # empty where there is no openssl
    ca: Path


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_for_port(port, process):
    for _ in range(500):
        if process.poll() is not None:
            raise RuntimeError(f"the server ended with status {process.returncode}")
        with socket.socket() as s:
            if s.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.01)
    raise RuntimeError("the server does not answer")


@contextlib.contextmanager
def ended_after(process):
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


def find_nginx():
    return shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin:/usr/local/sbin")


def make_certificate(path):
    """For 127.0.0.1, signed by itself; False where there is no openssl."""
    if not shutil.which("openssl"):
        return False
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:prime256v1", "-nodes", "-days", "7",
                    "-subj", "/CN=kin bench", "-addext", "subjectAltName=IP:127.0.0.1",
                    "-keyout", f"{path}.key", "-out", path],
                   check=True, stdin=subprocess.DEVNULL, capture_output=True)
    return True


@contextlib.contextmanager
def nginx(scratch):
    """10,000 pages of 1,000 bytes, by http and https; gives their Site."""
    directory, http, https = Path(scratch) / "nginx", free_port(), free_port()
    pages = directory / "pages"
    pages.mkdir(parents=True)
    for i in range(PAGES):
        (pages / f"{i}.txt").write_bytes(b"%-*d\n" % (PAGE_BYTES - 1, i))
    conf = directory / "nginx.conf"
    user = "user root;" if os.geteuid() == 0 else ""
    ca = directory / "ca.pem"
    tls = NGINX_TLS.format(https=https, ca=ca) if make_certificate(ca) else ""
    conf.write_text(NGINX_CONF.format(dir=directory, http=http, tls=tls, user=user))
    command = [find_nginx(), "-c", conf, "-p", directory, "-e", directory / "error.log"]
    with ended_after(subprocess.Popen(command, stderr=subprocess.DEVNULL)) as process:
        wait_for_port(http, process)
        yield Site([f"http://127.0.0.1:{http}/{i}.txt" for i in range(PAGES)],
                   [f"https://127.0.0.1:{https}/{i}.txt" for i in range(PAGES)] if tls else [],
                   ca)


@contextlib.contextmanager
def slow_server():
    """Gives the URL of slow_server.py, without a path."""
    port = free_port()
    command = [sys.executable, Path(__file__).parent / "slow_server.py", str(port)]
    with ended_after(subprocess.Popen(command)) as process:
        wait_for_port(port, process)
        yield f"http://127.0.0.1:{port}"


def write_lines(path, lines):
    with open(path, "w") as out:
        out.writelines(f"{line}\n" for line in lines)
    return path
