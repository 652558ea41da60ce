"""Real programs through the tunnel: what people will use it for."""
import hashlib
import os
import pathlib
import pwd
import re
import shutil
import subprocess

import pytest

from conftest import can_connect, clean_environment, free_port, program, until

GIB = 1 << 30


def run(*command, timeout=120, **more):
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=timeout, **more)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def as_user(name, *command):
    """Root may not run PostgreSQL's server; another user may already be the right one."""
    return ["setpriv", "--reuid", name, "--regid", name, "--clear-groups", *command] \
        if os.getuid() == 0 else list(command)


# --- PostgreSQL ---------------------------------------------------------------------------

@pytest.fixture(scope="module")
def postgres(world, server, laptop, tmp_path_factory):
    folder = tmp_path_factory.mktemp("pg")
    user = "postgres" if os.getuid() == 0 else pwd.getpwuid(os.getuid()).pw_name
    if os.getuid() == 0:
        shutil.chown(folder, "postgres")
        for parent in folder.parents[:-1]:
            if parent != pathlib.Path("/tmp"):
                parent.chmod(parent.stat().st_mode | 0o011)
    port = free_port()
    data = folder / "data"
    run(*as_user(user, program("initdb"), "-D", data, "-U", "postgres", "-A", "trust", "--no-sync"), cwd=folder)
    world.process(*as_user(user, program("postgres"), "-D", data, "-p", port, "-h", "127.0.0.1", "-k", folder,
                           "-c", "fsync=off"), cwd=folder)
    until(lambda: subprocess.run([program("pg_isready"), "-h", "127.0.0.1", "-p", str(port)],
                                 capture_output=True).returncode == 0, "PostgreSQL is up")
    server.expose(f"127.0.0.1:{port}", "prod-db")
    return laptop.reach("prod-db")


def test_psql_asks_and_gets_its_answer(postgres):
    out = run("psql", "-h", "localhost", "-p", postgres, "-U", "postgres", "-Atc",
              "select count(*), sum(length(repeat('x', i))) from generate_series(1, 1000) i")
    assert out.strip() == "1000|500500"


def test_psql_moves_much_data_both_ways(postgres, tmp_path):
    rows = tmp_path / "rows"
    with open(rows, "w") as f:
        for i in range(300_000):
            f.write(f"{i}\t{'y' * 60}\n")
    base = ["psql", "-h", "127.0.0.1", "-p", postgres, "-U", "postgres", "-v", "ON_ERROR_STOP=1"]
    run(*base, "-c", "create table rows(id int, t text)", "-c", f"\\copy rows from '{rows}'")
    out = tmp_path / "out"
    run(*base, "-c", f"\\copy (select * from rows order by id) to '{out}'")
    assert out.read_bytes() == rows.read_bytes()


def test_pgbench_with_8_clients(postgres):
    base = ["pgbench", "-h", "localhost", "-p", postgres, "-U", "postgres"]
    run(*base, "-i", "-s", 1, "-q", "postgres")
    out = run(*base, "-c", 8, "-j", 2, "-t", 100, "postgres")
    assert "number of transactions actually processed: 800/800" in out
    out = run(*base, "-c", 4, "-t", 20, "-C", "-S", "postgres")  # a connection for every transaction
    assert "80/80" in out


# --- Redis -----------------------------------------------------------------------------------

def test_redis_benchmark_and_a_pipeline(world, server, laptop, tmp_path):
    port = free_port()
    world.process(program("redis-server"), "--port", port, "--save", "", "--dir", tmp_path, "--bind", "127.0.0.1")
    until(lambda: can_connect(port), "Redis is up")
    server.expose(f"127.0.0.1:{port}", "cache")
    local = laptop.reach("cache")
    out = run("redis-benchmark", "-h", "127.0.0.1", "-p", local, "-n", 20000, "-c", 50, "-P", 16, "-q",
              "-t", "set,get,lpush,lrange_100")
    for name in ("SET", "GET", "LPUSH", "LRANGE_100"):
        assert re.search(rf"{name}.*requests per second", out)
    value = "v" * 1_000_000
    subprocess.run(["redis-cli", "-p", str(local), "-x", "set", "big"], input=value, text=True, check=True,
                   capture_output=True)
    assert run("redis-cli", "-p", local, "get", "big").strip() == value


