"""connect-hub by itself, spoken to byte by byte: HTTP, control links, tickets, pipes, signals.

The agents here are written in this file, so that they can also do what a real agent never would.
"""
import base64
import contextlib
import hashlib
import json
import os
import pathlib
import re
import resource
import signal
import socket
import sqlite3
import ssl
import struct
import subprocess
import time

import pytest

from identity import Identity

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("CONNECT_BUILD", ROOT / "build"))
HUB = BUILD / "connect-hub"
DEADLINE = 30
KEY_HEX, PROOF = "ab" * 32, "00" * 64


def command(*words, **more):
    return subprocess.run([HUB, *map(str, words)], capture_output=True, text=True, timeout=60, **more)


class Hub:
    """A hub process, and clients of it that are closed with it."""

    def __init__(self, folder, *options, listen="127.0.0.1:0", **popen):
        self.data = folder / "data"
        self.log = folder / "hub.log"
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [HUB, "serve", "--listen", listen, "--data", self.data, *map(str, options)],
                stdout=subprocess.PIPE, stderr=log, **popen)
        line = self.process.stdout.readline()
        assert line, self.log.read_text()
        self.ready = json.loads(line)
        self.url = self.ready["url"]
        self.tls = self.url.startswith("https:")
        self.port = int(self.url.rsplit(":", 1)[1])
        self.sockets = []

    def stop(self, number=signal.SIGTERM):
        for s in self.sockets:
            s.close()
        if self.process.poll() is None:
            self.process.send_signal(number)
        code = self.process.wait(DEADLINE)
        self.process.stdout.close()
        return code

    def connect(self, tls=None):
        s = socket.create_connection(("127.0.0.1", self.port), timeout=DEADLINE)
        if self.tls if tls is None else tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            s = context.wrap_socket(s)
        self.sockets.append(s)
        return s

    def key(self, workspace="acme"):
        done = command("key", "create", "--workspace", workspace, "--data", self.data)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def request(self, method, path, bearer=None, body=None, headers=()):
        with contextlib.closing(self.connect()) as s:
            return request(s, method, path, bearer, body, headers)

    def enrol(self, key, label="agent", identity=None):
        identity = identity or Identity()
        answer = self.request("POST", "/v1/agents", key,
                              {"label": label, "public_key": identity.public, "proof": identity.prove(key),
                               "version": "0.1.0", "os": "linux"})
        assert answer.status == 201, answer.body
        return answer.json

    def agent(self, workspace="acme", label="agent", services=(), hello=True, key=None):
        enrolled = self.enrol(key or self.key(workspace), label)
        return Link(self, enrolled, services, hello)

    def audit(self, workspace="acme"):
        with contextlib.closing(sqlite3.connect(self.data / "hub.db")) as db:
            return db.execute(
                "SELECT a.type, a.subject, a.detail FROM audit a JOIN workspaces w ON w.id = a.workspace "
                "WHERE w.name = ? ORDER BY a.seq", (workspace,)).fetchall()


class Answer:
    def __init__(self, status, headers, body, rest=b""):
        self.status, self.headers, self.body, self.rest = status, headers, body, rest

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def error(self):
        return self.json["error"]


def read_head(s, data=b""):
    while b"\r\n\r\n" not in data:
        part = s.recv(65536)
        assert part, f"closed after {data!r}"
        data += part
    head, rest = data.split(b"\r\n\r\n", 1)
    lines = head.decode().split("\r\n")
    headers = {k.lower(): v for k, v in (line.split(": ", 1) for line in lines[1:])}
    return int(lines[0].split()[1]), headers, rest


def request(s, method, path, bearer=None, body=None, headers=()):
    lines = [f"{method} {path} HTTP/1.1", "Host: hub", *headers]
    data = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    if body is not None:
        lines += ["Content-Type: application/json", f"Content-Length: {len(data)}"]
    if bearer is not None:
        lines.append(f"Authorization: Bearer {bearer}")
    s.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + data)
    status, got, rest = read_head(s)
    if status == 101:
        return Answer(status, got, b"", rest)
    while len(rest) < int(got["content-length"]):
        part = s.recv(65536)
        assert part
        rest += part
    return Answer(status, got, rest)


class Closed(Exception):
    def __init__(self, code, reason):
        super().__init__(f"{code} {reason}")
        self.code, self.reason = code, reason


class WebSocket:
    def __init__(self, s, rest=b""):
        self.s, self.data = s, rest

    def send(self, payload, opcode=1):
        mask = os.urandom(4)
        payload = payload if isinstance(payload, bytes) else payload.encode()
        size = len(payload)
        head = bytes([0x80 | opcode])
        head += (bytes([0x80 | size]) if size < 126 else struct.pack("!BH", 0xFE, size)
                 if size < 65536 else struct.pack("!BQ", 0xFF, size))
        self.s.sendall(head + mask + bytes(b ^ mask[i % 4] for i, b in enumerate(payload)))

    def take(self, n):
        while len(self.data) < n:
            part = self.s.recv(65536)
            if not part:
                raise Closed(0, "cut")
            self.data += part
        part, self.data = self.data[:n], self.data[n:]
        return part

    def receive(self):
        """The next frame that is no ping or pong: (opcode, payload)."""
        while True:
            first, second = self.take(2)
            assert first & 0x80 and not second & 0x80
            size = second
            if size == 126:
                size = struct.unpack("!H", self.take(2))[0]
            elif size == 127:
                size = struct.unpack("!Q", self.take(8))[0]
            payload = self.take(size)
            opcode = first & 15
            if opcode == 8:
                raise Closed(struct.unpack("!H", payload[:2])[0] if payload else 0, payload[2:].decode())
            if opcode < 8:
                return opcode, payload

    def close_code(self):
        with pytest.raises(Closed) as closed:
            while True:
                self.receive()
        return closed.value.code


WS_KEY = "dGhlIHNhbXBsZSBub25jZQ=="
WS_ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


