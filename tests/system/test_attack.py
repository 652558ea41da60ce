"""Whoever may speak to a program says what it does not expect."""
import json
import os
import pathlib
import socket

from conftest import until


def control(agent, **request):
    """A connection to the agent's own socket, with one request said."""
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(30)
    s.connect(str(agent.folder / "agent.sock"))
    s.sendall(json.dumps({"v": 1, **request}).encode() + b"\n")
    return s


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "State:\tZ" not in pathlib.Path(f"/proc/{pid}/status").read_text()


def agent_log(agent):
    return (agent.folder / "agent.log").read_text()


def test_a_client_that_goes_before_down_is_answered(world, hub):
    agent = world.agent(hub, "down")
    pid = agent.pid
    control(agent, command="down").close()
    until(lambda: not alive(pid), "the agent ends")
    assert "ssertion" not in agent_log(agent)
    assert not (agent.folder / "agent.sock").exists(), "it ended in order"
