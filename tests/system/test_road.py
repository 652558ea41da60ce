"""The road of a byte through two agents and the hub, in every dress of the pipe."""
import concurrent.futures
import contextlib
import hashlib
import socket
import subprocess
import threading
import time

import pytest

from conftest import Failed, can_connect, free_port, rss, until
from services import echo, greet, pattern, receive_all, receive_exactly, reply_after_end, serve


def connect(port, host="127.0.0.1", timeout=30):
    return socket.create_connection((host, port), timeout=timeout)


@pytest.fixture(scope="module")
def echo_port(server, laptop):
    with serve(echo) as port:
        server.expose(f"127.0.0.1:{port}", "echo")
        yield laptop.reach("echo")


def exchange(port, data, host="127.0.0.1"):
    """Sends from one thread while receiving in this one; what comes back."""
    with connect(port, host) as s:
        def send():
            with contextlib.suppress(OSError):  # a reset is seen where we read
                s.sendall(data)
                s.shutdown(socket.SHUT_WR)

        sender = threading.Thread(target=send)
        sender.start()
        try:
            return receive_all(s)
        finally:
            sender.join()


def works(port, data):
    """Whether an exchange goes through now; what is not ready yet may reset the client."""
    try:
        return exchange(port, data) == data
    except OSError:
        return False


@pytest.mark.parametrize("size", [0, 1, 1000, 65535, 65536, 262144, 262145, 5_000_000])
def test_bytes_come_back_as_they_were_sent(echo_port, size):
    data = pattern(size, size)
    assert exchange(echo_port, data) == data


def test_both_loopback_addresses_are_served(echo_port):
    assert exchange(echo_port, b"over IPv6", "::1") == b"over IPv6"


@pytest.mark.parametrize("mode", ["bare", "wrapped", "base64"])
def test_every_dress_of_the_pipe_carries_the_same_bytes(world, hub, server, mode):
    reacher = world.agent(hub, f"laptop-{mode}")
    with serve(echo) as port:
        server.expose(f"127.0.0.1:{port}", f"echo-{mode}")
        answer = reacher.json("reach", f"echo-{mode}", "--port", free_port(), "--pipe", mode)
        assert answer["pipe_mode"] == mode
        data = pattern(20_000_000, 7)
        assert hashlib.sha256(exchange(answer["port"], data)).digest() == hashlib.sha256(data).digest()


def test_the_reply_arrives_after_the_client_has_ended_its_side(server, laptop):
    with serve(reply_after_end) as port:
        server.expose(f"127.0.0.1:{port}", "half-close")
        local = laptop.reach("half-close")
        data = pattern(3_000_000, 3)
        with connect(local) as s:
            s.sendall(data)
            s.shutdown(socket.SHUT_WR)
            assert receive_all(s).decode().split() == [str(len(data)), hashlib.sha256(data).hexdigest()]


def test_a_server_that_speaks_first_is_heard(server, laptop):
    with serve(greet) as port:
        server.expose(f"127.0.0.1:{port}", "greeter")
        with connect(laptop.reach("greeter")) as s:
            assert receive_exactly(s, 13) == b"220 welcome\r\n"
            s.sendall(b"HELO")
            assert receive_exactly(s, 4) == b"HELO"


def test_a_server_that_ends_first_lets_the_client_finish(server, laptop):
    """The other half-close: EOF from the service, then the client still writes."""
    heard = []
    done = threading.Event()

    def handle(sock):
        sock.sendall(b"bye")
        sock.shutdown(socket.SHUT_WR)
        heard.append(receive_all(sock))
        done.set()

    with serve(handle) as port:
        server.expose(f"127.0.0.1:{port}", "ends-first")
        with connect(laptop.reach("ends-first")) as s:
            assert receive_all(s) == b"bye"
            s.sendall(b"still here")
            s.shutdown(socket.SHUT_WR)
            assert done.wait(20)
    assert heard == [b"still here"]


