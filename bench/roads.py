"""The roads that are compared: each one leads from a local port to the same service at its far end.

A road has `ports`, by what stands at the end of it ("load": bench/peers/far, "web": nginx), and `parts`: the processes
that carry the bytes, by their place. "near" is beside the client, "far" beside the service, "middle" what both meet at.
"""
import json
import os
import pathlib
import pwd

from machine import BUILD, END_S, PROGRAMS, program

TITLES = {
    "loopback": "loopback",
    "hops": "three hops",
    "ours": "ours",
    "wrapped": "ours wrapped",
    "ssh-l": "ssh -L",
    "ssh-rl": "ssh -R + -L",
    "haproxy": "haproxy TLS",
}
CIPHER = "aes128-gcm@openssh.com"


class Road:
    def __init__(self, name, ports, parts=None):
        self.name = name
        self.ports = ports
        self.parts = parts or {}


def start_peer(stage, *command):
    """One of bench/peers that listens; the process and its port."""
    process = stage.start(PROGRAMS / command[0], *command[1:])
    return process, int(stage.first_line(process))


# --- what stands at the far end -------------------------------------------------------------------

NGINX = """
daemon off;
worker_processes 1;
pid nginx.pid;
error_log stderr error;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    keepalive_requests 1000000000;
    client_body_temp_path tmp-body;
    proxy_temp_path tmp-proxy;
    fastcgi_temp_path tmp-fastcgi;
    uwsgi_temp_path tmp-uwsgi;
    scgi_temp_path tmp-scgi;
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location / {{ default_type text/plain; return 200 "{body}"; }}
    }}
}}
"""
WEB_BODY = 1024  # bytes


def start_web(stage):
    port = stage.free_port()
    folder = stage.folder / "nginx"
    folder.mkdir()
    (folder / "nginx.conf").write_text(NGINX.format(port=port, body="x" * WEB_BODY))
    process = stage.start(program("nginx"), "-p", folder, "-c", folder / "nginx.conf", "-e", "stderr")
    stage.wait_for_port(port, process)
    return port


def start_targets(stage):
    _, load = start_peer(stage, "far", 0)
    return {"load": load, "web": start_web(stage)}


# --- competitors ----------------------------------------------------------------------------------

def loopback(stage, targets):
    return Road("loopback", targets)


def hops(stage, targets):
    """The yardstick: two hops that copy around one that splices, nothing encrypted."""
    ports, parts = {}, {"near": [], "middle": [], "far": []}
    for what, port in targets.items():
        for place, way in (("far", "copy"), ("middle", "splice"), ("near", "copy")):
            process, port = start_peer(stage, "hop", way, 0, port)
            parts[place].append(process.pid)
        ports[what] = port
    return Road("hops", ports, parts)


def make_privilege_folder():
    """sshd as root wants it, and nobody has made it where no sshd runs. It stays: another sshd may count on it by then."""
    if os.getuid() == 0:
        pathlib.Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)


def start_sshd(stage, name):
    """An sshd with keys for this run only; the process and the words that every client of it needs."""
    folder = stage.folder / name
    folder.mkdir(mode=0o700)
    make_privilege_folder()
    for key in ("host", "user"):
        stage.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / key)
    port = stage.free_port()
    host_key = (folder / "host.pub").read_text()
    (folder / "known").write_text(f"[127.0.0.1]:{port} {host_key}")
    (folder / "authorized").write_text((folder / "user.pub").read_text())
    (folder / "sshd_config").write_text(
        f"ListenAddress 127.0.0.1:{port}\nHostKey {folder}/host\nAuthorizedKeysFile {folder}/authorized\n"
        "PidFile none\nUsePAM no\nStrictModes no\nPasswordAuthentication no\nPermitRootLogin prohibit-password\n"
        f"AllowTcpForwarding yes\nCiphers {CIPHER}\nLogLevel ERROR\n")
    process = stage.start(program("sshd"), "-D", "-e", "-f", folder / "sshd_config")
    stage.wait_for_port(port, process)
    client = [program("ssh"), "-F", "none", "-N", "-T", "-p", port, "-i", folder / "user", "-c", CIPHER]
    for option in ("BatchMode=yes", "ExitOnForwardFailure=yes", "IdentitiesOnly=yes", "StrictHostKeyChecking=yes",
                   f"UserKnownHostsFile={folder}/known", "LogLevel=ERROR", "Compression=no"):
        client += ["-o", option]
    return process, [*client, f"{pwd.getpwuid(os.getuid()).pw_name}@127.0.0.1"]


def forward(stage, client, flag, ports):
    """ssh with a -L or -R for each (from, to); returns when all of them listen."""
    words = []
    for here, there in ports:
        words += [flag, f"127.0.0.1:{here}:127.0.0.1:{there}"]
    process = stage.start(*client[:-1], *words, client[-1])
    for here, _ in ports:
        stage.wait_for_port(here, process)
    return process


