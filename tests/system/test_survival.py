"""Connections outlive the hub: it is killed and started again while bytes pass both ways."""
import hashlib
import signal
import socket
import threading
import time

import pytest

from conftest import until
from services import echo, pattern, receive_all, serve


@pytest.mark.parametrize("mode", ["bare", "wrapped"])
def test_streams_go_on_where_they_were_after_the_hub_was_killed(world, mode):
    hub = world.hub()
    server, laptop = world.agent(hub, "server"), world.agent(hub, "laptop")
    with serve(echo) as port:
        server.expose(f"127.0.0.1:{port}", "held")
        local = laptop.reach("held", "--pipe", mode)
        socks = [socket.create_connection(("127.0.0.1", local), timeout=60) for _ in range(5)]
        data = [pattern(60_000_000, i) for i in range(5)]
        back = [None] * 5

        def send(i):
            socks[i].sendall(data[i])
            socks[i].shutdown(socket.SHUT_WR)

        def receive(i):
            back[i] = hashlib.sha256(receive_all(socks[i])).digest()

        threads = [threading.Thread(target=f, args=(i,)) for i in range(5) for f in (send, receive)]
        for t in threads:
            t.start()
        for _ in range(3):
            before = laptop.status()["reached"][0]["bytes_in"]
            until(lambda: laptop.status()["reached"][0]["bytes_in"] > before + 1_000_000 or None not in back,
                  "bytes pass")
            hub.kill()
            hub.start()
        for t in threads:
            t.join(120)
        assert back == [hashlib.sha256(d).digest() for d in data]
        for s in socks:
            s.close()


def test_a_hub_that_hangs_is_noticed_within_ten_seconds_and_found_again(world):
    """Its sockets stay open and its kernel answers: only silence tells."""
    hub = world.hub()
    agent = world.agent(hub, "watchful")
    hub.process.send_signal(signal.SIGSTOP)
    try:
        start = time.monotonic()
        until(lambda: agent.status()["state"] != "connected", "the agent notices")
        assert time.monotonic() - start < 13  # ten, and what a busy machine adds
    finally:
        hub.process.send_signal(signal.SIGCONT)
    until(lambda: agent.status()["state"] == "connected", "the agent is back")