def test_2000_short_connections(echo_port):
    for i in range(2000):
        with connect(echo_port) as s:
            message = b"%d" % i
            s.sendall(message)
            assert receive_exactly(s, len(message)) == message


def test_200_connections_at_once(echo_port):
    barrier = threading.Barrier(200)

    def one(i):
        data = pattern(50_000, i)
        with connect(echo_port) as s:
            barrier.wait(30)
            s.sendall(data)
            s.shutdown(socket.SHUT_WR)
            return receive_all(s) == data

    with concurrent.futures.ThreadPoolExecutor(200) as pool:
        assert all(pool.map(one, range(200)))


def test_new_connections_get_through_beside_heavy_uploads(server, laptop):
    """What fills the session with data must not turn away who comes new."""
    def swallow(sock):
        if sock.recv(1) == b"e":
            echo(sock)
        while sock.recv(1 << 18):
            pass

    with serve(swallow) as port:
        server.expose(f"127.0.0.1:{port}", "busy")
        local = laptop.reach("busy")
        over = threading.Event()

        def upload():
            block = pattern(1 << 18)
            with connect(local) as s, contextlib.suppress(OSError):
                while not over.is_set():
                    s.sendall(block)

        heavy = [threading.Thread(target=upload) for _ in range(4)]
        for t in heavy:
            t.start()
        try:
            for _ in range(200):
                with connect(local) as s:
                    s.sendall(b"e!")
                    assert receive_exactly(s, 1) == b"!"
        finally:
            over.set()
            for t in heavy:
                t.join()


def test_ipv6_and_unix_targets(server, laptop, tmp_path):
    with serve(echo, socket.AF_INET6, ("::1", 0)) as port:
        server.expose(f"[::1]:{port}", "over-ipv6")
        assert exchange(laptop.reach("over-ipv6"), b"six") == b"six"
    path = str(tmp_path / "s.sock")
    with serve(echo, socket.AF_UNIX, path):
        server.expose(f"unix:{path}", "over-unix")
        assert exchange(laptop.reach("over-unix"), b"uds") == b"uds"


def test_a_name_as_target(server, laptop):
    with serve(echo) as port:
        server.expose(f"localhost:{port}", "by-name")
        assert exchange(laptop.reach("by-name"), b"name") == b"name"


def test_a_target_that_restarts_is_found_again(server, laptop):
    port = free_port()
    server.expose(f"127.0.0.1:{port}", "restarts")
    local = laptop.reach("restarts")

    def fails():
        with connect(local) as s:
            try:
                s.sendall(b"x")
                return receive_all(s) == b""
            except ConnectionError:
                return True

    assert fails()
    for _ in range(2):
        with serve(echo, address=("127.0.0.1", port)):
            assert exchange(local, b"again") == b"again"
        assert fails()


def test_a_refused_target_resets_the_client_at_once(server, laptop):
    server.expose(f"127.0.0.1:{free_port()}", "nobody")
    with connect(laptop.reach("nobody")) as s:
        start = time.monotonic()
        with pytest.raises(ConnectionResetError):
            while s.recv(1):
                pass
        assert time.monotonic() - start < 5


