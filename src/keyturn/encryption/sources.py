"""Where keys come from: a file, the environment, or a command that prints them. It knows what a key looks like."""

from __future__ import annotations

import os
import secrets
import shlex
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from keyturn import redaction
from keyturn.encryption.keyring import Keyring, encode_key, new_key, parse_keys
from keyturn.errors import Conflict, Invalid

_COMMAND_SECONDS = 30.0
LOOK_SECONDS = 1.0
# A command that prints keys costs more than a look at a file.
_COMMAND_LOOK_SECONDS = 60.0


class KeySource(Protocol):
    """Keys that can be read again, and perhaps written. `place` says to a person where they are."""

    @property
    def place(self) -> str:
        """For sentences: a file, a variable, a command."""
        ...

    @property
    def writable(self) -> bool:
        """Whether we may put a new key there ourselves."""
        ...

    @property
    def look_seconds(self) -> float:
        """How often a process that runs looks for other keys."""
        ...

    def read(self) -> tuple[bytes, ...]:
        """The keys now, the first one seals. Raises `Invalid`."""
        ...

    def write(self, keys: Sequence[bytes]) -> None:
        """Put these keys in place of what is there. Raises `Conflict` where we may not."""
        ...


@dataclass(frozen=True, slots=True)
class FixedKeys:
    """Keys of the environment: what was there at the start is there until the end."""

    text: str = field(repr=False)
    place: str = "KEYTURN_ENCRYPTION_KEY"
    writable: bool = False
    look_seconds: float = LOOK_SECONDS

    def read(self) -> tuple[bytes, ...]:
        """The keys now. Raises `Invalid`."""
        return parse_keys(self.text)

    def write(self, keys: Sequence[bytes]) -> None:  # noqa: ARG002 - the protocol's signature
        """Refused: nobody can change another process's environment."""
        raise Conflict(f"Keyturn cannot change {self.place} by itself. Put the keys there and start again.")


@dataclass(frozen=True, slots=True)
class CommandKeys:
    """A command that prints the keys, for example out of a secret store. It is run without a shell."""

    command: str
    writable: bool = False
    look_seconds: float = _COMMAND_LOOK_SECONDS

    @property
    def place(self) -> str:
        """For sentences; its arguments may be secret and are left out."""
        return f"the command {self.command.split()[0]}"

    def read(self) -> tuple[bytes, ...]:
        """Run it. Raises `Invalid` when it fails, hangs or prints something else."""
        try:
            ran = subprocess.run(  # noqa: S603 - the operator's own command, without a shell
                shlex.split(self.command), capture_output=True, timeout=_COMMAND_SECONDS, check=False
            )
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "it cannot be read"
            raise _failed(f"did not start ({reason})") from None
        except subprocess.TimeoutExpired:
            raise _failed(f"did not answer within {_COMMAND_SECONDS:.0f} seconds") from None
        if ran.returncode:
            raise _failed(f"ended with {ran.returncode}")
        text = ran.stdout.decode("ascii", "replace").strip()
        redaction.remember(*text.split(","))
        return parse_keys(text)

    def write(self, keys: Sequence[bytes]) -> None:  # noqa: ARG002 - the protocol's signature
        """Refused: we do not know how."""
        raise Conflict(f"Keyturn cannot write keys to {self.place}. Put the keys there and run this again.")


@dataclass(frozen=True, slots=True)
class FileKeys:
    """A key file. `ours`: the one in the data folder, which nobody else may read."""

    path: Path
    ours: bool = False
    look_seconds: float = LOOK_SECONDS

    @property
    def place(self) -> str:
        """For sentences."""
        return str(self.path)

    @property
    def writable(self) -> bool:
        """Whether it can be replaced, which takes a folder we may write to."""
        return os.access(self.path, os.W_OK) and os.access(self.path.parent, os.W_OK)

    def read(self) -> tuple[bytes, ...]:
        """The keys now. Raises `Invalid`, also when others can read our own file."""
        try:
            if self.ours and (mode := self.path.stat().st_mode & 0o777) & 0o077:
                raise Invalid(
                    f"The key file {self.path} can be read by others (mode {mode:o}). Fix: chmod 600 {self.path}",
                    at="KEYTURN_ENCRYPTION_KEY",
                )
            text = self.path.read_text("ascii").strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is not text"
            raise Invalid(f"The key file {self.path} cannot be read ({reason}).", at="KEYTURN_ENCRYPTION_KEY") from None
        redaction.remember(*text.split(","))
        return parse_keys(text)

    def write(self, keys: Sequence[bytes]) -> None:
        """Replace it whole (mode 600, fsync, rename): a reader sees the old keys or the new ones. Raises `Conflict`."""
        temporary = self.path.with_name(f".{self.path.name}.{secrets.token_hex(4)}")
        try:
            _write_new(temporary, ",".join(encode_key(key) for key in keys))
            temporary.replace(self.path)
            _sync_folder(self.path.parent)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            raise Conflict(f"The key file {self.path} cannot be written ({error.strerror}).") from None


def load_or_make_key_file(path: Path, *, may_make: bool) -> Keyring | None:
    """The keyring of a key file; a missing one is made (mode 600, fsync) only if `may_make`. None if there is none."""
    if not path.exists():
        if not may_make:
            return None
        path.parent.mkdir(parents=True, exist_ok=True)
        _write_new(path, encode_key(new_key()))
        _sync_folder(path.parent)
    return Keyring.of(FileKeys(path, ours=True))


def _write_new(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(descriptor, text.encode() + b"\n")
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_folder(path: Path) -> None:
    folder = os.open(path, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _failed(what: str) -> Invalid:
    return Invalid(
        f"The command of KEYTURN_ENCRYPTION_KEY_COMMAND {what}. It has to print the keys as base64, comma-separated.",
        at="KEYTURN_ENCRYPTION_KEY_COMMAND",
    )
