"""The command line against an agent that says what the test wants: screens, exit codes, bad answers."""
import contextlib
import fcntl
import json
import os
import pty
import re
import signal
import socket
import struct
import subprocess
import termios
import threading

import pytest

from conftest import BUILD, clean_environment, until

FINGERPRINT = "sha256:" + "0123456789abcdef" * 4
ESCAPE = "\x1b[31mred\x1b]0;title\x07\u202ereversed\u009b2J"

STATUS = {
    "ok": True, "agent_id": "ag_01hq", "label": "prod", "workspace": "acme", "hub": "https://hub.example.com:3001",
    "fingerprint": FINGERPRINT, "state": "connected", "since": "2026-01-01T00:00:00Z", "retry_in_ms": 0, "pid": 4242,
    "version": "0.1.0", "token_expires": "2099-12-24T00:00:00Z",
    "exposed": [{"name": "prod-db", "target": "localhost:5432", "protocol": "tcp", "state": "online", "streams": 3},
                {"name": "a-service-with-quite-a-long-name-for-a-table", "protocol": "http", "state": "failed",
                 "target": "a-host-with-a-long-name.internal.example.com:8080", "streams": 0, "error": "name taken"}],
    "reached": [{"name": "staging-db", "local": "127.0.0.1:5433", "agent": "staging", "state": "up", "latency_ms": 1.234,
                 "streams": 12, "bytes_in": 123456789, "bytes_out": 999, "pipe_mode": "bare"}],
}
REACH = {
    "ok": True, "name": "prod-db", "local": ["127.0.0.1:5433", "[::1]:5433"], "port": 5433, "asked_port": 5432,
    "peer": {"agent_id": "ag_02", "label": "prod", "fingerprint": FINGERPRINT, "first_contact": True},
    "check": {"dns": {"ok": True, "ms": 0.31, "addresses": ["10.0.0.1", "10.0.0.2", "10.0.0.3"]},
              "tcp": {"ok": True, "ms": 12.0}},
    "latency_ms": {"min": 0.9, "median": 1.2, "max": 3.4}, "pipe_mode": "bare",
}


class FakeAgent:
    """Answers every command with what `answers` holds for it: a dict, raw bytes, or a function of the connection."""

    def __init__(self, folder):
        self.folder = folder
        self.answers = {}
        self.requests = []
        self.closed = threading.Event()
        self.socket = socket.socket(socket.AF_UNIX)
        folder_fd = os.open(folder, os.O_RDONLY)  # a socket's address is shorter than a path may be
        self.socket.bind(f"/proc/self/fd/{folder_fd}/agent.sock")
        os.close(folder_fd)
        self.socket.listen()
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.socket.accept()
                with connection, contextlib.suppress(OSError):
                    self.answer(connection)

    def answer(self, connection):
        line = b""
        while not line.endswith(b"\n"):
            part = connection.recv(65536)
            if not part:
                return
            line += part
        request = json.loads(line)
        assert request["v"] == 1
        self.requests.append(request)
        answer = self.answers.get(request["command"], {"ok": True})
        if callable(answer):
            answer(connection)
        elif isinstance(answer, bytes):
            connection.sendall(answer)
        else:
            connection.sendall(json.dumps({"v": 1, **answer}).encode() + b"\n")
        if request.get("attach"):
            while connection.recv(1):
                pass
            self.closed.set()

    def close(self):
        # A shutdown wakes the thread that waits in accept(); a close alone does not.
        self.socket.shutdown(socket.SHUT_RDWR)
        self.thread.join(10)
        self.socket.close()


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "c"
    path.mkdir(0o700)
    return path


@pytest.fixture
def agent(folder):
    fake = FakeAgent(folder)
    yield fake
    fake.close()


def command(folder, *words):
    return [str(BUILD / "connect"), "--config", str(folder), *map(str, words)]


def run(folder, *words, env=None, input=None, lang="C.UTF-8"):
    return subprocess.run(command(folder, *words), capture_output=True, timeout=30, input=input,
                          stdin=subprocess.DEVNULL if input is None else None,
                          env={**clean_environment(), "LC_ALL": lang, **(env or {})})