def ws_headers(subprotocol, upgrade="websocket", binding=None):
    return ["Connection: Upgrade", f"Upgrade: {upgrade}", f"Sec-WebSocket-Key: {WS_KEY}",
            "Sec-WebSocket-Version: 13", f"Sec-WebSocket-Protocol: {subprotocol}",
            *([f"Pconnect-Binding: {binding}"] if binding else [])]


class Refused(Exception):
    def __init__(self, error):
        super().__init__(error)
        self.code, self.message = error["code"], error["message"]


class Link:
    """A control link, and the agent at its end."""

    def __init__(self, hub, enrolled, services=(), hello=True):
        self.hub, self.enrolled = hub, enrolled
        s = hub.connect()
        answer = request(s, "GET", "/v1/control", enrolled["token"],
                         headers=ws_headers("pconnect.control.1"))
        assert answer.status == 101, answer.body
        assert answer.headers["sec-websocket-accept"] == WS_ACCEPT
        assert answer.headers["sec-websocket-protocol"] == "pconnect.control.1"
        self.ws = WebSocket(s, answer.rest)
        self.number = 0
        self.waiting = []
        if hello:
            self.welcome = self.ask("hello", protocol={"min": 1, "max": 1}, version="0.1.0",
                                    label=enrolled["label"], services=list(services))

    def say(self, kind, **members):
        self.number += 1
        self.ws.send(json.dumps({"type": kind, "id": self.number, **members}))
        return self.number

    def next(self):
        opcode, text = self.ws.receive()
        assert opcode == 1
        return json.loads(text)

    def answer_bytes(self, number):
        """The answer to one request, as it was sent, without its number."""
        while True:
            _, text = self.ws.receive()
            message = json.loads(text)
            if message.get("re") == number:
                return text.replace(b'"re":%d' % number, b"")
            self.waiting.append(message)

    def hear(self, number):
        """The answer to one request; what else comes is kept."""
        while not (answers := [m for m in self.waiting if m.get("re") == number]):
            self.waiting.append(self.next())
        self.waiting.remove(answers[0])
        if "error" in answers[0]:
            raise Refused(answers[0]["error"])
        return answers[0]

    def ask(self, kind, **members):
        return self.hear(self.say(kind, **members))

    def reply(self, number, **members):
        self.ws.send(json.dumps({"type": "reply", "re": number, **members}))

    def dialled(self):
        """The next dial that the hub asks for."""
        for message in self.waiting:
            if message["type"] == "dial":
                self.waiting.remove(message)
                return message
        message = self.next()
        assert message["type"] == "dial", message
        return message


def service(name, target="localhost:5432", protocol="tcp"):
    return {"name": name, "protocol": protocol, "target": target}


def open_pipe(asker, owner, name, purpose="reach", mode="auto"):
    """(the asker's answer, the owner's dial) once both agree."""
    number = asker.say("open", service=name, purpose=purpose, mode=mode)
    dial = owner.dialled()
    owner.reply(dial["id"])
    return asker.hear(number), dial


class Leg:
    """One leg of a pipe, in whatever dress, as a stream."""

    def __init__(self, hub, ticket, upgrade="websocket", subprotocol="pconnect-pipe", binding="none"):
        self.s = hub.connect()
        self.answer = request(self.s, "GET", "/v1/pipe", ticket,
                              headers=ws_headers(subprotocol, upgrade, binding))
        assert self.answer.status == 101, self.answer.body
        self.bare = self.answer.headers["upgrade"] == "pconnect-pipe"
        self.base64 = subprotocol.endswith("base64")
        self.ws = WebSocket(self.s, self.answer.rest)
        self.held = b""

    def send(self, data):
        if self.bare:
            self.s.sendall(data)
        elif self.base64:
            for at in range(0, len(data), 60000):
                self.ws.send(base64.b64encode(data[at:at + 60000]), 1)
        else:
            self.ws.send(data, 2)

    def receive(self, n):
        while len(self.held) < n:
            if self.bare:
                part = self.ws.data or self.s.recv(65536)
                self.ws.data = b""
                assert part, "ended early"
            else:
                opcode, part = self.ws.receive()
                assert opcode == (1 if self.base64 else 2)
                part = base64.b64decode(part, validate=True) if self.base64 else part
            self.held += part
        part, self.held = self.held[:n], self.held[n:]
        return part

    def is_over(self):
        try:
            if self.bare:
                return self.s.recv(1) == b""
            self.ws.receive()
        except (Closed, ConnectionError, ssl.SSLError):
            return True
        return False


def until(condition, what):
    end = time.monotonic() + DEADLINE
    while not (value := condition()):
        assert time.monotonic() < end, what
        time.sleep(0.01)
    return value


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    h = Hub(tmp_path_factory.mktemp("hub"))
    yield h
    assert h.stop() == 0


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    h = Hub(tmp_path_factory.mktemp("plain"), "--plain-http")
    yield h
    assert h.stop() == 0


@pytest.fixture()
def own_hub(tmp_path):
    hubs = []

    def start(*options, **more):
        hubs.append(Hub(tmp_path, *options, **more))
        return hubs[-1]

    yield start
    for h in hubs:
        h.stop(signal.SIGKILL)


# --- HTTP ---------------------------------------------------------------------------------------


def test_says_where_it_is_with_the_fingerprint_of_its_certificate(hub):
    assert hub.ready["event"] == "hub.ready"
    certificate = hub.connect().getpeercert(binary_form=True)
    assert hub.ready["fingerprint"] == "sha256:" + hashlib.sha256(certificate).hexdigest()


def test_answers_plain_questions(hub):
    assert hub.request("GET", "/healthz").json == {"status": "ok"}
    assert hub.request("GET", "/readyz").json == {"status": "ready"}
    assert hub.request("GET", "/version").json["protocol"] == {"min": 1, "max": 1}


