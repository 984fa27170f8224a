"""The name under which a process holds leases: the same again after a crash, and never that of two that live.

Each process of a data folder holds a numbered file locked as long as it lives; the name is in the file.
"""

from __future__ import annotations

import fcntl
import secrets
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from keyturn.errors import Conflict

_MOST = 1000


@dataclass(frozen=True, slots=True)
class Owner:
    """The name, and the open file whose lock keeps it ours."""

    name: str
    file: IO[str]


def take_owner(data_dir: Path) -> Owner:
    """The first name of the folder that no living process has."""
    folder = data_dir / "owners"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for number in range(_MOST):
        file = (folder / str(number)).open("a+", encoding="utf-8")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.close()
            continue
        file.seek(0)
        name = file.read().strip()
        if not name:
            name = f"{socket.gethostname()}-{secrets.token_hex(6)}"
            file.write(name)
            file.flush()
        return Owner(name, file)
    raise Conflict(f"{_MOST} processes use {data_dir} already. Give each machine a data folder of its own.")