def on_terminal(words, columns=80, no_color=False):
    """What a terminal gets, and the exit code."""
    env = {**clean_environment(), "LC_ALL": "C.UTF-8", "TERM": "xterm-256color"}
    if not no_color:
        del env["NO_COLOR"]
    parent, child = pty.openpty()
    fcntl.ioctl(child, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    process = subprocess.Popen(words, stdin=child, stdout=child, stderr=child, env=env)
    os.close(child)
    seen = b""
    with contextlib.suppress(OSError):  # EIO: the last one has closed the terminal
        while part := os.read(parent, 65536):
            seen += part
    os.close(parent)
    return seen.decode(), process.wait(30)


# --- exit codes and errors ------------------------------------------------------------------

CODES = [("other", 1), ("usage", 2), ("not_logged_in", 3), ("not_found", 4), ("not_reachable", 5), ("denied", 6),
         ("timeout", 7), ("port_in_use", 8), ("hub_unavailable", 9), ("incompatible", 10), ("key_changed", 6),
         ("never-heard-of", 1)]


@pytest.mark.parametrize("name,code", CODES)
def test_an_error_of_the_agent_becomes_exit_code_message_and_hint(agent, folder, name, code):
    agent.answers["reach"] = {"error": {"code": name, "message": "it went wrong", "hint": "do this"}}
    done = run(folder, "reach", "prod-db")
    assert done.returncode == code
    assert done.stdout == b"" and done.stderr.decode() == "✗ it went wrong\n→ do this\n"
    done = run(folder, "--json", "reach", "prod-db")
    assert done.returncode == code and done.stderr == b""
    assert json.loads(done.stdout) == {"v": 1, "error": {"code": name, "message": "it went wrong", "hint": "do this"}}


NONSENSE = {"nothing": b"", "no JSON": b"nonsense\n", "an array": b"[]\n", "no result": b"{}\n", "no UTF-8": b"\xff\xfe\n",
            "not ok": b'{"v":1,"ok":false}\n', "half": b'{"v":1,"ok":true', "endless": b"x" * 3_000_000}


@pytest.mark.parametrize("answer", NONSENSE.values(), ids=NONSENSE)
def test_an_answer_that_makes_no_sense_is_an_error(agent, folder, answer):
    agent.answers["status"] = answer
    done = run(folder, "--json", "status")
    assert done.returncode == 1 and json.loads(done.stdout)["error"]["code"] == "other"


@pytest.mark.parametrize("answer", [{"ok": True}, {"ok": True, "exposed": 1, "reached": {"a": 1}, "pid": "x"},
                                    {"ok": True, "exposed": [1, None, []], "reached": [[]], "label": 7}])
def test_members_of_the_wrong_kind_do_no_harm(agent, folder, answer):
    for name in ("status", "services", "whoami", "verify", "trust", "reach", "expose"):
        agent.answers[name] = {**answer, "check": [], "peer": 1, "latency_ms": "x", "words": {}, "services": [3]}
    for words in (["status"], ["services"], ["whoami"], ["verify", "x"], ["trust", "x"], ["reach", "x"],
                  ["expose", "1", "--name", "x"]):
        assert run(folder, *words).returncode == 0, words


def test_not_running_and_not_logged_in_are_told_apart(folder):
    for words in (["status"], ["reach", "x"], ["services"]):
        done = run(folder, *words)
        assert done.returncode == 3 and b"connect up --hub" in done.stderr
    (folder / "config.json").write_text("{}")
    for words in (["status"], ["reach", "x"], ["services"]):
        done = run(folder, *words)
        assert done.returncode == 1 and b"connect up" in done.stderr
    assert run(folder, "down").returncode == 0


def test_the_socket_of_a_dead_agent_means_not_running(folder):
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(str(folder / "agent.sock"))
    (folder / "config.json").write_text("{}")
    assert json.loads(run(folder, "status", "--json").stdout)["error"]["code"] == "not_running"


def test_a_path_longer_than_a_socket_address_is_fine(tmp_path):
    deep = tmp_path / ("x" * 100) / ("y" * 100)
    deep.mkdir(parents=True)
    assert run(deep, "status").returncode == 3
    fake = FakeAgent(deep)
    fake.answers["status"] = STATUS
    assert json.loads(run(deep, "status", "--json").stdout)["pid"] == 4242
    fake.close()


# --- usage ---------------------------------------------------------------------------------

USAGE = [
    (["stauts"], "did you mean connect status?"), (["raech", "x"], "did you mean connect reach?"), (["zzz"], "connect help"),
    (["status", "--jsno"], "did you mean --json?"), (["up", "--api-kye=pc_secret"], "did you mean --api-key?"),
    (["reach"], "connect reach --help"), (["reach", "a", "b"], "connect reach --help"),
    (["reach", "a", "--port"], "connect reach --help"), (["reach", "a", "--port", "0"], "65535"),
    (["reach", "a", "--port", "5432x"], "65535"), (["reach", "a", "--json=yes"], "connect reach --help"),
    (["reach", "A"], "prod-db"), (["expose", "localhost:1"], "--name"), (["expose", "localhost", "--name", "a"], "5432"),
    (["expose", "1", "--name", "a", "--protocol", "ftp"], "http"), (["expose", "udp://h:1", "--name", "a"], "tcp"),
    (["up", "--hold", "5"], "24h"), (["up", "--hold", "25h"], "24h"), (["up", "--hub", "ftp://x"], "https://"),
    (["up", "--hub-fingerprint", "sha256:12"], "hub"), (["up", "--label", ""], "--label"), (["up", "--api-key="], "pc_"),
    (["up", "--api-key-file", "/nowhere/key"], "pc_"), (["reach", "a", "--stdio", "--port", "1"], "other option"),
    (["help", "nonsense"], "connect help"), (["-x"], "--help"), (["reach", b"\xff"], "--help"),
]


@pytest.mark.parametrize("words,hint", USAGE)
def test_a_mistyped_line_ends_with_2_and_a_hint(folder, words, hint):
    words = [w.decode(errors="surrogateescape") if isinstance(w, bytes) else w for w in words]
    done = run(folder, *words)
    assert done.returncode == 2 and done.stdout == b""
    message, arrow = done.stderr.decode().splitlines()
    assert message.startswith("✗ ") and arrow.startswith("→ ") and hint in arrow
    assert "pc_secret" not in message
    done = run(folder, "--json", *words)
    assert done.returncode == 2 and done.stderr == b""
    error = json.loads(done.stdout)["error"]
    assert error["code"] == "usage" and hint in error["hint"]


def test_common_options_stand_before_or_after_the_command(agent, folder):
    agent.answers["status"] = STATUS
    binary = str(BUILD / "connect")
    for words in (["--config", folder, "--json", "status"], ["status", f"--config={folder}", "--json"],
                  ["--json", "status", "--config", folder]):
        done = subprocess.run([binary, *map(str, words)], capture_output=True, timeout=30, env=clean_environment())
        assert json.loads(done.stdout)["pid"] == 4242
    done = subprocess.run([binary, "status", "--json"], capture_output=True, timeout=30,
                          env={**clean_environment(), "CONNECT_HOME": str(folder)})
    assert json.loads(done.stdout)["pid"] == 4242


COMMANDS = ["up", "down", "status", "expose", "unexpose", "reach", "unreach", "services", "whoami", "verify", "trust",
            "version", "help"]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_an_example_in_80_columns(folder, name):
    text = run(folder, name, "--help").stdout.decode()
    assert f"connect {name}" in text.split("Examples")[1]
    assert max(map(len, text.splitlines())) <= 80
    assert run(folder, "help", name).stdout.decode() == text
    assert json.loads(run(folder, name, "--help", "--json").stdout)["commands"][0]["name"] == name


def test_without_a_command_there_is_help_and_2(folder):
    done = subprocess.run([BUILD / "connect"], capture_output=True, text=True, timeout=30, env=clean_environment())
    assert done.returncode == 2 and all(f"  {name} " in done.stdout for name in COMMANDS)
    assert max(map(len, done.stdout.splitlines())) <= 80


# --- screens -------------------------------------------------------------------------------

def test_status_fits_80_columns_on_a_terminal_and_is_whole_in_a_pipe(agent, folder):
    agent.answers["status"] = STATUS
    screen, code = on_terminal(command(folder, "status"), no_color=True)
    assert code == 0 and "\x1b[1m" not in screen and "\x1b[3" not in screen
    # Taking the spinner away needs one sequence; without colours there is no other.
    lines = re.sub(r"\r\x1b\[K", "", screen).splitlines()
    assert max(map(len, lines)) <= 80 and any("…" in line for line in lines)
    piped = run(folder, "status").stdout.decode()
    assert "a-host-with-a-long-name.internal.example.com:8080" in piped and "\x1b" not in piped
    for text in ("prod", "https://hub.example.com:3001", "123 MB", "999 B", "1.2 ms", "name taken", " 5433 "):
        assert text in piped


def test_colour_is_for_terminals(agent, folder):
    agent.answers["status"] = STATUS
    assert "\x1b[32m" in on_terminal(command(folder, "status"))[0]
    assert b"\x1b" not in run(folder, "status", env={"NO_COLOR": "", "TERM": "xterm"}).stdout


def test_progress_is_shown_on_a_terminal_only(agent, folder):
    def slowly(connection):
        connection.sendall(b'{"v":1,"progress":"measuring the round trip"}\n')
        connection.sendall(json.dumps({"v": 1, **REACH}).encode() + b"\n")

    agent.answers["reach"] = slowly
    assert "measuring the round trip" in on_terminal(command(folder, "reach", "prod-db"))[0]
    done = run(folder, "reach", "prod-db")
    assert b"measuring" not in done.stdout + done.stderr


def test_reach_says_who_what_where_and_how(agent, folder):
    agent.answers["reach"] = REACH
    text = run(folder, "reach", "prod-db").stdout.decode()
    for part in ("prod (ag_02)", "first contact", FINGERPRINT, "connect verify prod", "10.0.0.1, 10.0.0.2 and 1 more",
                 "port 5432 is taken", "✓ prod-db on localhost:5433", "psql -h localhost -p 5433", "1.2 ms"):
        assert part in text, text
    assert max(map(len, text.splitlines())) <= 80
    assert agent.requests[-1] == {"v": 1, "command": "reach", "name": "prod-db", "pipe": "auto", "attach": False}
    run(folder, "reach", "prod-db", "--port", "99", "--pipe", "wrapped")
    assert agent.requests[-1]["port"] == 99 and agent.requests[-1]["pipe"] == "wrapped"


def test_expose_sends_the_target_in_full_and_the_protocol(agent, folder):
    for target, full, protocol in (("5432", "localhost:5432", "tcp"), ("http://[::1]:80", "[::1]:80", "http"),
                                   ("https://wiki.internal", "wiki.internal:443", "https"),
                                   ("unix:/run/x.sock", "unix:/run/x.sock", "tcp")):
        assert run(folder, "expose", target, "--name", "x").returncode == 0
        sent = agent.requests[-1]
        assert (sent["target"], sent["protocol"], sent["attach"]) == (full, protocol, False)
    run(folder, "expose", "80", "--name=x", "--protocol=http")
    assert agent.requests[-1]["protocol"] == "http"


def test_expose_of_a_target_that_refuses_says_so(agent, folder):
    agent.answers["expose"] = {"ok": True, "check": {"tcp": {"ok": False, "ms": 1, "error": "connection refused"}}}
    text = run(folder, "expose", "5432", "--name", "x").stdout.decode()
    assert "✗ tcp" in text and "connection refused" in text and "✓ x leads to localhost:5432" in text


def test_a_long_message_breaks_between_words_on_a_terminal(agent, folder):
    message = f"the key of prod has changed: expected {FINGERPRINT}, now {FINGERPRINT}"
    agent.answers["reach"] = {"error": {"code": "key_changed", "message": message, "hint": "connect trust prod"}}
    screen, code = on_terminal(command(folder, "reach", "prod-db"), no_color=True)
    lines = re.sub(r"\r\x1b\[K", "", screen).splitlines()[-4:]
    assert code == 6 and max(map(len, lines)) <= 80 and sum(FINGERPRINT in line for line in lines) == 2
    assert message in run(folder, "reach", "prod-db").stderr.decode()


def test_texts_from_other_machines_cannot_act_on_the_terminal(agent, folder):
    agent.answers["services"] = {"ok": True, "services": [{"name": ESCAPE, "target": ESCAPE, "label": ESCAPE}]}
    agent.answers["whoami"] = {"error": {"code": "other", "message": ESCAPE, "hint": ESCAPE}}
    done = run(folder, "services")
    assert b"red" in done.stdout
    for bad in (b"\x1b", b"\x07", "\u202e".encode(), "\u009b".encode()):
        assert bad not in done.stdout
    done = run(folder, "whoami")
    assert b"red" in done.stderr and b"\x1b" not in done.stderr


def test_beyond_ascii_only_where_the_locale_has_it(agent, folder):
    agent.answers["whoami"] = {"ok": True, "label": "büro"}
    assert "büro" in run(folder, "whoami").stdout.decode()
    for words in (["whoami"], ["unreach", "x"], ["help"], ["reach", "X"]):
        done = run(folder, *words, lang="C")
        (done.stdout + done.stderr).decode("ascii")
    assert run(folder, "unreach", "x", lang="C").stdout == b"ok: x is no longer reached from here\n"
    assert run(folder, "reach", "X", lang="C").stderr.startswith(b"error: ")


def test_quiet_prints_errors_only(agent, folder):
    agent.answers["reach"] = REACH
    done = run(folder, "reach", "prod-db", "--quiet")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert run(folder, "-q", "reach", "X").stderr != b""


def test_json_is_one_object_on_every_command(agent, folder):
    agent.answers.update(status=STATUS, reach=REACH)
    for words in (["status"], ["reach", "a"], ["expose", "1", "--name", "a"], ["unexpose", "a"], ["unreach", "a"],
                  ["services"], ["whoami"], ["trust", "a"], ["verify", "a"], ["version"], ["help"], ["down"], ["up"]):
        done = run(folder, *words, "--json")
        lines = done.stdout.decode().splitlines()
        assert done.returncode == 0 and len(lines) == 1 and done.stderr == b"", words
        answer = json.loads(lines[0])
        assert answer["v"] == 1 and answer["ok"] is True, words


def test_a_result_that_cannot_be_written_is_a_failure(agent, folder):
    agent.answers["status"] = STATUS
    with open("/dev/full", "wb") as full:
        done = subprocess.run(command(folder, "status"), stdout=full, stderr=subprocess.PIPE, timeout=30)
    assert done.returncode == 1 and b"space" in done.stderr


# --- up ---------------------------------------------------------------------------------------

def test_up_finds_the_running_agent(agent, folder):
    agent.answers["status"] = STATUS
    for words in ([], ["--hub", "https://HUB.example.com:3001/", "--label", "prod"]):
        done = run(folder, "up", *words)
        assert done.returncode == 0 and "already up" in done.stdout.decode(), done.stderr
    for words in (["--hub", "https://other:3001"], ["--label", "other"], ["--foreground"]):
        done = run(folder, "up", *words)
        assert done.returncode == 1 and b"4242" in done.stderr and b"connect down" in done.stderr


def test_the_api_key_does_not_stay_in_the_list_of_processes(agent, folder):
    key = "pc_" + "S" * 32
    seen = threading.Event()
    agent.answers["status"] = lambda connection: (seen.wait(20), connection.sendall(
        json.dumps({"v": 1, **STATUS}).encode() + b"\n"))
    for words in (["--api-key", key], [f"--api-key={key}"]):
        seen.clear()
        before = len(agent.requests)
        process = subprocess.Popen(command(folder, "up", *words), stdout=subprocess.DEVNULL)
        until(lambda: len(agent.requests) > before, "up has asked the agent")
        with open(f"/proc/{process.pid}/cmdline", "rb") as f:
            line = f.read()
        seen.set()
        assert process.wait(30) == 0
        assert b"--api-key" in line and b"SSS" not in line


def test_a_folder_that_everybody_may_write_to_is_no_place_for_a_key(tmp_path):
    tmp_path.chmod(0o777)
    done = run(tmp_path, "up", "--hub", "https://127.0.0.1:1")
    assert done.returncode == 2 and b"every user" in done.stderr


# --- staying, interrupting, copying --------------------------------------------------------------

@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_foreground_stays_until_interrupted_and_has_it_undone(agent, folder, number):
    agent.answers["reach"] = REACH
    process = subprocess.Popen(command(folder, "reach", "prod-db", "--foreground", "--json"), stdout=subprocess.PIPE)
    assert json.loads(process.stdout.readline())["port"] == 5433
    assert agent.requests[-1]["attach"] is True and not agent.closed.is_set()
    process.send_signal(number)
    assert process.wait(30) == 130
    assert agent.closed.wait(10)
    assert process.stdout.read() == b""
    process.stdout.close()


def test_foreground_ends_when_the_agent_does(agent, folder):
    agent.answers["expose"] = lambda connection: (connection.sendall(b'{"v":1,"ok":true}\n'),
                                                  connection.shutdown(socket.SHUT_RDWR))
    done = run(folder, "expose", "5432", "--name", "x", "--foreground")
    assert done.returncode == 1 and b"agent has ended" in done.stderr


def test_ctrl_c_while_waiting_ends_with_130(agent, folder):
    wait = threading.Event()
    agent.answers["reach"] = lambda connection: wait.wait(20)
    process = subprocess.Popen(command(folder, "reach", "prod-db", "--json"), stdout=subprocess.PIPE)
    until(lambda: agent.requests, "the agent has been asked")
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=30)
    wait.set()
    assert process.returncode == 130 and json.loads(out)["error"]["code"] == "interrupted"


