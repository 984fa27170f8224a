"""The transit engine of HashiCorp Vault as a small program: AES-GCM with versions, tokens, associated data, errors.

It speaks the HTTP API of https://developer.hashicorp.com/vault/api-docs/secret/transit and nothing else.
"""

from __future__ import annotations

import base64
import json
import secrets
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM


class Vault:
    """One key `keyturn` under the mount `transit`; `rotate` adds a version, `sealed` answers 503."""

    def __init__(self, token: str = "hvs.test-token") -> None:
        self.token, self.sealed, self.calls = token, False, []
        self.versions: list[bytes] = [secrets.token_bytes(32)]
        self._server: ThreadingHTTPServer | None = None
        self.port = 0

    @property
    def setting(self) -> str:
        return f"vault-transit:http://127.0.0.1:{self.port}/transit/keyturn"

    def rotate(self) -> None:
        self.versions.append(secrets.token_bytes(32))

    def start(self) -> Vault:
        vault = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                status, told = vault.answer(self.path, self.headers.get("X-Vault-Token"), body)
                raw = json.dumps(told).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(raw)))
                self.end_headers()
                self.wfile.write(raw)

            def log_message(self, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def stop(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def answer(self, path: str, token: str | None, body: dict) -> tuple[int, dict]:
        self.calls.append(path)
        if self.sealed:
            return 503, {"errors": ["Vault is sealed"]}
        if token != self.token:
            return 403, {"errors": ["permission denied"]}
        aad = base64.b64decode(body.get("associated_data", ""))
        if path == "/v1/transit/encrypt/keyturn":
            return 200, {"data": {"ciphertext": self._encrypt(base64.b64decode(body["plaintext"]), aad)}}
        if path == "/v1/transit/decrypt/keyturn":
            try:
                opened = self._decrypt(body["ciphertext"], aad)
            except (InvalidTag, ValueError, IndexError):
                return 400, {"errors": ["cipher: message authentication failed"]}
            return 200, {"data": {"plaintext": base64.b64encode(opened).decode()}}
        return 404, {"errors": [f"no handler for route {path.removeprefix('/v1/')!r}"]}

    def _encrypt(self, plaintext: bytes, aad: bytes) -> str:
        nonce = secrets.token_bytes(12)
        raw = nonce + AESGCM(self.versions[-1]).encrypt(nonce, plaintext, aad)
        return f"vault:v{len(self.versions)}:{base64.b64encode(raw).decode()}"

    def _decrypt(self, ciphertext: str, aad: bytes) -> bytes:
        _, version, text = ciphertext.split(":")
        raw = base64.b64decode(text)
        return AESGCM(self.versions[int(version[1:]) - 1]).decrypt(raw[:12], raw[12:], aad)
