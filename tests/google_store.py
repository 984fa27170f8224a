"""Somebody's bucket of Google Cloud Storage: a small program with its JSON API, and the tokens for it, behind a relay.

It checks the signature of each assertion, the token, the rights, the conditions and the ranges of uploads, and answers
as Google documents it. Faults are switched on by who tests.
"""

from __future__ import annotations

import contextlib
import json
import re
import secrets
import threading
import time
from email.parser import BytesParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from joserfc import jwt
from joserfc.jwk import RSAKey

from keyturn.destinations.objects import GcsAccess, GcsBucket
from object_store import send
from warehouse import Relay

_KEY = rsa.generate_private_key(65537, 2048)
PRIVATE_KEY = _KEY.private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
).decode()
ALL = frozenset({"list", "get", "create", "delete"})
_CHUNK = 256 << 10


class GoogleServer:
    """Buckets, accounts, tokens and uploads under way; one for a session of tests."""

    def __init__(self) -> None:
        self.buckets: dict[str, dict[str, dict]] = {}
        self.accounts: dict[str, frozenset[str]] = {}
        self.tokens: dict[str, tuple[str, float]] = {}
        self.sessions: dict[str, dict] = {}
        self.lock = threading.RLock()
        # A function of (method, path) that answers with a status in place of the program, or None; see `Faults`.
        self.fault: Any = None
        # How many bytes are kept of each of the next parts.
        self.keep: list[int] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Asked", (_Asked,), {"google": self}))
        self._server.daemon_threads = True
        self.at = ("127.0.0.1", self._server.server_address[1])
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def put(self, bucket: str, key: str, data: bytes, about: dict) -> dict:
        """Store an object; every one has a generation of its own."""
        with self.lock:
            made = {"data": data, "generation": time.time_ns(), **about}
            self.buckets[bucket][key] = made
            return made


class _Refused(Exception):
    def __init__(self, status: int, reason: str, message: str = "") -> None:
        super().__init__(reason)
        self.status, self.reason, self.message = status, reason, message


