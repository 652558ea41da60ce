"""What the system tests share: a real hub, real agents, real programs, all of them processes.

Nothing here sleeps for a fixed time: everything waits for an event, with a deadline.
"""
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("CONNECT_BUILD", ROOT / "build"))
DEADLINE = float(os.environ.get("CONNECT_TEST_DEADLINE", "30"))


def until(condition, what, deadline=None):
    """Waits until condition() is true and returns its value."""
    end = time.monotonic() + (deadline or DEADLINE)
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not within {deadline or DEADLINE} s: {what}")
        time.sleep(0.02)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def can_connect(port, host="127.0.0.1"):
    try:
        with socket.create_connection((host, port), timeout=1):
            return True
    except OSError:
        return False


def clean_environment():
    env = {k: v for k, v in os.environ.items() if not k.startswith("CONNECT_")}
    env["NO_COLOR"] = "1"
    return env


class Hub:
    """connect-hub serve in a folder of its own; can be killed and started again on the same port."""

    def __init__(self, folder, *options, listen="127.0.0.1:0", env=None):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.data = self.folder / "data"
        self.options = options
        self.listen = listen
        self.env = {**clean_environment(), **(env or {})}
        self.log = self.folder / "hub.log"
        self.process = None
        self.start()

    def start(self):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [BUILD / "connect-hub", "serve", "--listen", self.listen, "--data", self.data,
                 *self.options],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, env=self.env)
        line = self.process.stdout.readline()
        if not line:
            raise AssertionError("the hub did not start:\n" + self.log.read_text()[-4000:])
        ready = json.loads(line)
        assert ready["event"] == "hub.ready"
        self.url = ready["url"]
        self.fingerprint = ready["fingerprint"]
        self.port = int(self.url.rsplit(":", 1)[1])
        # Started again, it must be found where it was.
        self.listen = self.listen.rsplit(":", 1)[0] + f":{self.port}"

    def key(self, workspace="acme"):
        return subprocess.run(
            [BUILD / "connect-hub", "key", "create", "--workspace", workspace, "--data", self.data],
            check=True, capture_output=True, text=True, env=self.env).stdout.strip()

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.process.stdout.close()
        return self.process.returncode

    def rss(self):
        return rss(self.process.pid)


def rss(pid):
    """Resident memory in bytes."""
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise AssertionError(f"no memory figure for {pid}")


class Failed(Exception):
    def __init__(self, code, error, stdout, stderr):
        super().__init__(f"exit {code}: {error or stderr}")
        self.code = code
        self.error = error or {}
        self.stdout = stdout
        self.stderr = stderr


class Agent:
    """One configuration folder and the agent process behind it, through the command line."""

    def __init__(self, folder, hub, label, key=None, env=None):
        self.folder = pathlib.Path(folder)
        self.hub = hub
        self.label = label
        self.key = key
        self.env = {**clean_environment(), **(env or {})}

    def command(self, *words):
        return [str(BUILD / "connect"), "--config", str(self.folder), *map(str, words)]

    def run(self, *words, timeout=60, input=None):
        return subprocess.run(self.command(*words), capture_output=True, text=True, timeout=timeout,
                              input=input, env=self.env,
                              stdin=subprocess.DEVNULL if input is None else None)

    def json(self, *words, timeout=60):
        """The command's one JSON object; Failed with its error otherwise."""
        done = self.run("--json", *words, timeout=timeout)
        try:
            answer = json.loads(done.stdout)
        except ValueError:
            raise Failed(done.returncode, None, done.stdout, done.stderr) from None
        assert answer["v"] == 1
        if done.returncode != 0:
            raise Failed(done.returncode, answer.get("error"), done.stdout, done.stderr)
        return answer

    def up(self, *options, timeout=60):
        words = ["up", "--hub", self.hub.url, "--label", self.label, *options]
        if self.hub.fingerprint:
            words += ["--hub-fingerprint", self.hub.fingerprint]
        if self.key:
            words += ["--api-key", self.key]
        return self.json(*words, timeout=timeout)

    def expose(self, target, name, *options):
        return self.json("expose", target, "--name", name, *options)

    def reach(self, name, *options, port=None):
        """The local port."""
        asked = ["--port", port if port else free_port()]
        return self.json("reach", name, *asked, *options)["port"]

    def status(self):
        return self.json("status")

    @property
    def pid(self):
        return self.status()["pid"]

    def down(self):
        return self.run("down")


class World:
    """Everything one test module starts; all of it ends with the module."""

    def __init__(self, folder):
        self.folder = folder
        self.parts = []
        self.count = 0

    def hub(self, *options, **more):
        self.count += 1
        hub = Hub(self.folder / f"hub{self.count}", *options, **more)
        self.parts.append(hub.stop)
        return hub

    def agent(self, hub, label, workspace="acme", up=True, env=None, key=None):
        self.count += 1
        agent = Agent(self.folder / f"agent{self.count}-{label}", hub, label,
                      key or hub.key(workspace), env)
        self.parts.append(agent.down)
        if up:
            agent.up()
        return agent

    def process(self, *command, **more):
        more.setdefault("stdin", subprocess.DEVNULL)
        more.setdefault("stdout", subprocess.DEVNULL)
        more.setdefault("stderr", subprocess.DEVNULL)
        process = subprocess.Popen(list(map(str, command)), **more)

        def end():
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                try:
                    process.wait(10)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()

        self.parts.append(end)
        return process

    def end(self):
        for part in reversed(self.parts):
            part()


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    w = World(tmp_path_factory.mktemp("w"))
    yield w
    w.end()


@pytest.fixture(scope="module")
def hub(world):
    return world.hub()


@pytest.fixture(scope="module")
def server(world, hub):
    """The agent that exposes."""
    return world.agent(hub, "server")


@pytest.fixture(scope="module")
def laptop(world, hub, server):
    """The agent that reaches."""
    return world.agent(hub, "laptop")


def program(name):
    """A Debian program the tests drive; absent is a failure, not a skip: script/bootstrap installs it."""
    for folder in ("/usr/lib/postgresql/15/bin", "/usr/sbin", "/sbin"):
        path = pathlib.Path(folder) / name
        if path.exists():
            return str(path)
    path = shutil.which(name)
    assert path, f"{name} is not installed: script/bootstrap --test"
    return path