@pytest.mark.parametrize("method, path, status, code", [
    ("GET", "/", 404, "not_found"),
    ("GET", "/v1/agents/", 404, "not_found"),
    ("GET", "/v1/../healthz", 404, "not_found"),
    ("DELETE", "/healthz", 405, "bad_request"),
    ("GET", "/v1/agents", 405, "bad_request"),
    ("GET", "/v1/whoami", 401, "unauthorized"),
    ("GET", "/v1/control", 401, "unauthorized"),
    ("GET", "/v1/pipe", 401, "unauthorized"),
    ("POST", "/v1/agents", 401, "unauthorized"),
])
def test_every_error_is_json_with_a_request_id(hub, method, path, status, code):
    answer = hub.request(method, path)
    assert answer.status == status
    assert answer.error["code"] == code and answer.error["message"]
    assert re.fullmatch("req_[0-9a-f]{16}", answer.json["request_id"])
    if status == 405:
        assert answer.headers["allow"] == ("POST" if path == "/v1/agents" else "GET")


@pytest.mark.parametrize("path", ["/healthz", "/nothing", "/v1/whoami"])
def test_every_answer_carries_the_security_headers(hub, path):
    headers = hub.request("GET", path).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"
    assert "default-src 'none'" in headers["content-security-policy"]
    assert "strict-transport-security" not in headers  # the certificate is the hub's own


def test_a_secret_that_is_absent_malformed_or_unknown_gets_the_same_answer(hub):
    def answer(path, bearer):
        a = hub.request("GET", path, bearer)
        return a.status, re.sub(b"req_[0-9a-f]+", b"", a.body), sorted(a.headers)

    bearers = [None, "x", "pct_" + "0" * 64, "pct_" + "Z" * 64, "pc_" + "a" * 32, "0" * 64]
    for path in "/v1/whoami", "/v1/control", "/v1/pipe":
        answers = [answer(path, b) for b in bearers]
        assert all(a == answers[0] for a in answers)
        assert answers[0][0] == 401


def test_keep_alive_carries_many_requests(hub):
    s = hub.connect()
    for _ in range(50):
        assert request(s, "GET", "/healthz").status == 200


# --- enrolment ----------------------------------------------------------------------------------


def test_a_key_lets_an_agent_in(hub):
    key = hub.key()
    assert re.fullmatch("pc_[0-9A-Za-z]{32}", key)
    agent = hub.enrol(key, "prod")
    assert re.fullmatch("ag_[0-9a-z]+", agent["agent_id"])
    assert re.fullmatch("pct_[0-9a-f]{64}", agent["token"])
    assert agent["workspace"] == "acme" and agent["label"] == "prod"
    who = hub.request("GET", "/v1/whoami", agent["token"]).json
    assert who == {k: agent[k] for k in ("agent_id", "label", "workspace", "token_expires")}
    expires = time.strptime(agent["token_expires"], "%Y-%m-%dT%H:%M:%SZ")
    assert 29.9 < (time.mktime(expires) - time.mktime(time.gmtime())) / 86400 < 30.1


def test_an_identity_key_keeps_its_agent_and_loses_its_old_token(hub):
    key, identity = hub.key(), Identity()
    first = hub.enrol(key, "one", identity)
    second = hub.enrol(key, "two", identity)
    assert second["agent_id"] == first["agent_id"]
    assert hub.request("GET", "/v1/whoami", first["token"]).status == 401
    assert hub.request("GET", "/v1/whoami", second["token"]).json["label"] == "two"
    elsewhere = hub.enrol(hub.key("other"), "one", identity)
    assert elsewhere["agent_id"] != first["agent_id"]


def test_a_public_key_alone_does_not_take_over_its_agent(hub):
    key, other_key, victim, thief = hub.key(), hub.key(), Identity(), Identity()
    agent = hub.enrol(key, "victim", victim)
    for proof in (thief.prove(key), thief.prove(key, victim.public), victim.prove(other_key), "00" * 64):
        answer = hub.request("POST", "/v1/agents", key,
                             {"label": "thief", "public_key": victim.public, "proof": proof})
        assert answer.status == 400 and "proof" in answer.error["message"]
    assert hub.request("GET", "/v1/whoami", agent["token"]).json["label"] == "victim"


@pytest.mark.parametrize("body", [
    b"", b"{", b"[]", b"null", b"\xff", b'{"label":"a"}',
    {"label": "a", "public_key": KEY_HEX, "proof": PROOF, "extra": 1},
    {"label": "", "public_key": KEY_HEX, "proof": PROOF},
    {"label": "x" * 64, "public_key": KEY_HEX, "proof": PROOF},
    {"label": "a\u0007b", "public_key": KEY_HEX, "proof": PROOF},
    {"label": 5, "public_key": KEY_HEX, "proof": PROOF},
    {"label": "a\u0000b", "public_key": KEY_HEX, "proof": PROOF},
    {"label": "a", "public_key": KEY_HEX[:-1], "proof": PROOF},
    {"label": "a", "public_key": KEY_HEX[:-2] + "zz", "proof": PROOF},
    {"label": "a", "public_key": KEY_HEX, "proof": PROOF, "version": "v" * 100},
    {"label": "a", "public_key": KEY_HEX, "proof": PROOF, "os": ["linux"]},
    {"label": "a", "public_key": KEY_HEX},
    {"label": "a", "public_key": KEY_HEX, "proof": PROOF[:-2]},
    b'{"label":"a","label":"b","public_key":"' + KEY_HEX.encode() + b'","proof":"' + PROOF.encode() + b'"}',
    b'{"label":"a","public_key":"' + b"a" * 100000 + b'"}',
    b"[" * 100000,
])
def test_a_wrong_enrolment_is_refused(hub, body):
    answer = hub.request("POST", "/v1/agents", hub.key(), body)
    assert answer.status == 400 and answer.error["code"] == "bad_request"
    assert "is not this public key's" not in answer.error["message"], "it is wrong before that"


