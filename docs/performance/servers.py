"""The servers of measure.py and growth.py, how one is started, and how it is put under load.

A server has core 0 and the load generator (wrk, one thread) core 1. What counts is the
server's CPU time, which the kernel keeps (/proc/PID/task/*/schedstat), because wrk is busier
than a cheap server and would limit its requests per second.
"""
import os
import platform
import re
import resource
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).resolve().parent
PROJECT = HERE.parent.parent
SERVER_CORE, LOAD_CORE = 0, 1

# wrk prints figures for people; this prints what it counted.
DONE = """
function done(summary, latency, requests)
    local e = summary.errors
    print(string.format("counted %d %d %d %d %d %d %d", summary.requests, summary.bytes,
        e.connect, e.read, e.write, e.timeout, e.status))
end
"""


def say(text):
    """Progress on standard error; the results go to standard output."""
    print(text, file=sys.stderr, flush=True)


class Failed(Exception):
    """A sample that could not be taken, and why."""


def raise_descriptors():
    """Raises our limit, which the servers inherit: lighttpd takes two for a connection."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for limit in [max(40_000, hard), hard]:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
            return limit
        except (ValueError, OSError):
            continue  # only root may go beyond the hard limit
    return hard


class Lab:
    """A temporary folder with the site, the binaries and the configurations."""

    def __init__(self, oneloop, oneloop_args=()):
        self.oneloop, self.oneloop_args = str(Path(oneloop).resolve()), list(oneloop_args)
        self.folder = Path(tempfile.mkdtemp(prefix="performance-"))
        self.folder.chmod(0o755)  # nginx and h2o, started by root, read as another user
        self.site = self.folder / "site"
        self.site.mkdir(mode=0o755)
        self.count = 0
        self.descriptors = raise_descriptors()

    def __enter__(self):
        # A kill is an exception, so that servers and folder go, too.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.folder, ignore_errors=True)

    def file(self, ending, text):
        self.count += 1
        path = self.folder / f"{self.count}.{ending}"
        path.write_text(text)
        return path

    def certificate(self):
        """The files of a certificate for localhost and of its key, P-256."""
        files = self.folder / "cert.pem", self.folder / "key.pem"
        if not files[0].exists():
            subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                            "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30",
                            "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
                            "-out", files[0], "-keyout", files[1]],
                           check=True, capture_output=True)
            files[1].chmod(0o644)  # for caddy and nginx as another user
        return files

    def build_floor(self):
        subprocess.run(["cc", "-O2", "-o", self.folder / "floor", HERE / "floor.c"], check=True)


def floor(lab, port, load):
    close = ["close"] if load.get("close") else []
    return [str(lab.folder / "floor"), str(port), str(load["body"])] + close


def oneloop(lab, port, load):
    command = [lab.oneloop, "--quiet", "--port", str(port)] + lab.oneloop_args
    if load.get("tls"):
        certificate, key = lab.certificate()
        command += ["--tls-cert", str(certificate), "--tls-key", str(key)]
    if load.get("compress"):
        command += ["--compress"]
    return command + [str(lab.site)]


def oneloop_log(lab, port, load):
    command = oneloop(lab, port, load)
    return command[:-1] + ["--log-file", str(lab.file("log", ""))] + command[-1:]


def nginx(lab, port, load, cache=""):
    own = lab.folder / f"nginx-{port}"
    own.mkdir(exist_ok=True)
    places = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
    places = "\n".join(f"    {place}_temp_path {own}/{place};" for place in places)
    tls = ""
    if load.get("tls"):
        certificate, key = lab.certificate()
        # As the others. By default nginx 1.22 speaks TLS 1.2 at most.
        tls = f"ssl_certificate {certificate}; ssl_certificate_key {key}; ssl_protocols TLSv1.3;"
    gzip = "gzip on;" if load.get("compress") else ""
    conf = lab.file("conf", f"""