class _Asked(BaseHTTPRequestHandler):
    google: GoogleServer
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        pass

    def _any(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
        try:
            fault = self.google.fault and self.google.fault(self.command, self.path)
            if fault == "cut":
                # What came was taken, its answer is lost.
                self._told(parts.path, query, body)
                self.close_connection = True
                return
            if fault:
                raise _Refused(fault, "backendError" if fault >= 500 else "fault")  # noqa: TRY301
            status, headers, said = self._told(parts.path, query, body)
        except _Refused as error:
            said = {"error": {"code": error.status, "message": error.message, "errors": [{"reason": error.reason}]}}
            status, headers = error.status, {}
        data = said if isinstance(said, bytes) else b"" if said is None else json.dumps(said).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **headers, "Content-Length": str(len(data))}.items():
            self.send_header(name, value)
        # Who asked may be killed by then.
        with contextlib.suppress(ConnectionError):
            self.end_headers()
            self.wfile.write(data)

    do_GET = do_POST = do_PUT = do_DELETE = _any  # noqa: N815 - the library's names

    def _told(self, path: str, query: dict, body: bytes) -> tuple[int, dict, Any]:
        if path == "/token":
            return self._token(body)
        with self.google.lock:
            if "upload_id" in query:
                return self._session(query["upload_id"], body)
            found = re.fullmatch(r"(/upload)?/storage/v1/b/([^/]+)/o(?:/([^/]+))?", path)
            if not found:
                raise _Refused(404, "notFound", "Not Found")
            upload, bucket, key = found.groups()
            key = key and unquote(key)
            objects = self.google.buckets.get(bucket)
            right = {"GET": "get" if key else "list", "POST": "create", "DELETE": "delete"}[self.command]
            self._may(right)
            if objects is None:
                raise _Refused(404, "notFound", "The specified bucket does not exist.")
            if upload:
                return self._upload(bucket, query, body)
            if key is None:
                names = [{"name": name} for name in sorted(objects) if name.startswith(query.get("prefix", ""))]
                return 200, {}, {"items": names[: int(query.get("maxResults", 1000))]} if names else {}
            if key not in objects:
                raise _Refused(404, "notFound", f"No such object: {bucket}/{key}")
            return self._object(objects, key, query)

    def _object(self, objects: dict, key: str, query: dict) -> tuple[int, dict, Any]:
        there = objects[key]
        if self.command == "DELETE":
            del objects[key]
            return 204, {}, None
        if query.get("ifGenerationMatch") not in (None, str(there["generation"])):
            raise _Refused(412, "conditionNotMet", "At least one of the pre-conditions you specified did not hold.")
        if query.get("alt") != "media":
            return 200, {}, {"generation": str(there["generation"]), "size": str(len(there["data"])),
                             "metadata": there.get("metadata", {})}  # fmt: skip
        first, last = map(int, self.headers["Range"].removeprefix("bytes=").split("-"))
        return 206, {"Content-Type": "application/octet-stream"}, there["data"][first : last + 1]

    def _upload(self, bucket: str, query: dict, body: bytes) -> tuple[int, dict, Any]:
        if query["uploadType"] == "multipart":
            head = f"Content-Type: {self.headers['Content-Type']}\r\n\r\n".encode()
            about, data = BytesParser().parsebytes(head + body).get_payload()
            made = self.google.put(
                bucket, query["name"], data.get_payload(decode=True), json.loads(about.get_payload())
            )
            return 200, {}, {"generation": str(made["generation"])}
        self._still(bucket, query["name"], query.get("ifGenerationMatch"))
        id_ = f"secret-{secrets.token_hex(16)}"
        self.google.sessions[id_] = {
            "bucket": bucket, "name": query["name"], "only": query.get("ifGenerationMatch"), "data": b"",
            "about": json.loads(body), "done": None,
        }  # fmt: skip
        # As Google does, it names itself, however it was reached.
        return 200, {"Location": f"http://elsewhere.invalid{self.path}&upload_id={id_}"}, None

    def _session(self, id_: str, body: bytes) -> tuple[int, dict, Any]:
        found = self.google.sessions.get(id_)
        if self.command == "DELETE":
            if found is None or found["done"]:
                raise _Refused(404, "notFound")
            del self.google.sessions[id_]
            return 499, {}, None
        if found is None:
            raise _Refused(499, "cancelled")
        if found["done"]:
            return 200, {}, found["done"]
        span, total = self.headers["Content-Range"].removeprefix("bytes ").split("/")
        if span != "*":
            first, last = map(int, span.split("-"))
            assert last - first + 1 == len(body)
            assert first == len(found["data"])
            # All but the last have whole quarters of a mebibyte, else Google keeps less of them; it may anyway.
            assert total != "*" or len(body) % _CHUNK == 0
            body = body[: self.google.keep.pop()] if self.google.keep else body
            found["data"] += body
        if total == "*" or len(found["data"]) < int(total):
            kept = len(found["data"])
            return 308, {"Range": f"bytes=0-{kept - 1}"} if kept else {}, None
        self._still(found["bucket"], found["name"], found["only"])
        made = self.google.put(found["bucket"], found["name"], found["data"], found["about"])
        found["done"] = {"generation": str(made["generation"])}
        return 200, {}, found["done"]

    def _still(self, bucket: str, key: str, only: str | None) -> None:
        there = self.google.buckets[bucket].get(key)
        if only is not None and only != str(there["generation"] if there else 0):
            raise _Refused(412, "conditionNotMet", "At least one of the pre-conditions you specified did not hold.")

    def _may(self, right: str) -> None:
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
        email, ends = self.google.tokens.get(token, (None, 0.0))
        if email is None or time.time() > ends:
            raise _Refused(401, "authError", "Invalid Credentials")
        if right not in self.google.accounts[email]:
            name = f"storage.objects.{right}"
            raise _Refused(403, "forbidden", f"{email} does not have {name} access to the Google Cloud Storage bucket.")

    def _token(self, body: bytes) -> tuple[int, dict, Any]:
        sent = {name: values[0] for name, values in parse_qs(body.decode()).items()}
        assert sent["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer"
        try:
            claims = jwt.decode(sent["assertion"], RSAKey.import_key(PRIVATE_KEY), algorithms=["RS256"]).claims
        except Exception:  # noqa: BLE001 - whatever is wrong with it
            return 400, {}, {"error": "invalid_grant", "error_description": "Invalid JWT Signature."}
        assert claims["aud"].endswith("/token")
        assert claims["scope"].endswith("devstorage.read_write")
        if claims["iss"] not in self.google.accounts or abs(claims["iat"] - time.time()) > 300:
            return 400, {}, {"error": "invalid_grant", "error_description": "Invalid grant: account not found"}
        token = f"ya29.{secrets.token_hex(20)}"
        self.google.tokens[token] = (claims["iss"], time.time() + 3599)
        return 200, {}, {"access_token": token, "expires_in": 3599, "token_type": "Bearer"}


class GoogleStore:
    """A bucket of its own behind a relay of its own, and an account that may do everything there."""

    scheme, writing = "gs", "create"

    def __init__(self, server: GoogleServer) -> None:
        self.server = server
        self.relay = Relay(server.at)
        self.bucket = f"lake-{secrets.token_hex(4)}"
        server.buckets[self.bucket] = {}
        self.secret = self.account(*ALL)

    def account(self, *rights: str, **changes: Any) -> str:
        """A key file of a further account, which may do only that."""
        email = f"importer-{secrets.token_hex(4)}@a-project.iam.gserviceaccount.com"
        self.server.accounts[email] = frozenset(rights)
        return json.dumps({
            "type": "service_account", "project_id": "a-project", "private_key_id": "1", "private_key": PRIVATE_KEY,
            "client_email": email, "token_uri": f"{self.endpoint}/token", **changes,
        }, indent=2)  # fmt: skip

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.relay.port}"

    def settings(self, **changes: Any) -> dict[str, Any]:
        """As the API takes it."""
        return {
            "name": "Lake", "type": "gcs", "url": f"gs://{self.bucket}/tables", "endpoint": self.endpoint,
            "password": self.secret, **changes,
        }  # fmt: skip

    def opened(self, *, without: str | None = None, bucket: str | None = None, **changes: Any) -> GcsBucket:
        """As the services open it; `without` a right."""
        key = self.secret if without is None else self.account(*(ALL - {without}))
        values = {"endpoint": self.endpoint, "account": json.loads(key), "send": send, **changes}
        return GcsBucket(GcsAccess(bucket=bucket or self.bucket, **values))

    @property
    def options(self) -> tuple[str, ...]:
        """As the command line takes it."""
        return "--endpoint", self.endpoint

    @property
    def wrong_secret(self) -> str:
        """The key file of an account that was deleted."""
        return json.dumps({**json.loads(self.secret), "client_email": "gone@a-project.iam.gserviceaccount.com"})

    def secrets(self) -> list[str]:
        """What is to be seen nowhere: each line of the key, tokens, and the ids of uploads."""
        return [*PRIVATE_KEY.splitlines()[1:-1], *self.server.tokens, *self.server.sessions]

    def keys(self) -> list[str]:
        return sorted(self.server.buckets[self.bucket])

    def read(self, key: str) -> bytes:
        return self.server.buckets[self.bucket][key]["data"]

    def write(self, key: str, data: bytes) -> None:
        self.server.put(self.bucket, key, data, {})

    def told(self, key: str) -> tuple[int, str]:
        """(size, the hash in its metadata)."""
        found = self.server.buckets[self.bucket][key]
        return len(found["data"]), found["metadata"]["keyturn-sha256"]

    def uploads(self) -> list[str]:
        """Uploads that were begun and neither ended nor called off."""
        return [item["name"] for item in [*self.server.sessions.values()]
                if item["bucket"] == self.bucket and not item["done"]]  # fmt: skip

    def staged(self, *keys: str) -> list[str]:
        """What `uploads` has of objects whose upload is under way."""
        return [*keys]

    def close(self) -> None:
        self.server.fault = None
        self.relay.cut()
