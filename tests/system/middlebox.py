"""A machine between agent and hub that terminates TLS, as company proxies do; it can also lie.

Forwards every connection to the real hub. With `lie`, every JSON message from the hub on a control link goes through
lie(message) before the agent sees it. One asyncio loop in a thread: a TLS socket must not be used by two threads at once.
"""
import asyncio
import contextlib
import json
import ssl
import struct
import subprocess
import threading


def make_certificate(folder, name):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                    "-subj", f"/CN={name}", "-days", "30", "-keyout", folder / f"{name}.key", "-out",
                    folder / f"{name}.crt"], check=True, capture_output=True)
    return folder / f"{name}.crt", folder / f"{name}.key"


def fingerprint(cert):
    out = subprocess.run(["openssl", "x509", "-in", cert, "-noout", "-fingerprint", "-sha256"], capture_output=True,
                         text=True, check=True).stdout
    return "sha256:" + out.strip().split("=")[1].replace(":", "").lower()


async def copy(source, target):
    while part := await source.read(1 << 16):
        target.write(part)
        await target.drain()


async def copy_messages(source, target, lie):
    """Unmasked WebSocket frames, text messages rewritten."""
    while True:
        first, length = await source.readexactly(2)
        if length == 126:
            length, = struct.unpack(">H", await source.readexactly(2))
        elif length == 127:
            length, = struct.unpack(">Q", await source.readexactly(8))
        payload = await source.readexactly(length)
        if first == 0x81:
            payload = json.dumps(lie(json.loads(payload))).encode()
        head = bytes([first]) + (bytes([len(payload)]) if len(payload) < 126
                                 else b"\x7e" + struct.pack(">H", len(payload)))
        target.write(head + payload)
        await target.drain()


class Middlebox:
    """Has .url and .fingerprint as a hub has them; .modes collects what pipes became."""

    def __init__(self, folder, hub, lie):
        cert, key = make_certificate(folder, "middlebox")
        self.hub, self.lie, self.modes = hub, lie, []
        self.fingerprint = fingerprint(cert)
        self.inside = ssl.create_default_context()
        self.inside.check_hostname = False
        self.inside.verify_mode = ssl.CERT_NONE
        self.outside = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.outside.load_cert_chain(cert, key)
        self.outside.set_alpn_protocols(["http/1.1"])

    def key(self, workspace="acme"):
        return self.hub.key(workspace)

    async def listen(self):
        server = await asyncio.start_server(self.serve, "127.0.0.1", 0, ssl=self.outside)
        self.port = server.sockets[0].getsockname()[1]
        self.url = f"https://127.0.0.1:{self.port}"

    async def serve(self, agent, to_agent):
        to_hub = None
        with contextlib.suppress(OSError, EOFError, ssl.SSLError):
            hub, to_hub = await asyncio.open_connection("127.0.0.1", self.hub.port, ssl=self.inside)
            await self.forward(agent, to_agent, hub, to_hub)
        for writer in (to_agent, to_hub):
            if writer:
                writer.close()

    async def forward(self, agent, to_agent, hub, to_hub):
        request = await agent.readuntil(b"\r\n\r\n")
        to_hub.write(request)
        lies = None
        if b"Upgrade:" in request:
            answer = await hub.readuntil(b"\r\n\r\n")
            if request.startswith(b"GET /v1/pipe"):
                self.modes.append("bare" if b"Upgrade: pconnect-pipe" in answer else "wrapped")
            lies = self.lie if request.startswith(b"GET /v1/control") else None
            to_agent.write(answer)
        ways = [asyncio.ensure_future(copy(agent, to_hub)),
                asyncio.ensure_future(copy_messages(hub, to_agent, lies) if lies else copy(hub, to_agent))]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)


@contextlib.contextmanager
def middlebox(folder, hub, lie=None):
    box = Middlebox(folder, hub, lie)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        asyncio.run_coroutine_threadsafe(box.listen(), loop).result(30)
        yield box
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        for task in asyncio.all_tasks(loop):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                loop.run_until_complete(task)
        loop.close()
