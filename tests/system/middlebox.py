"""A machine between agent and hub that terminates TLS, as company proxies do; it can also lie.

Forwards every connection to the real hub. With `lie`, every JSON message from the hub on a control link goes through
lie(message) before the agent sees it.
"""
import contextlib
import json
import socket
import socketserver
import ssl
import struct
import subprocess
import threading


def make_certificate(folder, name):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                    "-subj", f"/CN={name}", "-days", "30", "-keyout", folder / f"{name}.key", "-out",
                    folder / f"{name}.crt"], check=True, capture_output=True)
    return folder / f"{name}.crt", folder / f"{name}.key"


def read_head(sock):
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        byte = sock.recv(1)
        if not byte:
            raise EOFError
        head += byte
    return head


def copy(source, target):
    with contextlib.suppress(OSError):
        while part := source.recv(1 << 16):
            target.sendall(part)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)


def read_exactly(sock, count):
    data = b""
    while len(data) < count:
        part = sock.recv(count - len(data))
        if not part:
            raise EOFError
        data += part
    return data


def copy_messages(source, target, lie):
    """Unmasked WebSocket frames, text messages rewritten."""
    with contextlib.suppress(OSError, EOFError):
        while True:
            first, length = read_exactly(source, 2)
            if length == 126:
                length, = struct.unpack(">H", read_exactly(source, 2))
            elif length == 127:
                length, = struct.unpack(">Q", read_exactly(source, 8))
            payload = read_exactly(source, length)
            if first == 0x81:
                payload = json.dumps(lie(json.loads(payload))).encode()
            head = bytes([first]) + (bytes([len(payload)]) if len(payload) < 126
                                     else b"\x7e" + struct.pack(">H", len(payload)))
            target.sendall(head + payload)
    with contextlib.suppress(OSError):
        target.close()


@contextlib.contextmanager
def middlebox(folder, hub, lie=None):
    """Yields an object with .url and .fingerprint, as a hub has them; .modes collects what pipes became."""
    cert, key = make_certificate(folder, "middlebox")
    inside = ssl.create_default_context()
    inside.check_hostname = False
    inside.verify_mode = ssl.CERT_NONE
    outside = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    outside.load_cert_chain(cert, key)
    outside.set_alpn_protocols(["http/1.1"])
    modes = []

    def handle(raw):
        with outside.wrap_socket(raw, server_side=True) as agent, \
                inside.wrap_socket(socket.create_connection(("127.0.0.1", hub.port))) as up:
            head = read_head(agent)
            up.sendall(head)
            if b"Upgrade:" not in head:
                threading.Thread(target=copy, args=(agent, up), daemon=True).start()
                copy(up, agent)
                return
            answer = read_head(up)
            if head.startswith(b"GET /v1/pipe"):
                modes.append("bare" if b"pconnect-pipe\r\n" in answer.split(b"Upgrade:")[-1][:20] else "wrapped")
            agent.sendall(answer)
            back = threading.Thread(target=copy, args=(agent, up), daemon=True)
            back.start()
            if lie and head.startswith(b"GET /v1/control"):
                copy_messages(up, agent, lie)
            else:
                copy(up, agent)
            back.join(30)

    class Handler(socketserver.BaseRequestHandler):
        def handle(self):
            with contextlib.suppress(OSError, EOFError):
                handle(self.request)

    class Server(socketserver.ThreadingTCPServer):
        allow_reuse_address = True
        daemon_threads = True

    with Server(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

        class Box:
            port = server.server_address[1]
            url = f"https://127.0.0.1:{port}"
            fingerprint = "sha256:" + subprocess.run(
                ["openssl", "x509", "-in", cert, "-noout", "-fingerprint", "-sha256"], capture_output=True,
                text=True, check=True).stdout.strip().split("=")[1].replace(":", "").lower()

            def key(self, workspace="acme"):
                return hub.key(workspace)

        Box.modes = modes
        try:
            yield Box()
        finally:
            server.shutdown()
