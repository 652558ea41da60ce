"""Ed25519 identities for agents that are written in a test (docs/protocol.md §1.2)."""
import hashlib
import os
import subprocess
import tempfile

PKCS8 = bytes.fromhex("302e020100300506032b657004220420")  # RFC 8410 section 7, up to the private key


class Identity:
    def __init__(self):
        self.private = PKCS8 + os.urandom(32)
        self.public = self.openssl("pkey", "-pubout", "-outform", "DER")[-32:].hex()

    def openssl(self, command, *options):
        with tempfile.NamedTemporaryFile() as key:
            key.write(self.private)
            key.flush()
            return subprocess.run(["openssl", command, "-inform" if command == "pkey" else "-keyform", "DER",
                                   "-in" if command == "pkey" else "-inkey", key.name, *options],
                                  check=True, capture_output=True).stdout

    def prove(self, api_key, public=None):
        """`public`: another one than our own."""
        with tempfile.NamedTemporaryFile() as text:
            text.write(b"pconnect-enrol-1" + hashlib.sha256(api_key.encode()).digest()
                       + bytes.fromhex(public or self.public))
            text.flush()
            return self.openssl("pkeyutl", "-sign", "-rawin", "-in", text.name).hex()
