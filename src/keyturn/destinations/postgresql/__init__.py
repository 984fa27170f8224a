"""A PostgreSQL table as a destination. The library's own connections are the listed exception to `egress`: whoever
makes a `Server` gives it addresses that the guard has let through, and nothing here looks a name up.
"""

from __future__ import annotations

from keyturn.destinations.postgresql.destination import PostgresDestination, forget_imports, imports_at
from keyturn.destinations.postgresql.rows import fitting
from keyturn.destinations.postgresql.session import Server, look
from keyturn.destinations.postgresql.target import Place, TableWay

__all__ = ["Place", "PostgresDestination", "Server", "TableWay", "fitting", "forget_imports", "imports_at", "look"]