def receive_all(connection):
    parts = []
    while part := connection.recv(1 << 18):
        parts.append(part)
    return b"".join(parts)


def test_stdio_is_the_stream_and_each_half_ends_by_itself(agent, folder):
    """The first bytes come in one read with the answer; the reply only after stdin has ended."""
    data = os.urandom(5_000_000)

    def stream(connection):
        connection.sendall(b'{"v":1,"progress":"..."}\n{"v":1,"ok":true}\nearly\n')
        sent = receive_all(connection)
        connection.sendall(sent[::-1])

    agent.answers["stdio"] = stream
    done = run(folder, "reach", "prod-ssh", "--stdio", input=data)
    assert done.returncode == 0 and done.stderr == b""
    assert done.stdout == b"early\n" + data[::-1]


def test_stdio_ends_its_output_before_its_input(agent, folder):
    got = []

    def stream(connection):
        connection.sendall(b'{"v":1,"ok":true}\nbye')
        connection.shutdown(socket.SHUT_WR)
        got.append(receive_all(connection))

    agent.answers["stdio"] = stream
    process = subprocess.Popen(command(folder, "reach", "x", "--stdio"), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout.read() == b"bye"  # returns at the end of the output
    process.stdin.write(b"still here")
    process.stdin.close()
    assert process.wait(30) == 0
    process.stdout.close()
    until(lambda: got, "the agent has read to the end")
    assert got == [b"still here"]


def test_stdio_ends_when_the_stream_is_gone_though_stdin_stays_open(agent, folder):
    agent.answers["stdio"] = lambda connection: connection.sendall(b'{"v":1,"ok":true}\n')
    process = subprocess.Popen(command(folder, "reach", "x", "--stdio"), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.wait(30) == 0
    process.stdin.close()
    process.stdout.close()


def test_stdio_ends_when_nobody_reads_its_output(agent, folder):
    gone = threading.Event()

    def stream(connection):
        connection.sendall(b'{"v":1,"ok":true}\n')
        try:
            while True:
                connection.sendall(bytes(65536))
        except OSError:
            gone.set()

    agent.answers["stdio"] = stream
    process = subprocess.Popen(command(folder, "reach", "x", "--stdio"), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    process.stdout.read(10)
    process.stdout.close()
    assert process.wait(30) == 0 and gone.wait(10)
    process.stdin.close()


def test_an_error_before_the_stream_leaves_stdout_empty(agent, folder):
    agent.answers["stdio"] = {"error": {"code": "not_found", "message": "Service not found", "hint": "connect services"}}
    done = run(folder, "reach", "x", "--stdio", input=b"data")
    assert done.returncode == 4 and done.stdout == b"" and b"Service not found" in done.stderr