def ssh_l(stage, targets):
    sshd, client = start_sshd(stage, "ssh-l")
    ports = {what: stage.free_port() for what in targets}
    near = forward(stage, client, "-L", [(ports[what], targets[what]) for what in targets])
    return Road("ssh-l", ports, {"near": [near.pid], "middle": [sshd.pid]})


def ssh_rl(stage, targets):
    """Both sides dial out and meet at one sshd, as our agents meet at the hub."""
    sshd, client = start_sshd(stage, "ssh-rl")
    meeting = {what: stage.free_port() for what in targets}
    ports = {what: stage.free_port() for what in targets}
    far = forward(stage, client, "-R", [(meeting[what], targets[what]) for what in targets])
    near = forward(stage, client, "-L", [(ports[what], meeting[what]) for what in targets])
    return Road("ssh-rl", ports, {"near": [near.pid], "middle": [sshd.pid], "far": [far.pid]})


HAPROXY = """
global
    maxconn 4096
defaults
    mode tcp
    timeout connect 5s
    timeout client 60s
    timeout server 60s
listen hop
    bind 127.0.0.1:{port}{accept}
    server next 127.0.0.1:{target}{dial}
"""


def haproxy(stage, targets):
    """Three of them: the first wraps in TLS, the middle one unwraps and wraps again, the last unwraps."""
    folder = stage.folder / "haproxy"
    folder.mkdir()
    stage.run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj",
              "/CN=bench", "-days", "2", "-keyout", folder / "key", "-out", folder / "cert")
    (folder / "pem").write_text((folder / "cert").read_text() + (folder / "key").read_text())
    accept, dial = f" ssl crt {folder}/pem", f" ssl verify required ca-file {folder}/cert"
    target, parts = targets["load"], {}
    for place, a, d in (("far", accept, ""), ("middle", accept, dial), ("near", "", dial)):
        port = stage.free_port()
        (folder / place).write_text(HAPROXY.format(port=port, target=target, accept=a, dial=d))
        process = stage.start(program("haproxy"), "-db", "-f", folder / place)
        stage.wait_for_port(port, process)
        parts[place] = [process.pid]
        target = port
    return Road("haproxy", {"load": target}, parts)


# --- ours -----------------------------------------------------------------------------------------

def ours_is_built():
    return all(os.access(BUILD / name, os.X_OK) for name in ("connect", "connect-hub"))


class Tunnel:
    """A hub and two agents, as a person would start them."""

    def __init__(self, stage, name):
        self.stage = stage
        self.folder = stage.folder / name
        self.folder.mkdir()
        data = self.folder / "hub"
        self.hub = stage.start(BUILD / "connect-hub", "serve", "--listen", "127.0.0.1:0", "--data", data)
        ready = json.loads(stage.first_line(self.hub))
        self.dial = ["--hub", ready["url"], "--hub-fingerprint", ready["fingerprint"]]
        self.key = stage.run(BUILD / "connect-hub", "key", "create", "--workspace", "acme", "--data", data).strip()
        self.pids = {"middle": self.hub.pid, "far": self.up("far"), "near": self.up("near")}

    def connect(self, agent, *words):
        return json.loads(self.stage.run(BUILD / "connect", "--config", self.folder / agent, "--json", *words))

    def up(self, agent):
        """The agent's process."""
        self.connect(agent, "up", *self.dial, "--api-key", self.key, "--label", agent)
        self.stage.on_end(lambda: self.down(agent))
        return self.connect(agent, "status")["pid"]

    def down(self, agent):
        self.stage.run(BUILD / "connect", "--config", self.folder / agent, "down", seconds=END_S)

    def road(self, name, pipe, targets):
        """Its services have names of their own, so that no two roads share a session."""
        ports = {}
        for what, port in targets.items():
            service = f"{what}-{pipe}"
            self.connect("far", "expose", f"127.0.0.1:{port}", "--name", service)
            answer = self.connect("near", "reach", service, "--port", self.stage.free_port(), "--pipe", pipe)
            ports[what] = answer["port"]
        return Road(name, ports, {place: [pid] for place, pid in self.pids.items()})


# --- all of them ----------------------------------------------------------------------------------

COMPETITORS = {"loopback": loopback, "hops": hops, "ssh-l": ssh_l, "ssh-rl": ssh_rl, "haproxy": haproxy}
PIPES = {"ours": "bare", "wrapped": "wrapped"}


def start_roads(stage, targets, names):
    """The roads named, in the order of TITLES."""
    roads = {}
    tunnel = None
    for name in TITLES:
        if name not in names:
            continue
        if name in COMPETITORS:
            roads[name] = COMPETITORS[name](stage, targets)
            continue
        tunnel = tunnel or Tunnel(stage, "tunnel")
        roads[name] = tunnel.road(name, PIPES[name], targets)
    return roads