def test_a_revoked_key_lets_nobody_in(hub):
    key = hub.key("revoked")
    listed = command("key", "list", "--workspace", "revoked", "--data", hub.data, "--json")
    entry, = json.loads(listed.stdout)["keys"]
    assert key.startswith(entry["prefix"])
    done = command("key", "revoke", entry["id"], "--workspace", "revoked", "--data", hub.data)
    assert done.returncode == 0
    answer = hub.request("POST", "/v1/agents", key, {"label": "a", "public_key": KEY_HEX, "proof": PROOF})
    assert answer.status == 401


# --- control links ------------------------------------------------------------------------------


def test_hello_is_answered_with_who_we_are(hub):
    link = hub.agent("hello", "web", [service("a"), service("b")])
    assert link.welcome["agent_id"] == link.enrolled["agent_id"]
    assert link.welcome["workspace"] == "hello" and link.welcome["label"] == "web"
    assert link.welcome["refused"] == [] and link.welcome["hub_version"]


def test_names_are_listed_with_who_has_them(hub):
    a = hub.agent("listing", "one", [service("db", "localhost:5432"), service("web", "[::1]:80", "http")])
    b = hub.agent("listing", "two")
    hub.agent("elsewhere", "three", [service("foreign")])
    listed = b.ask("list")["services"]
    assert [s["name"] for s in listed] == ["db", "web"]
    assert listed[1] == {"name": "web", "protocol": "http", "target": "[::1]:80", "label": "one",
                         "agent_id": a.enrolled["agent_id"], "online": True}
    a.ws.s.close()
    until(lambda: not b.ask("list")["services"][0]["online"], "the agent is noticed to be gone")


def test_a_name_in_use_is_refused_with_who_has_it(hub):
    a = hub.agent("taken", "first", [service("db")])
    b = hub.agent("taken", "second", [service("db"), service("mine")])
    refused, = b.welcome["refused"]
    assert refused["name"] == "db" and refused["code"] == "taken"
    assert "first" in refused["message"] and a.enrolled["agent_id"] in refused["message"]
    with pytest.raises(Refused, match="taken"):
        b.ask("expose", **service("db"))
    assert b.ask("expose", **service("other"))
    a.ask("unexpose", name="db")
    assert b.ask("expose", **service("db"))
    with pytest.raises(Refused) as refusal:
        a.ask("unexpose", name="db")
    assert refusal.value.code == "not_found"


def test_a_name_whose_agent_is_away_changes_hands_and_is_audited(hub):
    a = hub.agent("hands", "gone", [service("db")])
    b = hub.agent("hands", "here")
    a.ws.s.close()
    until(lambda: not b.ask("list")["services"][0]["online"], "the agent is noticed to be gone")
    b.ask("expose", **service("db", "localhost:1"))
    assert b.ask("list")["services"][0]["label"] == "here"
    rows = [json.loads(d) for t, s, d in hub.audit("hands") if t == "service.exposed"]
    assert rows[-1] == {"target": "localhost:1", "protocol": "tcp", "taken_from": a.enrolled["agent_id"]}
    back = Link(hub, a.enrolled, [service("db")])
    assert back.welcome["refused"][0]["code"] == "taken"


def test_what_an_agent_no_longer_names_in_hello_is_gone(hub):
    a = hub.agent("fewer", "one", [service("old"), service("kept")])
    a.ws.s.close()
    a = Link(hub, a.enrolled, [service("kept")])
    assert [s["name"] for s in a.ask("list")["services"]] == ["kept"]


def test_absent_and_foreign_services_are_not_found_with_the_same_bytes(hub):
    hub.agent("foreign", "owner", [service("secret")])
    away = hub.agent("foreign", "away", [service("asleep")])
    away.ws.s.close()
    b = hub.agent("curious", "b")
    answers = {b.answer_bytes(b.say("open", service=name, purpose="reach", mode="auto"))
               for name in ("secret", "asleep", "never-was")}
    assert len(answers) == 1
    assert json.loads(answers.pop().replace(b",,", b","))["error"] == {
        "code": "not_found", "message": "Service not found"}
    peers = {b.answer_bytes(b.say("peer", agent=agent))
             for agent in ("owner", away.enrolled["agent_id"], "ag_0", "nobody")}
    assert len(peers) == 1


def test_peers_are_found_by_id_and_label(hub):
    a = hub.agent("peers", "prod")
    hub.agent("peers", "twin"), hub.agent("peers", "twin")
    b = hub.agent("peers", "me")
    for agent in "prod", a.enrolled["agent_id"]:
        found = b.ask("peer", agent=agent)
        assert found["agent_id"] == a.enrolled["agent_id"] and re.fullmatch("[0-9a-f]{64}", found["public_key"])
    with pytest.raises(Refused) as refusal:
        b.ask("peer", agent="twin")
    assert refusal.value.code == "conflict"


def test_what_is_not_known_or_wrong_is_answered_and_the_link_stays(hub):
    a = hub.agent("wrong")
    cases = [("dance", {}), ("expose", {}), ("expose", {"name": "UPPER", "target": "x"}),
             ("expose", {"name": "a", "target": 5}), ("expose", {"name": "a" * 64, "target": "x"}),
             ("expose", {"name": "a", "target": "x", "protocol": "sctp"}),
             ("expose", {"name": "a", "target": "x\u001b[2J"}),
             ("open", {"service": "a"}), ("open", {"service": "a", "purpose": "fun"}),
             ("unexpose", {"name": ""}), ("unreach", {}), ("peer", {"agent": {}}),
             ("hello", {"protocol": {"min": 1, "max": 1}, "version": "1", "label": "x", "services": []})]
    for kind, members in cases:
        with pytest.raises(Refused) as refusal:
            a.ask(kind, **members)
        assert refusal.value.code == "bad_request", kind
    assert a.ask("list", unknown_member=1)["services"] == []


