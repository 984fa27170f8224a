"""Where a program finds its server and its API token: the environment, or a file that only its owner may read."""

from __future__ import annotations

import contextlib
import json
import os
import stat
import tempfile
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from keyturn import redaction
from keyturn.errors import Invalid, Unauthenticated
from keyturn.wire import origin_of

_HOW = "Run keyturn login URL, or set KEYTURN_URL and KEYTURN_TOKEN."


@dataclass(frozen=True, slots=True)
class Profile:
    """A server's address and an API token for it; the token is never in `repr`."""

    url: str
    token: str = field(repr=False)


def check_url(value: str) -> str:
    """The origin of what a person typed or pasted. Raises `Invalid` unless it is an http or https address."""
    text = value.strip()
    if "://" not in text:
        raise Invalid("Give the whole address, for example https://data.example.com.", at="url")
    try:
        parts = urlsplit(text)
        origin = origin_of(text)
    except ValueError:
        raise Invalid("This is not an address. Example: https://data.example.com.", at="url") from None
    if parts.scheme.lower() not in {"http", "https"} or not origin:
        raise Invalid("The address begins with https:// or http://, for example https://data.example.com.", at="url")
    if parts.username is not None or parts.password is not None:
        raise Invalid("The address has no user name or password in it; the API token is asked for.", at="url")
    return origin


def check_token(value: str) -> str:
    """An API token without spaces at its ends. Raises `Invalid` when it cannot be one."""
    token = value.strip()
    redaction.remember(token)
    if not token.startswith("kt_") or len(token) < 16 or not token.isascii() or not token.isprintable() or " " in token:
        raise Invalid("An API token begins with kt_. Make one under API tokens and paste the whole of it.", at="token")
    return token


def path(environment: Mapping[str, str] | None = None) -> Path:
    """Where the profile lies: `$XDG_CONFIG_HOME/keyturn/profile.toml`, by default under `~/.config`."""
    given = (os.environ if environment is None else environment).get("XDG_CONFIG_HOME", "")
    root = Path(given) if given and Path(given).is_absolute() else Path.home() / ".config"
    return root / "keyturn" / "profile.toml"


def find(environment: Mapping[str, str] | None = None) -> Profile:
    """The profile to use: `KEYTURN_URL` with `KEYTURN_TOKEN`, else the file.

    Raises `Unauthenticated` when there is none, `Invalid` when one of the two variables is missing or the file is
    readable by others.
    """
    environment = os.environ if environment is None else environment
    url, token = environment.get("KEYTURN_URL", "").strip(), environment.get("KEYTURN_TOKEN", "").strip()
    if url and token:
        return Profile(check_url(url), check_token(token))
    if url or token:
        missing = "KEYTURN_TOKEN" if url else "KEYTURN_URL"
        raise Invalid(f"{missing} is not set, and they go together. {_HOW}", at=missing)
    return load(path(environment))


def load(file: Path) -> Profile:
    """Read a profile file. Raises `Unauthenticated` when there is none, `Invalid` when others may read it."""
    try:
        with file.open("rb") as source:
            mode = os.fstat(source.fileno()).st_mode
            if os.name == "posix" and stat.S_IMODE(mode) & 0o077:
                raise Invalid(f"{file} can be read by others. Run chmod 600 {file}, and replace the API token in it.")
            values = tomllib.loads(source.read().decode("utf-8"))
    except FileNotFoundError:
        raise Unauthenticated(f"You are not signed in. {_HOW}") from None
    except OSError as error:
        raise Invalid(f"{file} cannot be read ({error.strerror}). {_HOW}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError):
        raise Invalid(f"{file} is not a profile. {_HOW}") from None
    url, token = values.get("url"), values.get("token")
    if not isinstance(url, str) or not isinstance(token, str):
        raise Invalid(f"{file} lacks url or token. {_HOW}")
    return Profile(check_url(url), check_token(token))


def save(profile: Profile, file: Path) -> None:
    """Write it whole or not at all, readable by its owner alone from the first byte. Raises `Invalid`."""
    # JSON strings of printable ASCII are TOML basic strings, and a checked URL and token hold nothing else.
    text = f"url = {json.dumps(profile.url)}\ntoken = {json.dumps(profile.token)}\n"
    written: Path | None = None
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=".profile-", dir=file.parent)
        written = Path(name)
        with os.fdopen(handle, "w", encoding="utf-8") as target:
            target.write(text)
        written.replace(file)
    except OSError as error:
        if written is not None:
            with contextlib.suppress(OSError):
                written.unlink(missing_ok=True)
        raise Invalid(f"The profile cannot be written to {file} ({error.strerror}).") from None
