"""Who may reach what, and what the hub gets to see."""
import json
import pathlib
import re
import socket
import subprocess

import pytest

from conftest import BUILD, Failed, can_connect, free_port, until
from services import echo, receive_exactly, serve

MARKER = b"MARKER-8f1c2b7d9e-" * 64


def memory_of(pid):
    """Everything readable in a process."""
    parts = []
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", 0) as memory:
        for line in maps:
            span, rights = line.split()[:2]
            if "r" not in rights or "[v" in line:
                continue
            low, high = (int(x, 16) for x in span.split("-"))
            try:
                memory.seek(low)
                parts.append(memory.read(high - low))
            except (OSError, ValueError):
                continue
    return b"".join(parts)


@pytest.mark.parametrize("mode", ["bare", "wrapped", "base64"])
def test_what_passes_never_occurs_in_the_hub(world, mode):
    hub = world.hub("--log-level", "debug")
    server, laptop = world.agent(hub, "s"), world.agent(hub, "l")
    with serve(echo) as port:
        server.expose(f"127.0.0.1:{port}", "secret-service")
        local = laptop.reach("secret-service", "--pipe", mode)
        with socket.create_connection(("127.0.0.1", local), timeout=20) as s:
            for _ in range(50):
                s.sendall(MARKER)
                assert receive_exactly(s, len(MARKER)) == MARKER
            core = memory_of(hub.process.pid)
            # The proof can fail: the same search finds what the hub does know, and the agent has the marker.
            assert b"secret-service" in core
            assert MARKER[:18] in memory_of(laptop.pid)
            assert MARKER[:18] not in core
    for path in hub.folder.rglob("*"):
        if path.is_file():
            assert MARKER[:18] not in path.read_bytes(), path


def test_keys_and_tokens_are_in_no_file_or_log_of_the_hub(world):
    hub = world.hub("--log-level", "debug")
    key = hub.key("acme")
    agent = world.agent(hub, "one", key=key)
    with serve(echo) as port:
        agent.expose(f"127.0.0.1:{port}", "thing")
    token = (agent.folder / "token").read_text().strip()
    assert re.fullmatch(r"pc_[A-Za-z0-9]{32}", key)
    assert len(token) > 40
    for path in [*hub.folder.rglob("*"), agent.folder / "agent.log"]:
        if path.is_file():
            content = path.read_bytes()
            assert key.encode() not in content, path
            assert token.encode() not in content, path
    for pid in (hub.process.pid, agent.pid):
        for name in ("environ", "cmdline"):
            content = pathlib.Path(f"/proc/{pid}/{name}").read_bytes()
            assert key.encode() not in content and token.encode() not in content


def test_another_workspace_sees_what_does_not_exist(world, hub, server):
    """For everything of the first workspace the answers are those for names nobody has."""
    stranger = world.agent(hub, "stranger", workspace="globex")
    with serve(echo) as port:
        server.expose(f"127.0.0.1:{port}", "private")
        answers = []
        for name in ("private", "no-such-service"):
            with pytest.raises(Failed) as failure:
                stranger.reach(name)
            assert failure.value.code == 4
            answers.append(json.dumps(failure.value.error).replace(name, "NAME"))
        assert answers[0] == answers[1]
        assert "Service not found" in answers[0]
        assert stranger.json("services")["services"] == []
        # The same name is free in the other workspace.
        stranger.expose(f"127.0.0.1:{port}", "private")
        for command in ("trust", "verify"):
            codes = []
            for agent in (server.json("whoami")["agent_id"], "ag_00000000000000000000000000"):
                with pytest.raises(Failed) as failure:
                    stranger.json(command, agent)
                codes.append((failure.value.code, json.dumps(failure.value.error).replace(agent, "ID")))
            assert codes[0] == codes[1]


def test_a_name_is_taken_while_its_agent_is_there(world, hub, server, laptop):
    with serve(echo) as port:
        server.expose(f"127.0.0.1:{port}", "unique")
        with pytest.raises(Failed) as failure:
            laptop.expose(f"127.0.0.1:{port}", "unique")
        assert "server" in json.dumps(failure.value.error)  # says who has it


def test_six_words_are_the_same_on_both_sides(server, laptop):
    one = server.json("verify", laptop.json("whoami")["agent_id"])
    other = laptop.json("verify", server.json("whoami")["agent_id"])
    assert one["words"] == other["words"] and len(one["words"]) == 6
    assert one["fingerprint"] == other["own_fingerprint"]


def change_identity(agent):
    """The same agent id with another key: what a hub that lies, or a reinstalled machine, looks like."""
    agent.down()
    (agent.folder / "identity.key").unlink()


def test_a_changed_key_is_refused_until_it_is_trusted(world):
    hub = world.hub()
    key = hub.key("acme")
    server, laptop = world.agent(hub, "server", key=key), world.agent(hub, "laptop", key=key)
    with serve(echo) as port:
        server.expose(f"127.0.0.1:{port}", "pinned")
        local = laptop.reach("pinned")
        assert can_connect(local)
        laptop.json("unreach", "pinned")
        # Another machine takes over the name with a key of its own.
        server.down()
        other = world.agent(hub, "other", key=key)
        other.expose(f"127.0.0.1:{port}", "pinned")
        with pytest.raises(Failed) as failure:
            laptop.reach("pinned")
        assert failure.value.code == 6
        text = json.dumps(failure.value.error)
        assert text.count("sha256:") >= 2 and "connect trust" in text
        laptop.json("trust", "other")
        local = laptop.reach("pinned")
        with socket.create_connection(("127.0.0.1", local), timeout=20) as s:
            s.sendall(b"trusted")
            assert receive_exactly(s, 7) == b"trusted"


def test_a_changed_hub_certificate_is_refused(world):
    hub = world.hub()
    agent = world.agent(hub, "careful")
    assert agent.down().returncode == 0
    hub.stop()
    for name in hub.data.rglob("*.crt"):
        name.unlink()
    for name in hub.data.rglob("*.key"):
        name.unlink()
    before = hub.fingerprint
    hub.start()
    assert hub.fingerprint != before
    done = agent.run("--json", "up")
    error = json.loads(done.stdout)["error"]
    assert done.returncode == 6
    assert before in json.dumps(error) and hub.fingerprint in json.dumps(error)