daemon off;
worker_processes 1;
worker_rlimit_nofile {lab.descriptors};
pid {own}/pid;
error_log {own}/error.log;
events {{ worker_connections 16000; multi_accept on; }}
http {{
    types {{ text/html html; }}
    access_log off;
    sendfile on;
    tcp_nopush on;
    keepalive_timeout 75s;
    keepalive_requests 1000000000;
    {cache}
    {gzip}
{places}
    server {{ listen 127.0.0.1:{port} {"ssl" if tls else ""} backlog=4096; {tls} root {lab.site}; }}
}}
""")
    return ["nginx", "-c", str(conf), "-p", str(own), "-e", str(own / "error.log")]


def nginx_cache(lab, port, load):
    return nginx(lab, port, load, """open_file_cache max=12000 inactive=60s;
    open_file_cache_valid 60s;
    open_file_cache_min_uses 1;""")


def lighttpd(lab, port, load):
    # 65535 requests a connection are the most it can count.
    conf = lab.file("conf", f"""
server.document-root = "{lab.site}"
server.bind = "127.0.0.1"
server.port = {port}
server.max-worker = 0
server.max-fds = {min(lab.descriptors, 65535)}
server.max-connections = {min(lab.descriptors // 2, 16000)}
server.listen-backlog = 4096
server.max-keep-alive-requests = 65535
server.max-keep-alive-idle = 75
mimetype.assign = (".html" => "text/html", "" => "application/octet-stream")
""")
    return ["lighttpd", "-D", "-f", str(conf)]


def h2o(lab, port, load):
    # The time for a request counts from the answer before: it is also the idle time.
    conf = lab.file("conf", f"""
num-threads: 1
max-connections: 16000
http1-request-timeout: 75
hosts:
  default:
    listen: {{ host: 127.0.0.1, port: {port} }}
    paths:
      "/":
        file.dir: {lab.site}
""")
    return ["h2o", "-c", str(conf)]


def caddy(lab, port, load):
    address, tls = f"http://:{port}", ""
    if load.get("tls"):
        certificate, key = lab.certificate()
        address, tls = f"https://:{port}", f"tls {certificate} {key}"
    conf = lab.file("caddy", f"""
{{
    admin off
    auto_https off
    log {{
        output discard
    }}
    servers {{
        protocols h1
    }}
}}
{address} {{
    bind 127.0.0.1
    {tls}
    root * {lab.site}
    {"encode gzip" if load.get("compress") else ""}
    file_server
}}
""")
    return ["env", "GOMAXPROCS=1", f"HOME={lab.folder}", "caddy", "run",
            "--adapter", "caddyfile", "--config", str(conf)]


SERVERS = {
    "oneloop": oneloop,
    "floor": floor,
    "nginx": nginx,
    "nginx+cache": nginx_cache,
    "lighttpd": lighttpd,
    "h2o": h2o,
    "caddy": caddy,
}
# Those that are configured for TLS and compression here.
WITH_TLS = ["oneloop", "nginx", "nginx+cache", "caddy"]
VERSION = {"nginx": "-v", "lighttpd": "-v", "h2o": "-v", "caddy": "version", "wrk": "-v",
           "cc": "--version"}


def available(lab, names):
    """Those of `names` that can run here; a line for each that cannot."""
    there = []
    for name in names:
        program = {"oneloop": lab.oneloop, "floor": "cc"}.get(name, name.split("+")[0])
        if name not in SERVERS:
            raise SystemExit(f"{name}: not one of {', '.join(SERVERS)}")
        if shutil.which(program):
            there.append(name)
        else:
            say(f"skipped {name}: {program} is not installed")
    if not shutil.which("wrk"):
        raise SystemExit("missing: wrk")
    if (os.cpu_count() or 1) < 2:
        raise SystemExit("needs two cores: one for the server, one for the load")
    if "floor" in there:
        lab.build_floor()
    return there


def machine(names):
    """What was measured, on what: for the record."""
    programs = {name.split("+")[0] for name in names} & set(VERSION) | {"wrk"}
    versions = []
    for program in sorted(programs):
        run = subprocess.run([program, VERSION[program]], capture_output=True, text=True)
        first = (run.stdout + run.stderr).strip().splitlines()[0]
        found = re.search(r"\d+(\.\d+)+", first)
        versions.append(f"{program} {found[0]}" if found else program)
    processors = Path("/proc/cpuinfo").read_text()
    model = re.search(r"model name\s*: (.*)", processors)
    return {
        "system": f"{platform.system()} {platform.release()}",
        "processor": model[1].strip() if model else platform.machine(),
        "cores": os.cpu_count(),
        "versions": ", ".join(versions),
    }


class Server:
    """A running server, with its children."""

    def __init__(self, process, port, tls=False):
        self.process, self.port, self.tls = process, port, tls

    def family(self):
        members, left = [], [self.process.pid]
        while left:
            member = left.pop()
            members.append(Path(f"/proc/{member}"))
            for task in members[-1].glob("task/*/children"):
                left += [int(child) for child in task.read_text().split()]
        return members

    def cpu(self):
        """Microseconds that it has run."""
        tasks = [task for member in self.family() for task in member.glob("task/*/schedstat")]
        return sum(int(task.read_text().split()[0]) for task in tasks) / 1000

    def pss(self):
        """KiB of memory that are its own, shared pages by their share."""
        texts = [(member / "smaps_rollup").read_text() for member in self.family()]
        return sum(int(re.search(r"\nPss:\s+(\d+)", text)[1]) for text in texts)

    def connect(self):
        link = socket.create_connection(("127.0.0.1", self.port), 10)
        if not self.tls:
            return link
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        return context.wrap_socket(link, server_hostname="localhost")

    def ask(self, path, fields=()):
        """Status, head and length of one answer, head included."""
        with self.connect() as link:
            lines = [f"GET {path} HTTP/1.1", "Host: localhost", *fields, "Connection: close"]
            link.sendall("\r\n".join(lines + ["", ""]).encode())
            start, size = b"", 0
            while block := link.recv(1 << 20):
                start = start if len(start) > 4096 else start + block
                size += len(block)
                length = re.search(rb"(?i)\ncontent-length: *(\d+)", start)
                end = start.find(b"\r\n\r\n") + 4
                if end > 3 and length and size >= end + int(length[1]):
                    break  # the floor keeps its connections
        head = start[:end].decode("latin-1")
        return int(head.split()[1]), head, size


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def started(lab, command, load):
    """A fresh server process for one sample."""
    port = free_port()
    log = lab.folder / "output.log"
    with open(log, "wb") as output:
        process = subprocess.Popen(
            command(lab, port, load), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=output, start_new_session=True,
            preexec_fn=lambda: os.sched_setaffinity(0, {SERVER_CORE}))
    server = Server(process, port, load.get("tls", False))
    try:
        for _ in range(200):
            if process.poll() is not None:
                raise Failed(f"it did not start: {log.read_text(errors='replace').strip()}")
            try:
                server.connect().close()
                break
            except OSError:
                time.sleep(0.05)
        else:
            raise Failed("it does not listen")
        yield server
    finally:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        process.wait()


def wrk(lab, server, seconds, load, quiet=False):
    """CPU microseconds, requests and bytes of one run of wrk, and complaints about it."""
    script = lab.file("lua", load.get("lua", "") + DONE)
    command = ["wrk", "-t1", f"-c{load['connections']}", f"-d{seconds}s", "--timeout", "10s"]
    for field in load.get("fields", ()):
        command += ["-H", field]
    scheme = "https" if server.tls else "http"
    command += ["-s", str(script), f"{scheme}://localhost:{server.port}{load['path']}"]
    before = server.cpu()
    run = subprocess.run(command, capture_output=True, text=True,
                         preexec_fn=lambda: os.sched_setaffinity(0, {LOAD_CORE}))
    spent = server.cpu() - before
    counted = re.search(r"^counted (.*)$", run.stdout, re.M)
    if not counted:
        raise Failed(f"wrk failed: {run.stderr.strip() or run.stdout.strip()}")
    requests, size, *errors, refused = map(int, counted[1].split())
    complaints = [f"{count} {kind}" for kind, count
                  in zip(["connect", "read", "write", "timeout"], errors) if count]
    # To wrk a status above 399 is an error; here it may be what was asked for.
    if refused not in ((0,) if load.get("status", 200) < 400 else (requests,)):
        complaints.append(f"{refused} of {requests} with another status")
    if complaints and not quiet:
        say(f"  errors that wrk counted: {', '.join(complaints)}")
    if not requests:
        raise Failed("no request was answered")
    return spent, requests, size