@pytest.mark.parametrize("message", [
    "", "{", "[]", "5", '{"id":1}', '{"type":5,"id":1}', '{"type":"list"}', '{"type":"list","id":"1"}',
    '{"type":"list","id":-1}', '{"type":"list","id":1,"id":2}', '{"type":"reply"}',
    '{"type":"reply","re":1,"error":5}', "[" * 50000,
])
def test_what_cannot_be_answered_ends_the_link(hub, message):
    a = hub.agent("unanswerable")
    a.ws.send(message)
    assert a.ws.close_code() == 4008


def test_hello_comes_first(hub):
    a = hub.agent("first", hello=False)
    a.say("list")
    assert a.ws.close_code() == 4008


def test_no_common_version_is_said(hub):
    a = hub.agent("version", hello=False)
    with pytest.raises(Refused) as refusal:
        a.ask("hello", protocol={"min": 2, "max": 9}, version="9", label="x", services=[])
    assert refusal.value.code == "incompatible"
    assert a.ws.close_code() == 4008


def test_a_message_over_64_kib_ends_the_link(hub):
    a = hub.agent("long")
    a.ws.send("x" * (64 * 1024 + 1))
    assert a.ws.close_code() == 1009


def test_a_binary_message_ends_the_link(hub):
    a = hub.agent("binary")
    a.ws.send(b"{}", 2)
    assert a.ws.close_code() == 1003


def test_more_than_256_services_are_refused(hub):
    a = hub.agent("many", hello=False)
    with pytest.raises(Refused) as refusal:
        a.ask("hello", protocol={"min": 1, "max": 1}, version="1", label="x",
              services=[service(f"s{i}", "t") for i in range(257)])
    assert refusal.value.code == "bad_request"
    b = hub.agent("many", services=[service(f"s{i}", "t") for i in range(256)])
    assert b.welcome["refused"] == []
    with pytest.raises(Refused) as refusal:
        b.ask("expose", **service("one-more"))
    assert refusal.value.code == "limit"


def test_a_second_link_of_an_agent_replaces_the_first(hub):
    first = hub.agent("replaced", services=[service("db")])
    second = Link(hub, first.enrolled, [service("db")])
    assert first.ws.close_code() == 4001
    assert second.welcome["refused"] == []
    assert second.ask("list")["services"][0]["online"]


def test_an_agent_has_one_link_without_hello(hub):
    first = hub.agent("ungreeted", hello=False)
    second = Link(hub, first.enrolled, hello=False)
    assert first.ws.close_code() == 4001
    assert second.ask("hello", protocol={"min": 1, "max": 1}, version="1", label="x", services=[])
    third = Link(hub, first.enrolled, hello=False)
    assert second.ask("list")  # until the third says hello
    assert third.ask("hello", protocol={"min": 1, "max": 1}, version="1", label="x", services=[])
    assert second.ws.close_code() == 4001


def test_a_silent_link_is_dropped_after_ten_seconds_and_a_pinging_one_is_not(hub):
    silent, pinging = hub.agent("silent", "silent"), hub.agent("silent", "pinging")
    began = time.monotonic()
    silent.ws.s.settimeout(0.5)
    while True:
        pinging.ws.send(b"", 9)
        try:
            silent.ws.receive()
        except TimeoutError:
            assert time.monotonic() - began < 15
            continue
        except Closed:
            break
    assert 9 < time.monotonic() - began < 15
    assert pinging.ask("list")


def test_a_flood_of_requests_is_slowed_down(own_hub):
    hub = own_hub("--opens-per-second", 5)
    a = hub.agent()
    numbers = [a.say("list") for _ in range(40)]
    outcomes = []
    for number in numbers:
        try:
            a.hear(number)
            outcomes.append("ok")
        except Refused as refusal:
            outcomes.append(refusal.code)
    assert set(outcomes) == {"ok", "limit"} and outcomes.count("ok") < 30


def test_agents_of_a_workspace_are_limited(own_hub):
    hub = own_hub("--agents-per-workspace", 2)
    key = hub.key()
    kept = [hub.agent(key=key) for _ in range(2)]
    third = hub.agent(key=key, hello=False)
    with pytest.raises(Refused) as refusal:
        third.ask("hello", protocol={"min": 1, "max": 1}, version="1", label="x", services=[])
    assert refusal.value.code == "limit"
    assert hub.agent("another").welcome  # another workspace has room of its own
    again = Link(hub, kept[0].enrolled)  # and one that comes back finds its place
    assert again.welcome


# --- pipes --------------------------------------------------------------------------------------


def test_tickets_name_both_sides_to_each_other(hub):
    a = hub.agent("pipes", "owner", [service("db", "localhost:5432")])
    b = hub.agent("pipes", "asker")
    opened, dial = open_pipe(b, a, "db")
    assert opened["pipe"] == dial["pipe"]
    assert opened["service"] == dial["service"] == "db"
    assert opened["target"] == "localhost:5432" and opened["protocol"] == "tcp"
    assert opened["peer"]["agent_id"] == a.enrolled["agent_id"] and opened["peer"]["label"] == "owner"
    assert dial["peer"]["agent_id"] == b.enrolled["agent_id"] and dial["mode"] == "auto"
    assert "target" not in dial
    assert re.fullmatch("[0-9a-f]{64}", opened["ticket"]) and opened["ticket"] != dial["ticket"]


def exchange(one, other, size=300000):
    for sender, receiver in (one, other), (other, one):
        data = os.urandom(size)
        sender.send(data)
        assert receiver.receive(size) == data


DRESSES = {"bare": ("pconnect-pipe, websocket", "pconnect-pipe"),
           "wrapped": ("websocket", "pconnect-pipe"),
           "base64": ("websocket", "pconnect-pipe.base64")}


