"""Whoever may speak to a program says what it does not expect."""
import json
import os
import pathlib
import signal
import socket

from conftest import until
from services import echo, serve


def control(agent, **request):
    """A connection to the agent's own socket, with one request said."""
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(30)
    s.connect(str(agent.folder / "agent.sock"))
    s.sendall(json.dumps({"v": 1, **request}).encode() + b"\n")
    return s


def answer_of(connection):
    """The line that is no progress."""
    with connection.makefile() as lines:
        while True:
            answer = json.loads(lines.readline())
            if "progress" not in answer:
                return answer


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


def test_an_attached_command_that_goes_leaves_the_others_alone(world, hub):
    server, laptop = world.agent(hub, "server"), world.agent(hub, "laptop")
    with serve(echo) as port:
        server.expose(f"127.0.0.1:{port}", "slow")
        pid = server.pid
        os.kill(pid, signal.SIGSTOP)  # `open` waits for it
        try:
            stays = control(laptop, command="reach", name="slow", attach=True)
            goes = control(laptop, command="reach", name="slow", attach=True)
            until(lambda: laptop.status()["reached"], "it is being reached")
            goes.close()
            for _ in range(3):  # rounds of its loop
                assert laptop.status()["reached"], "the other one still wants it"
        finally:
            os.kill(pid, signal.SIGCONT)
        answer = answer_of(stays)
        assert answer.get("ok"), answer
        stays.close()
        until(lambda: not laptop.status()["reached"], "it goes with its last command")
