"""What stands between: a proxy that terminates TLS is passed in wrapped mode, a hub that lies is refused."""
import hashlib
import json
import socket

import pytest

from conftest import Failed, until
from middlebox import middlebox
from services import echo, pattern, receive_all, receive_exactly, serve
from test_road import exchange


def test_a_proxy_that_terminates_tls_gets_wrapped_pipes_by_itself(world, hub, tmp_path):
    server = world.agent(hub, "server")
    with middlebox(tmp_path, hub) as box, serve(echo) as port:
        laptop = world.agent(box, "behind-proxy")
        server.expose(f"127.0.0.1:{port}", "through-proxy")
        answer = laptop.json("reach", "through-proxy")
        assert answer["pipe_mode"] == "wrapped"
        data = pattern(3_000_000, 1)
        assert exchange(answer["port"], data) == data
        assert box.modes and set(box.modes) == {"wrapped"}
        laptop.down()


class Liar:
    """Rewrites what the hub says; switched on after the agents have met honestly, or at once."""

    def __init__(self):
        self.rewrite = None

    def __call__(self, message):
        return self.rewrite(message) if self.rewrite else message


def peer_key(make_key):
    """Replaces the key of the other agent in answers to `open`."""
    def rewrite(message):
        if "peer" in message and message.get("type") == "reply":
            message["peer"]["public_key"] = make_key(message["peer"])
        return message
    return rewrite


OTHER_KEY = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"


@pytest.fixture
def lied_to(world, hub, tmp_path):
    """An exposing agent at the honest hub and a reaching one behind a liar."""
    server = world.agent(hub, "honest")
    liar = Liar()
    with middlebox(tmp_path, hub, liar) as box, serve(echo) as port:
        laptop = world.agent(box, "lied-to")
        server.expose(f"127.0.0.1:{port}", "target")
        yield server, laptop, liar
        laptop.down()
        server.down()


def test_another_key_for_a_known_agent_is_refused_by_name(lied_to):
    _, laptop, liar = lied_to
    laptop.reach("target")
    laptop.json("unreach", "target")
    liar.rewrite = peer_key(lambda peer: OTHER_KEY)
    with pytest.raises(Failed) as failure:
        laptop.reach("target")
    assert failure.value.code == 6
    assert failure.value.error["code"] == "key_changed"
    assert failure.value.error["message"].count("sha256:") == 2


def test_another_agent_in_place_of_a_known_one_is_refused_by_name(lied_to):
    _, laptop, liar = lied_to
    laptop.reach("target")
    laptop.json("unreach", "target")

    def rewrite(message):
        if "peer" in message:
            message["peer"] = {"agent_id": "ag_00000000000000000000000000", "label": "honest", "public_key": OTHER_KEY}
        return message

    liar.rewrite = rewrite
    with pytest.raises(Failed) as failure:
        laptop.reach("target")
    assert failure.value.code == 6
    assert failure.value.error["code"] == "service_moved"


def test_on_first_contact_the_named_key_must_still_be_proved(lied_to):
    """The liar names a key that the agent at the other end does not have."""
    _, laptop, liar = lied_to
    liar.rewrite = peer_key(lambda peer: OTHER_KEY)
    with pytest.raises(Failed) as failure:
        laptop.reach("target")
    assert failure.value.code == 6
    # And nothing was pinned by that: the honest answer is taken afterwards.
    liar.rewrite = None
    with socket.create_connection(("127.0.0.1", laptop.reach("target")), timeout=20) as s:
        s.sendall(b"ok")
        assert receive_exactly(s, 2) == b"ok"


def test_our_own_key_reflected_is_refused(lied_to):
    server, laptop, liar = lied_to
    own = json.loads((laptop.folder / "config.json").read_text())
    assert own  # the folder is readable; the key itself is asked from the agent
    key = laptop.json("whoami").get("public_key")
    assert key and len(key) == 64
    liar.rewrite = peer_key(lambda peer: key)
    with pytest.raises(Failed) as failure:
        laptop.reach("target")
    assert failure.value.code == 6


def test_the_exposing_agent_dials_only_its_own_targets(world, hub, tmp_path):
    """The hub tells the exposing agent to serve something else: another target, another name."""
    liar = Liar()
    reached = []
    with middlebox(tmp_path, hub, liar) as box, serve(echo) as port, \
            serve(lambda s: reached.append(s.recv(1))) as forbidden:
        server, laptop = world.agent(box, "steered"), world.agent(hub, "laptop-2")
        server.expose(f"127.0.0.1:{port}", "allowed")

        def other_target(message):
            if message.get("type") == "dial":
                message["target"] = f"127.0.0.1:{forbidden}"
                message["host"], message["port"] = "127.0.0.1", forbidden
            return message

        liar.rewrite = other_target
        with socket.create_connection(("127.0.0.1", laptop.reach("allowed")), timeout=20) as s:
            s.sendall(b"own")
            assert receive_exactly(s, 3) == b"own"
        laptop.json("unreach", "allowed")

        def other_name(message):
            if message.get("type") == "dial":
                message["service"] = "not-mine"
            return message

        liar.rewrite = other_name
        with pytest.raises(Failed):
            laptop.reach("allowed")
        assert reached == []
        server.down()
