"""A secret of the workspace: a value that tables name and nobody reads back, and the hosts it may be sent to."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from keyturn.model.validation import CleanText, SecretText, Settings, wrong
from keyturn.rest.fillings import SECRET, names_in

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,62}", re.ASCII)
_HOST = re.compile(r"(?=.{1,260}\Z)([a-z0-9]([a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:.]+\])(:[0-9]{1,5})?", re.ASCII)
# Shorter values could not be told from other text where an answer repeats them.
LEAST_CHARACTERS = 8


def check_name(value: str) -> str:
    """The name of a secret as it is. Raises ValueError in words."""
    if not _NAME.fullmatch(value):
        raise wrong("Use letters, digits, _ and -, starting with a letter.")
    return value


def host_of(url: str | None) -> str:
    """The host of a URL with its port, which is left out where it is the usual one; empty where there is none."""
    parts = urlsplit(url or "")
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname or ""
    return host if parts.port in {None, 443} else f"{host}:{parts.port}"


def _host(value: str) -> str:
    if not _HOST.fullmatch(value.lower()):
        raise wrong("Enter a host, for example api.endsystem.com, with a port where it has one.")
    return value.lower().removesuffix(":443")


def _some(value: tuple[str, ...]) -> tuple[str, ...]:
    if not value:
        raise wrong("Name at least one API host.")
    return value


def _value(value: str) -> str:
    if len(value) < LEAST_CHARACTERS or not value.isascii() or not value.isprintable():
        raise wrong(f"Enter at least {LEAST_CHARACTERS} characters, all of them ASCII.")
    return value


class SecretValue(Settings):
    """What an admin gives: a new value each time, never shown again, and where it may go."""

    value: Annotated[SecretText, Field(max_length=8000), AfterValidator(_value)] = Field(
        title="Value",
        description="We encrypt it; you won't see it again.",
        repr=False,
        json_schema_extra={"missing": "Enter the value."},
    )
    allowed_hosts: Annotated[
        tuple[Annotated[CleanText, AfterValidator(_host)], ...], Field(max_length=20), AfterValidator(_some)
    ] = Field(
        title="API hosts",
        description="It is sent to these hosts alone, whoever makes the table.",
        json_schema_extra={"missing": "Name at least one API host."},
    )


class SecretSettings(SecretValue):
    """The same with the name that it gets."""

    name: Annotated[CleanText, AfterValidator(check_name)] = Field(
        title="Name", description="Tables write {{secret:NAME}}.", json_schema_extra={"missing": "Enter a name."}
    )


@dataclass(frozen=True, slots=True)
class Secret:
    """A stored secret without its value. `saved_at` is epoch seconds."""

    id: str
    workspace_id: str
    name: str
    allowed_hosts: tuple[str, ...]
    saved_at: float
    saved_by: str | None


def secrets_in(value: Any) -> Iterator[str]:
    """The names of the secrets that a text, or the texts in a JSON value, ask for."""
    return (name.removeprefix(SECRET) for name in names_in(value) if name.startswith(SECRET))