@pytest.mark.parametrize("one", DRESSES)
@pytest.mark.parametrize("other", DRESSES)
def test_legs_in_every_pair_of_dresses_are_joined(plain, one, other):
    workspace = f"{one}-{other}"
    a = plain.agent(workspace, "owner", [service("db")])
    b = plain.agent(workspace, "asker")
    opened, dial = open_pipe(b, a, "db")
    first = Leg(plain, opened["ticket"], *DRESSES[one])
    if first.bare:
        first.send(b"before the other is there")
    second = Leg(plain, dial["ticket"], *DRESSES[other])
    assert first.bare == (one == "bare") and second.bare == (other == "bare")
    if first.bare:
        assert second.receive(25) == b"before the other is there"
    exchange(first, second)
    second.s.close()
    assert first.is_over()
    first.s.close()
    until(lambda: re.search(f'"pipe.ended","pipe":"{opened["pipe"]}"', plain.log.read_text()), "its end is logged")


def test_under_tls_a_leg_is_dressed_unless_its_binding_is_the_hubs(hub):
    a = hub.agent("binding", "owner", [service("db")])
    b = hub.agent("binding", "asker")
    for binding in "none", None, "A" * 43, "not base64 !":
        opened, dial = open_pipe(b, a, "db", "resume")
        first = Leg(hub, opened["ticket"], *DRESSES["bare"], binding=binding)
        second = Leg(hub, dial["ticket"])
        assert not first.bare
        exchange(first, second, 1000)
        first.s.close()
        assert second.is_over()


def test_a_pipe_asked_for_as_wrapped_is_not_given_bare(plain):
    a = plain.agent("asked", "owner", [service("db")])
    b = plain.agent("asked", "asker")
    opened, dial = open_pipe(b, a, "db", mode="wrapped")
    assert dial["mode"] == "wrapped"
    assert not Leg(plain, opened["ticket"], *DRESSES["bare"]).bare
    assert not Leg(plain, dial["ticket"], *DRESSES["wrapped"]).bare


def test_a_half_of_a_bare_pipe_may_end_before_the_answer(plain):
    a = plain.agent("half", "owner", [service("db")])
    b = plain.agent("half", "asker")
    opened, dial = open_pipe(b, a, "db")
    first = Leg(plain, opened["ticket"], *DRESSES["bare"])
    second = Leg(plain, dial["ticket"], *DRESSES["bare"])
    first.send(b"question")
    first.s.shutdown(socket.SHUT_WR)
    assert second.receive(8) == b"question" and second.is_over()
    second.send(b"answer" * 50000)
    second.s.shutdown(socket.SHUT_WR)
    assert first.receive(300000) == b"answer" * 50000 and first.is_over()


def test_a_ticket_is_good_once(hub):
    a = hub.agent("once", "owner", [service("db")])
    b = hub.agent("once", "asker")
    opened, dial = open_pipe(b, a, "db")
    assert hub.request("GET", "/v1/pipe", opened["ticket"]).status == 400  # no upgrade: not used
    Leg(hub, opened["ticket"])
    assert hub.request("GET", "/v1/pipe", opened["ticket"], headers=ws_headers("pconnect-pipe")).status == 401
    Leg(hub, dial["ticket"])
    assert hub.request("GET", "/v1/pipe", dial["ticket"], headers=ws_headers("pconnect-pipe")).status == 401


def test_what_is_said_before_the_101_is_refused(hub):
    a = hub.agent("early", "owner", [service("db")])
    b = hub.agent("early", "asker")
    opened, dial = open_pipe(b, a, "db")
    s = hub.connect()
    head = "\r\n".join(["GET /v1/pipe HTTP/1.1", "Host: hub", f"Authorization: Bearer {opened['ticket']}",
                        *ws_headers("pconnect-pipe"), "", ""])
    s.sendall(head.encode() + b"too early")
    s.settimeout(DEADLINE)
    with contextlib.suppress(ssl.SSLError, ConnectionError):
        while s.recv(4096):
            pass
    assert hub.request("GET", "/v1/pipe", dial["ticket"], headers=ws_headers("pconnect-pipe")).status == 401


def test_the_owners_refusal_reaches_the_asker(hub):
    a = hub.agent("refusal", "owner", [service("db")])
    b = hub.agent("refusal", "asker")
    number = b.say("open", service="db", purpose="reach", mode="auto")
    dial = a.dialled()
    a.reply(dial["id"], error={"code": "key_changed", "message": "the key of asker has changed"})
    with pytest.raises(Refused) as refusal:
        b.hear(number)
    assert refusal.value.code == "refused"
    assert refusal.value.message == "key_changed: the key of asker has changed"
    assert hub.request("GET", "/v1/pipe", dial["ticket"], headers=ws_headers("pconnect-pipe")).status == 401


def test_a_service_whose_agent_is_away_is_offline(hub):
    a = hub.agent("away", "owner", [service("db")])
    b = hub.agent("away", "asker")
    number = b.say("open", service="db", purpose="reach", mode="auto")
    a.dialled()
    a.ws.s.close()  # in the middle of being asked
    with pytest.raises(Refused) as refusal:
        b.hear(number)
    assert refusal.value.code == "offline"
    with pytest.raises(Refused) as refusal:
        b.ask("open", service="db", purpose="reach", mode="auto")
    assert refusal.value.code == "offline"


def test_an_agent_cannot_reach_itself(hub):
    a = hub.agent("self", "owner", [service("db")])
    with pytest.raises(Refused) as refusal:
        a.ask("open", service="db", purpose="reach", mode="auto")
    assert refusal.value.code == "refused"


