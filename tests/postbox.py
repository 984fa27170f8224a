"""A real SMTP server and a real webhook receiver, in threads of this process, with faults to switch on."""

from __future__ import annotations

import json
import ssl
import threading
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

from world import free_port


class Postbox:
    """Keeps what it is sent. `refuse_sender`, `refuse_recipient`: the reply it gives instead."""

    def __init__(self, *, tls: ssl.SSLContext | None = None, password: str | None = None) -> None:
        self.messages: list[Message] = []
        self.refuse_sender = self.refuse_recipient = self.refuse_message = ""
        self._controller = Controller(
            self,
            hostname="127.0.0.1",
            port=free_port(),
            tls_context=tls,
            require_starttls=tls is not None,
            authenticator=(lambda *given: self._known(given[-1], password)) if password else None,
            auth_required=password is not None,
        )

    def __enter__(self) -> Postbox:
        self._controller.start()
        return self

    def __exit__(self, *args: object) -> None:
        self._controller.stop(no_assert=True)

    @property
    def port(self) -> int:
        return self._controller.port

    @property
    def url(self) -> str:
        return f"smtp://127.0.0.1:{self.port}"

    def subjects(self) -> list[str]:
        return [message["Subject"] for message in self.messages]

    async def handle_MAIL(self, server, session, envelope, address, options) -> str:  # noqa: N802
        envelope.mail_from = address
        return self.refuse_sender or "250 OK"

    async def handle_RCPT(self, server, session, envelope, address, options) -> str:  # noqa: N802
        if self.refuse_recipient:
            return self.refuse_recipient
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope) -> str:  # noqa: N802
        if self.refuse_message:
            return self.refuse_message
        self.messages.append(message_from_bytes(envelope.content))
        return "250 OK"

    def _known(self, auth: Any, password: str | None) -> AuthResult:
        right = auth.password == (password or "").encode()
        return AuthResult(success=right, handled=right)


@dataclass
class Got:
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Receiver:
    """Answers with the statuses it is given, the last one for ever."""

    statuses: list[int] = field(default_factory=lambda: [204])
    got: list[Got] = field(default_factory=list)
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    @property
    def types(self) -> list[str]:
        return [got.json["type"] for got in self.got]

    def __enter__(self) -> Receiver:
        box = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                box.got.append(Got({k.lower(): v for k, v in self.headers.items()}, body))
                self.send_response(box.statuses.pop(0) if len(box.statuses) > 1 else box.statuses[0])
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *args: object) -> None:
        self._server.shutdown()
        self._server.server_close()