# --- HTTP --------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def nginx(world, server, laptop, tmp_path_factory):
    folder = tmp_path_factory.mktemp("nginx")
    port = free_port()
    root = folder / "www"
    root.mkdir()
    (root / "index.html").write_text("<h1>it works</h1>\n")
    (root / "large.bin").write_bytes(os.urandom(64 << 20))
    (folder / "nginx.conf").write_text(f"""
        daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log;
        {'user root;' if os.getuid() == 0 else ''}
        events {{ worker_connections 1024; }}
        http {{ access_log off; client_body_temp_path {folder}/b; proxy_temp_path {folder}/p;
               fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
               server {{ listen 127.0.0.1:{port} backlog=1024; root {root}; }} }}""")
    world.process(program("nginx"), "-c", folder / "nginx.conf", "-p", folder)
    until(lambda: can_connect(port), "nginx is up")
    answer = server.json("expose", f"http://127.0.0.1:{port}", "--name", "web")
    assert answer["check"]["http"]["status"] == 200
    return laptop.reach("web"), root


def test_curl_fetches_a_page_and_a_large_file(nginx):
    port, root = nginx
    assert run("curl", "-sS", f"http://localhost:{port}/") == "<h1>it works</h1>\n"
    out = subprocess.run(["curl", "-sS", f"http://127.0.0.1:{port}/large.bin"], capture_output=True,
                         timeout=60, check=True).stdout
    assert hashlib.sha256(out).digest() == hashlib.sha256((root / "large.bin").read_bytes()).digest()


def test_wrk_sees_no_error(nginx):
    port, _ = nginx
    out = run("wrk", "-t2", "-c64", "-d3s", f"http://127.0.0.1:{port}/")
    assert "Socket errors" not in out and "Non-2xx" not in out, out
    assert float(re.search(r"Requests/sec:\s+([\d.]+)", out)[1]) > 100


# --- SSH ----------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def sshd(world, server, laptop, tmp_path_factory):
    folder = tmp_path_factory.mktemp("ssh")
    port = free_port()
    for name in ("host", "user"):
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name)
    shutil.copy(folder / "user.pub", folder / "authorized")
    (folder / "sshd_config").write_text(f"""
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host
AuthorizedKeysFile {folder}/authorized
PidFile {folder}/sshd.pid
StrictModes no
UsePAM no
PasswordAuthentication no
PermitRootLogin yes
MaxStartups 100
Subsystem sftp internal-sftp
""")
    if os.getuid() == 0:
        os.makedirs("/run/sshd", exist_ok=True)
    world.process(program("sshd"), "-D", "-f", folder / "sshd_config", "-E", folder / "log")
    until(lambda: can_connect(port), "sshd is up")
    server.expose(f"127.0.0.1:{port}", "shell")
    options = ["-i", folder / "user", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
               "-o", "IdentitiesOnly=yes", "-o", "LogLevel=ERROR", "-o", "BatchMode=yes"]
    return laptop.reach("shell"), options, pwd.getpwuid(os.getuid()).pw_name


def test_ssh_runs_a_command(sshd):
    port, options, user = sshd
    assert run("ssh", *options, "-p", port, f"{user}@localhost", "echo through; exit 0") == "through\n"


def test_scp_of_one_gib_is_equal(sshd, tmp_path):
    port, options, user = sshd
    source, target = tmp_path / "source", tmp_path / "target"
    with open(source, "wb") as f:
        block = os.urandom(1 << 24)
        for i in range(GIB // len(block)):
            f.write(i.to_bytes(8, "big") + block[8:])
    run("scp", *options, "-P", port, source, f"{user}@localhost:{target}", timeout=300)

    def checksum(path):
        with open(path, "rb") as f:
            return hashlib.file_digest(f, "sha256").hexdigest()

    assert checksum(source) == checksum(target)
    source.unlink(), target.unlink()


def test_ssh_by_proxy_command_needs_no_port(sshd, laptop):
    _, options, user = sshd
    command = " ".join(laptop.command("reach", "shell", "--stdio"))
    out = run("ssh", *options, "-o", f"ProxyCommand={command}", f"{user}@anything", "echo by stdio",
              env=clean_environment())
    assert out == "by stdio\n"
