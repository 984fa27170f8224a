"""Mail out: one SMTP server that the operator named, over TLS, each message under a deadline in a thread of few.

Plain SMTP is spoken to loopback addresses and to hosts the operator allows; a password never goes in the clear.
"""

from __future__ import annotations

import asyncio
import smtplib
import socket
import ssl
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.utils import formataddr, formatdate
from pathlib import Path
from typing import Literal
from urllib.parse import unquote, urlsplit

import structlog

from keyturn import redaction
from keyturn.egress.guard import AllowList
from keyturn.egress.trust import tls_context
from keyturn.errors import Invalid, UpstreamError

log = structlog.get_logger(__name__)

_PORTS = {"smtp": 587, "smtps": 465}
_SILENCE_SECONDS = 15.0
_DEADLINE_SECONDS = 60.0
_THREADS = 2
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True)
class MailSettings:
    """The mail server: `smtps://` is TLS from the start, `smtp://` is STARTTLS. `sender` is the From address."""

    host: str
    port: int
    tls: Literal["starttls", "implicit"]
    sender: str
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    may_be_plain: bool = False

    @classmethod
    def parse(cls, url: str, sender: str, allowed: AllowList) -> MailSettings:
        """From `smtp[s]://[user:password@]host[:port]`. Raises `Invalid` without repeating the value."""
        at = "KEYTURN_SMTP_URL"
        wrong = Invalid(f"{at} is smtp://user:password@host:587, or smtps:// for TLS from the start.", at=at)
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError:
            raise wrong from None
        if parts.scheme not in _PORTS or not host or parts.path.strip("/") or parts.query or parts.fragment:
            raise wrong
        port = port or _PORTS[parts.scheme]
        password = None if parts.password is None else unquote(parts.password)
        redaction.remember(password)
        return cls(
            host=host,
            port=port,
            tls="implicit" if parts.scheme == "smtps" else "starttls",
            sender=sender,
            username=None if parts.username is None else unquote(parts.username),
            password=password,
            may_be_plain=host in _LOOPBACK or allowed.allows(host, port),
        )

    @property
    def address(self) -> str:
        """`host:port`."""
        return f"{self.host}:{self.port}"


class Mailer:
    """Sends mail; without settings there is no mail server, and `settings` is what to ask."""

    def __init__(self, settings: MailSettings | None, *, ca_file: Path | None = None) -> None:
        self.settings = settings
        self._ca_file = ca_file
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="mail")

    async def send(self, *, to: str, subject: str, text: str, message_id: str) -> None:
        """Hand one message to the mail server. `message_id` stays the same when it is sent again.

        Raises `UpstreamError`, whose details have `permanent=True` when trying again is of no use, and
        `Invalid` when there is no mail server.
        """
        if self.settings is None:
            raise Invalid("No mail server is set up. The operator sets KEYTURN_SMTP_URL.")
        message = _message(self.settings, to, subject, text, message_id)
        loop = asyncio.get_running_loop()
        sent = loop.run_in_executor(self._threads, _send, self.settings, message, self._ca_file)
        try:
            await asyncio.wait_for(asyncio.shield(sent), _DEADLINE_SECONDS)
        except TimeoutError:
            sent.add_done_callback(lambda done: done.exception())
            raise UpstreamError(f"The mail server {self.settings.address} did not answer in time.") from None

    def close(self) -> None:
        """Take no more; what is under way ends by itself."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def _message(settings: MailSettings, to: str, subject: str, text: str, message_id: str) -> EmailMessage:
    message = EmailMessage()
    message["From"] = formataddr(("Keyturn", settings.sender))
    message["To"] = to
    message["Subject"] = redaction.text(subject, limit=200)
    message["Date"] = formatdate(usegmt=True)
    message["Message-ID"] = f"<{message_id}@{settings.sender.rpartition('@')[2]}>"
    # Nobody's out-of-office answer is of use here (RFC 3834).
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(text)
    return message


def _send(settings: MailSettings, message: EmailMessage, ca_file: Path | None) -> None:
    try:
        server = _connected(settings, ca_file)
    except (OSError, smtplib.SMTPException) as error:
        raise _failed(settings, error) from error
    try:
        _greet(settings, server, ca_file)
        # By name, so that an address that reads like a list is one address all the same.
        server.send_message(message, from_addr=settings.sender, to_addrs=[message["To"]])
    except (OSError, smtplib.SMTPException) as error:
        raise _failed(settings, error) from error
    finally:
        with suppress(OSError, smtplib.SMTPException):
            server.quit()


def _connected(settings: MailSettings, ca_file: Path | None) -> smtplib.SMTP:
    # Our name is said by address: a look-up of it can take seconds, and no mail server wants it.
    name = "[127.0.0.1]"
    if settings.tls == "implicit":
        context = tls_context(ca_file)
        return smtplib.SMTP_SSL(
            settings.host, settings.port, local_hostname=name, timeout=_SILENCE_SECONDS, context=context
        )
    return smtplib.SMTP(settings.host, settings.port, local_hostname=name, timeout=_SILENCE_SECONDS)


def _greet(settings: MailSettings, server: smtplib.SMTP, ca_file: Path | None) -> None:
    server.ehlo_or_helo_if_needed()
    secure = settings.tls == "implicit"
    if not secure and server.has_extn("starttls"):
        server.starttls(context=tls_context(ca_file))
        server.ehlo()
        secure = True
    if not secure and (settings.password is not None or not settings.may_be_plain):
        raise UpstreamError(
            f"The mail server {settings.address} offers no encryption (STARTTLS). Use smtps://"
            + (", or a server that needs no password." if settings.may_be_plain else
               ", or allow it without in KEYTURN_ALLOWED_PRIVATE_HOSTS.")
        )  # fmt: skip
    if settings.username is not None and settings.password is not None:
        server.login(settings.username, settings.password)


def _failed(settings: MailSettings, error: Exception) -> UpstreamError:
    """The sentence of a failure, and whether trying again is of no use."""
    if isinstance(error, smtplib.SMTPAuthenticationError):
        return UpstreamError("The mail server refused the user name or password of KEYTURN_SMTP_URL.")
    if isinstance(error, smtplib.SMTPSenderRefused):
        return UpstreamError(f"The mail server refused the sender address: {_reply(error.smtp_error)}")
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        code, reply = next(iter(error.recipients.values()))
        return UpstreamError(
            f"The mail server refused the recipient address: {_reply(reply)}", permanent=500 <= int(code) < 600
        )
    if isinstance(error, smtplib.SMTPResponseException):
        return UpstreamError(f"The mail server {settings.address} refused: {_reply(error.smtp_error)}")
    if isinstance(error, ssl.SSLError):
        reason = redaction.text(getattr(error, "verify_message", None) or error.reason or error, limit=120)
        return UpstreamError(f"We could not verify the certificate of the mail server {settings.address} ({reason}).")
    if isinstance(error, socket.gaierror):
        return UpstreamError(f"We could not find the mail server {settings.host}. Check KEYTURN_SMTP_URL.")
    if isinstance(error, TimeoutError):
        return UpstreamError(f"The mail server {settings.address} did not answer in time.")
    if isinstance(error, ConnectionRefusedError):
        return UpstreamError(f"The mail server {settings.address} refused the connection. Is it running?")
    return UpstreamError(f"The mail server {settings.address} broke the connection.")


def _reply(reply: bytes | str) -> str:
    words = reply.decode("utf-8", "replace") if isinstance(reply, bytes) else reply
    return redaction.text(" ".join(words.split()), limit=200)
