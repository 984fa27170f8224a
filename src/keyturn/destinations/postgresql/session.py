"""One guarded connection to somebody's PostgreSQL, its transactions, and its errors in our words."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from keyturn import redaction
from keyturn.destinations.destination import Away
from keyturn.errors import Invalid, KeyturnError, Unavailable

if TYPE_CHECKING:
    import psycopg

Tls = Literal["verify-full", "require", "disable"]
CONNECT_SECONDS = 5
# Nobody is held up for longer by a table that somebody locked, nor by a process of ours that stands still.
_EACH_TRANSACTION = (
    "set local lock_timeout = '15s'; set local idle_in_transaction_session_timeout = '30s'; "
    "set local timezone = 'UTC'; set local datestyle = 'ISO'; set local search_path = pg_catalog"
)
# Classes and codes of SQLSTATE that time, or the server's operator, mends; everything else is about the rows.
_PASSING_CLASSES = ("08", "53", "57", "58", "40")
_PASSING = frozenset({"55P03", "25006", "25P03", "25P04", "XX000"})
_REFUSED = ("28", "3D")


@dataclass(frozen=True, slots=True)
class Server:
    """Where to, as whom, and how safely. `addresses()` looks the host up by the guard; raises what it refuses with."""

    host: str
    port: int
    database: str
    user: str
    password: str = field(repr=False)
    tls: Tls
    addresses: Callable[[], list[str]] = field(repr=False)
    ca_file: Path | None = None


class Session:
    """A connection that is opened when first needed. Every error comes out as `Away`, or as one of ours."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self._connection: psycopg.Connection[Any] | None = None

    @contextlib.contextmanager
    def transaction(self) -> Iterator[psycopg.Connection[Any]]:
        """One transaction, committed when the block ends well. Raises `Away`, `Invalid`, `UpstreamError`."""
        with _told(self.server):
            connection = self._connected()
            try:
                with connection.transaction():
                    connection.execute(_EACH_TRANSACTION)
                    yield connection
            except BaseException:
                if connection.broken:
                    self.close()
                raise

    def interrupt(self) -> None:
        """Ask the server to end what another thread is waiting for."""
        connection = self._connection
        if connection is not None and not connection.closed:
            with contextlib.suppress(Exception):  # it may be over, or the server gone: both are an end
                connection.cancel_safe(timeout=2.0)

    def close(self) -> None:
        """Give the connection back."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(Exception):  # a connection that is broken already
                connection.close()

    def _connected(self) -> psycopg.Connection[Any]:
        if self._connection is None or self._connection.closed:
            self._connection = _connect(self.server)
        return self._connection


def look(server: Server, schema: str) -> str:
    """Connect once, and see whether tables may be made. Answers the server's version. Raises as a session does."""
    session = Session(server)
    try:
        with session.transaction() as tx:
            words = (
                "select current_setting('server_version'), has_database_privilege(current_database(), 'TEMP'), "
                "coalesce((select has_schema_privilege(oid, 'CREATE') from pg_namespace where nspname = %s), false)"
            )
            version, temporary, may_create = tx.execute(words, (schema,)).fetchone() or ("", False, False)
    finally:
        session.close()
    user = server.user
    if not may_create:
        raise Invalid(
            f"{user} may not make tables in the schema {schema}, or there is none. Grant it: "
            f'create schema if not exists "{schema}"; grant usage, create on schema "{schema}" to "{user}"',
            at="schema",
        )
    if not temporary:
        raise Invalid(
            f"{user} may not make temporary tables. Grant it: "
            f'grant temporary on database "{server.database}" to "{user}"',
            at="user",
        )
    return str(version)


def _connect(server: Server) -> psycopg.Connection[Any]:
    try:
        import psycopg
    except ImportError:
        raise Unavailable("PostgreSQL needs the extra: install keyturn[postgres] on the server.") from None
    addresses = server.addresses()
    count = len(addresses)
    parameters: dict[str, Any] = {
        "host": ",".join([server.host] * count),
        # Looked up and let through by the guard: the library connects to these, and asks no name again.
        "hostaddr": ",".join(addresses),
        "port": ",".join([str(server.port)] * count),
        "dbname": server.database,
        "user": server.user,
        "password": server.password,
        "connect_timeout": CONNECT_SECONDS,
        "application_name": "keyturn",
        "keepalives_idle": 5,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "tcp_user_timeout": 20_000,
        "sslmode": server.tls,
        # What lies in the home or the environment of the server's own account is nobody's here.
        "passfile": "/dev/null",
        "sslcertmode": "disable",
        "gssencmode": "disable",
        "options": "",
    }
    if server.tls == "verify-full":
        parameters["sslrootcert"] = str(server.ca_file) if server.ca_file else "system"
    else:
        parameters["require_auth"] = "!password"
    return psycopg.connect(autocommit=True, prepare_threshold=None, **parameters)


@contextlib.contextmanager
def _told(server: Server) -> Iterator[None]:
    try:
        import psycopg
    except ImportError:
        raise Unavailable("PostgreSQL needs the extra: install keyturn[postgres] on the server.") from None
    try:
        yield
    except KeyturnError:
        raise
    except psycopg.Error as error:
        raise _in_our_words(error, server) from None


def _in_our_words(error: psycopg.Error, server: Server) -> Exception:
    """What happened, never with a value out of a row: the server's first sentence, not its details."""
    import psycopg

    state, said = error.sqlstate or "", _sentence(error)
    if state.startswith(_REFUSED) or (not state and _is_refusal(said)):
        return Invalid(
            f"{server.host} does not let {server.user} in ({said}). A Workspace Admin can mend the destination.",
            at="destination.destination_id",
        )
    if state.startswith(_PASSING_CLASSES) or state in _PASSING:
        return Away(f"{server.host} cannot take rows just now ({said}).")
    if not state and isinstance(error, psycopg.OperationalError | psycopg.InterfaceError):
        return Away(f"{server.host} is not reachable ({said}).")
    return Invalid(f"The database refused the rows ({said}).", at="destination.table")


def _is_refusal(said: str) -> bool:
    """A server that refuses a sign-in says so while connecting, where the library keeps no code."""
    words = ("authentication failed", "no password supplied", "no pg_hba.conf entry", "does not exist", "certificate")
    return any(word in said for word in words)


def _sentence(error: psycopg.Error) -> str:
    said = error.diag.message_primary or (str(error).strip().splitlines() or [type(error).__name__])[-1]
    return redaction.text(said.strip().removeprefix("FATAL:").strip().rstrip("."), limit=200)