def test_an_agent_that_does_not_answer_is_offline_after_ten_seconds_and_pipes_waiting_are_limited(hub):
    a = hub.agent("waiting", "owner", [service("db")])
    b = hub.agent("waiting", "asker")
    numbers = [b.say("open", service="db", purpose="reach", mode="auto") for _ in range(65)]
    with pytest.raises(Refused) as refusal:
        b.hear(numbers[64])
    assert refusal.value.code == "limit"
    dials = [a.dialled() for _ in range(64)]
    for link in a, b:
        link.ws.send(b"", 9)
    began = time.monotonic()
    while len(b.waiting) < 64:
        b.ws.s.settimeout(1)
        with contextlib.suppress(TimeoutError):
            b.waiting.append(b.next())
        a.ws.send(b"", 9), b.ws.send(b"", 9)
        assert time.monotonic() - began < 15
    assert {m["error"]["code"] for m in b.waiting} == {"offline"}
    a.reply(dials[0]["id"])  # too late: nothing comes of it
    b.waiting.clear()
    open_pipe(b, a, "db")


def test_reaches_are_audited_with_their_bytes(plain):
    a = plain.agent("audited", "owner", [service("db")])
    b = plain.agent("audited", "asker")
    for purpose in "reach", "resume":
        opened, dial = open_pipe(b, a, "db", purpose)
        first = Leg(plain, opened["ticket"], *DRESSES["bare"])
        second = Leg(plain, dial["ticket"], *DRESSES["bare"])
        exchange(first, second, 500)
        first.s.close(), second.s.close()
    b.ask("unreach", service="db")
    rows = until(lambda: [(t, s, json.loads(d)) for t, s, d in plain.audit("audited")
                          if t.startswith("reach.")][1:] and
                 [(t, s, json.loads(d)) for t, s, d in plain.audit("audited") if t.startswith("reach.")],
                 "the end is audited")
    assert [(t, s) for t, s, _ in rows] == [("reach.started", "db"), ("reach.ended", "db")]
    assert rows[0][2] == {"peer": a.enrolled["agent_id"]}
    assert rows[1][2]["bytes_sent"] == 1000 and rows[1][2]["bytes_received"] == 1000
    assert rows[1][2]["why"] == "unreached"
    b.ws.s.close()
    until(lambda: "agent.disconnected" in [t for t, _, _ in plain.audit("audited")], "the disconnect is audited")


# --- bad input ----------------------------------------------------------------------------------


def test_random_bytes_harm_nobody(hub, plain):
    for h in hub, plain:
        link = h.agent("noise")
        for i in range(40):
            with contextlib.suppress(OSError):
                s = h.connect(tls=h.tls and i % 2 == 0)
                s.sendall(os.urandom(5000))
                s.close()
        assert link.ask("list")


def test_slow_clients_leave_others_untouched(own_hub):
    hub = own_hub("--plain-http")
    slow = [hub.connect() for _ in range(500)]
    for s in slow:
        s.sendall(b"GET /heal")
    began = time.monotonic()
    assert hub.request("GET", "/healthz").status == 200
    assert time.monotonic() - began < 1
    slow[0].settimeout(15)
    assert slow[0].recv(100).startswith(b"HTTP/1.1 408")


def test_five_thousand_connections_at_once(own_hub):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 12000:
        pytest.skip("not enough descriptors")
    resource.setrlimit(resource.RLIMIT_NOFILE, (12000, hard))
    try:
        hub = own_hub("--plain-http")
        link = hub.agent()
        many = [hub.connect() for _ in range(5000)]
        for s in many[::100]:
            assert request(s, "GET", "/healthz").status == 200
        assert link.ask("list")
    finally:
        hub.stop(signal.SIGKILL)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_running_out_of_descriptors_ends_nothing(own_hub):
    hub = own_hub("--plain-http",
                  preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64)))
    link = hub.agent()
    many = [hub.connect() for _ in range(150)]
    for _ in range(3):
        assert link.ask("list")
    for s in many:
        s.close()

    def answers():
        with contextlib.suppress(OSError, AssertionError):
            return hub.request("GET", "/healthz").status == 200

    until(answers, "it answers again")


def test_a_full_disk_is_said_and_pipes_go_on(own_hub):
    hub = own_hub("--plain-http")
    key = hub.key()
    a = hub.agent(key=key, label="owner", services=[service("db")])
    b = hub.agent(key=key, label="asker")
    opened, dial = open_pipe(b, a, "db")
    first, second = (Leg(hub, t["ticket"], *DRESSES["bare"]) for t in (opened, dial))
    limits = resource.prlimit(hub.process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(hub.process.pid, resource.RLIMIT_FSIZE, (0, limits[1]))
    identity = Identity()
    answer = hub.request("POST", "/v1/agents", key, {"label": "x", "public_key": identity.public,
                                                     "proof": identity.prove(key)})
    assert answer.status == 503 and answer.error["code"] == "unavailable"
    with pytest.raises(Refused) as refusal:
        b.ask("expose", **service("more"))
    assert refusal.value.code == "unavailable"
    number = b.say("open", service="db", purpose="resume", mode="auto")
    a.reply(a.dialled()["id"])
    assert b.hear(number)["ticket"]  # what is under way can be resumed
    exchange(first, second)
    resource.prlimit(hub.process.pid, resource.RLIMIT_FSIZE, limits)
    assert b.ask("expose", **service("more")) and hub.enrol(key)


# --- the process --------------------------------------------------------------------------------


def test_sigterm_ends_it_in_order(own_hub):
    hub = own_hub("--plain-http")
    a = hub.agent(label="owner", services=[service("db")])
    b = hub.agent(label="asker")
    opened, dial = open_pipe(b, a, "db")
    first, second = (Leg(hub, t["ticket"], *DRESSES["bare"]) for t in (opened, dial))
    exchange(first, second, 700)
    hub.process.send_signal(signal.SIGTERM)
    assert a.ws.close_code() == b.ws.close_code() == 1012
    assert first.is_over() and second.is_over()
    assert hub.process.wait(DEADLINE) == 0
    ended, = (json.loads(d) for t, _, d in hub.audit() if t == "reach.ended")
    assert ended["bytes_sent"] == 700
    assert [t for t, _, _ in hub.audit()].count("agent.disconnected") == 2


def make_certificate(folder, name):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
                    "-nodes", "-days", "2", "-subj", f"/CN={name}", "-keyout", folder / "key.pem",
                    "-out", folder / "cert.pem"], check=True, capture_output=True)


