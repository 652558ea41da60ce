"""Small TCP services the tests stand behind an agent, each in threads of the test process."""
import contextlib
import hashlib
import os
import socket
import socketserver
import threading


@contextlib.contextmanager
def serve(handle, family=socket.AF_INET, address=("127.0.0.1", 0)):
    """handle(socket) for every connection, in a thread. Yields the port (or path)."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self):
            with contextlib.suppress(OSError):
                handle(self.request)

    base = socketserver.ThreadingUnixStreamServer if family == socket.AF_UNIX \
        else socketserver.ThreadingTCPServer

    class Server(base):
        address_family = family
        allow_reuse_address = True
        daemon_threads = True
        request_queue_size = 1024

    with Server(address, Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield address if family == socket.AF_UNIX else server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


def receive_all(sock):
    """Until the peer ends."""
    parts = []
    while part := sock.recv(1 << 18):
        parts.append(part)
    return b"".join(parts)


def receive_exactly(sock, count):
    data = bytearray()
    while len(data) < count:
        part = sock.recv(min(1 << 18, count - len(data)))
        if not part:
            raise EOFError(f"ended after {len(data)} of {count} bytes")
        data += part
    return bytes(data)


def echo(sock):
    while part := sock.recv(1 << 18):
        sock.sendall(part)


def reply_after_end(sock):
    """The answer comes after the client has ended its side: length and hash of what it sent."""
    data = receive_all(sock)
    sock.sendall(f"{len(data)} {hashlib.sha256(data).hexdigest()}\n".encode())


def greet(sock):
    """Speaks first."""
    sock.sendall(b"220 welcome\r\n")
    echo(sock)


def pattern(count, seed=0):
    """`count` bytes in which every position is different from its neighbourhood."""
    block = hashlib.shake_256(str(seed).encode()).digest(1 << 16)
    return (block * (count // len(block) + 1))[:count]


def random_bytes(count):
    return os.urandom(count)