def test_a_target_that_resets_resets_the_client(server, laptop):
    def handle(sock):
        sock.recv(1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        sock.close()

    with serve(handle) as port:
        server.expose(f"127.0.0.1:{port}", "resets")
        with connect(laptop.reach("resets")) as s:
            s.sendall(b"x")
            with pytest.raises(ConnectionResetError):
                while s.recv(1):
                    pass


def test_two_services_and_both_directions_at_once(world, hub, server, laptop):
    """Each agent exposes and reaches; names are found whoever has them."""
    with serve(echo) as one, serve(greet) as two:
        server.expose(f"127.0.0.1:{one}", "from-server")
        laptop.expose(f"127.0.0.1:{two}", "from-laptop")
        assert exchange(laptop.reach("from-server"), b"1") == b"1"
        with connect(server.reach("from-laptop")) as s:
            assert receive_exactly(s, 13) == b"220 welcome\r\n"


def test_data_sent_before_the_target_is_connected_is_delivered(server, laptop):
    """The listener's queue is full and drains later; nothing the client sent meanwhile is lost."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(16)
        server.expose(f"127.0.0.1:{listener.getsockname()[1]}", "slow-accept")
        local = laptop.reach("slow-accept")
        data = pattern(100_000, 9)
        with connect(local) as s:
            s.sendall(data)
            s.shutdown(socket.SHUT_WR)
            listener.settimeout(20)
            found = False
            while not found:  # the diagnostics of reach have connected too
                peer, _ = listener.accept()
                with peer:
                    peer.settimeout(20)
                    found = receive_all(peer) == data


def test_a_stalled_reader_costs_its_window_and_slows_nobody(world, hub, server, laptop):
    def pour(sock):
        block = pattern(1 << 18)
        while True:
            sock.sendall(block)

    with serve(pour) as port:
        server.expose(f"127.0.0.1:{port}", "pour")
        local = laptop.reach("pour")

        def speed(seconds):
            with connect(local) as s:
                end, count = time.monotonic() + seconds, 0
                while time.monotonic() < end:
                    count += len(s.recv(1 << 18))
            return count / seconds

        alone = speed(3)
        before = {p: rss(p) for p in (hub.process.pid, server.pid, laptop.pid)}
        with connect(local) as stalled:
            stalled.recv(1)
            beside = [speed(3) for _ in range(3)]
            time.sleep(30 - 9)
            after = {p: rss(p) for p in before}
        # One window in each agent, and what the allocator keeps: far from what 30 s of data would be.
        for pid, memory in after.items():
            assert memory < before[pid] + 64 * 1024 * 1024, (pid, before[pid], memory)
        assert max(beside) > 0.5 * alone, (alone, beside)


def test_stdio_is_the_stream(server, laptop):
    with serve(reply_after_end) as port:
        server.expose(f"127.0.0.1:{port}", "stdio")
        data = pattern(2_000_000, 4)
        done = subprocess.run(laptop.command("reach", "stdio", "--stdio"), input=data,
                              capture_output=True, timeout=60, env=laptop.env)
        assert done.returncode == 0, done.stderr
        assert done.stdout.split()[1].decode() == hashlib.sha256(data).hexdigest()


def test_unreach_and_unexpose_take_the_service_away(server, laptop):
    with serve(echo) as port:
        server.expose(f"127.0.0.1:{port}", "fleeting")
        local = laptop.reach("fleeting")
        assert exchange(local, b"x") == b"x"
        laptop.json("unreach", "fleeting")
        until(lambda: not can_connect(local), "the local port is closed")
        server.json("unexpose", "fleeting")
        with pytest.raises(Failed) as failure:
            laptop.reach("fleeting")
        assert failure.value.code == 4


def test_exposed_and_reached_services_come_back_with_the_agent(server, world, hub):
    reacher = world.agent(hub, "restarts")
    with serve(echo) as port:
        server.expose(f"127.0.0.1:{port}", "kept")
        local = reacher.reach("kept")
        assert exchange(local, b"1") == b"1"
        assert reacher.down().returncode == 0
        assert not can_connect(local)
        reacher.up()
        until(lambda: can_connect(local), "the port is back")
        until(lambda: works(local, b"2"), "the service is back")


def test_the_hub_restarts_and_everything_comes_back(world):
    hub = world.hub()
    a, b = world.agent(hub, "a"), world.agent(hub, "b")
    with serve(echo) as port:
        a.expose(f"127.0.0.1:{port}", "back")
        local = b.reach("back")
        assert exchange(local, b"1") == b"1"
        hub.kill()
        hub.start()
        until(lambda: b.status()["state"] == "connected" and a.status()["state"] == "connected",
              "both agents are back")
        until(lambda: works(local, b"2"), "new connections go through")