def log_events(hub):
    return [json.loads(line) for line in hub.log.read_text().splitlines()]


def wait_for_event(hub, name, count=1):
    return until(lambda: [e for e in log_events(hub) if e["event"] == name][count - 1:], name)[-1]


def test_sighup_takes_a_new_certificate_and_new_settings_or_keeps_the_old(own_hub, tmp_path):
    config = tmp_path / "hub.json"
    make_certificate(tmp_path, "one")
    settings = {"tls_cert": str(tmp_path / "cert.pem"), "tls_key": str(tmp_path / "key.pem"),
                "log_level": "info"}
    config.write_text(json.dumps(settings))
    hub = own_hub("--config", config)
    link = hub.agent()

    def fingerprint():
        return hashlib.sha256(hub.connect().getpeercert(binary_form=True)).hexdigest()

    before = fingerprint()
    make_certificate(tmp_path, "two")
    config.write_text(json.dumps({**settings, "log_level": "debug", "relay_threads": 3}))
    hub.process.send_signal(signal.SIGHUP)
    wait_for_event(hub, "hub.reloaded")
    assert wait_for_event(hub, "hub.reload_partly")["setting"] == "relay_threads"
    after = fingerprint()
    assert after != before
    assert link.ask("list")  # what was there is untouched
    assert hub.request("GET", "/healthz").headers["strict-transport-security"]
    wait_for_event(hub, "http.request")

    (tmp_path / "cert.pem").write_text("no certificate")
    hub.process.send_signal(signal.SIGHUP)
    assert "cert.pem" in wait_for_event(hub, "hub.reload")["why"]
    config.write_text('{"log_lvl": "info"}')
    hub.process.send_signal(signal.SIGHUP)
    assert '"log_lvl" is not a setting' in wait_for_event(hub, "hub.reload", 2)["why"]
    assert fingerprint() == after


def test_a_second_hub_on_the_same_data_is_refused(hub):
    done = command("serve", "--listen", "127.0.0.1:0", "--data", hub.data)
    assert done.returncode == 1 and done.stdout == ""
    assert "another hub uses it" in done.stderr


def test_a_port_in_use_is_said(hub, tmp_path):
    done = command("serve", "--listen", f"127.0.0.1:{hub.port}", "--data", tmp_path / "d")
    assert done.returncode == 1 and "port is in use" in done.stderr


@pytest.mark.parametrize("words, says", [
    (["serve", "--listen", "nonsense"], "listen"),
    (["serve", "--lisen", "x"], "unknown option: --lisen"),
    (["serve", "--plain-http", "--listen", "0.0.0.0:0"], "trusted_proxies"),
    (["serve", "--tls-cert", "x"], "tls_key"),
    (["serve", "--tls-cert"], "needs a value"),
    (["serve", "--log-level", "loud"], "debug, info, warn or error"),
    (["serve", "extra"], "one word too many"),
    (["key"], "create"),
    (["key", "create"], "--workspace"),
    (["key", "create", "--workspace", "Not A Name"], "--workspace"),
    (["dance"], "no such command"),
])
def test_wrong_use_exits_2_and_says_what_to_do(words, says):
    done = command(*words)
    assert done.returncode == 2 and done.stdout == "" and says in done.stderr
    if words[0] != "dance":
        done = command(*words, "--json")
        assert done.returncode == 2 and says in json.loads(done.stdout)["error"]["message"]


def test_config_check(tmp_path):
    config = tmp_path / "hub.json"
    config.write_text('{"plain_http": true, "listen": "0.0.0.0:3001", "trusted_proxies": ["10.0.0.0/8"]}')
    done = command("config", "check", "--config", config, "--json", "--log-level", "warn")
    assert done.returncode == 0
    settings = json.loads(done.stdout)["settings"]
    assert settings["trusted_proxies"] == "10.0.0.0/8" and settings["log_level"] == "warn"
    config.write_text('{"listen": "0.0.0.0:3001",\n "listen": 1}')
    done = command("config", "check", "--config", config)
    assert done.returncode == 2 and str(config) in done.stderr
    config.write_text('{"relay_threads": 65}')
    done = command("config", "check", "--config", config)
    assert done.returncode == 2 and "0 to 64" in done.stderr


def test_only_a_trusted_proxy_may_name_the_client(own_hub):
    hub = own_hub("--plain-http", "--trusted-proxies", "127.0.0.1", "--log-level", "debug")
    hub.request("GET", "/healthz", headers=["X-Forwarded-For: 6.6.6.6, 198.51.100.77"])
    assert wait_for_event(hub, "http.request")["ip"] == "198.51.x.x"


def test_secrets_and_addresses_are_not_in_the_log(own_hub):
    hub = own_hub("--log-level", "debug")
    key = hub.key()
    a = hub.agent(key=key, label="owner", services=[service("db")])
    b = hub.agent(key=key, label="asker")
    opened, dial = open_pipe(b, a, "db")
    Leg(hub, opened["ticket"])
    hub.request("GET", "/v1/pipe", dial["ticket"])
    hub.stop()
    log = hub.log.read_text()
    for secret in key, a.enrolled["token"], opened["ticket"], dial["ticket"], "127.0.0.1\"":
        assert secret not in log.replace(f'"url":"{hub.url}"', "")


def test_idle_it_stays_small(own_hub):
    if "asan" in str(BUILD) or "address" in os.environ.get("CONNECT_SANITIZE", ""):
        pytest.skip("sanitizers are not small")
    hub = own_hub()
    links = [hub.agent(key=hub.key()) for _ in range(5)]
    assert all(link.ask("list") for link in links)
    status = pathlib.Path(f"/proc/{hub.process.pid}/status").read_text()
    assert int(re.search(r"VmRSS:\s+(\d+)", status)[1]) * 1024 <= 25 * 1000 * 1000
