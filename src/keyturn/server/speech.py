"""How operator commands speak: the configuration with a sentence when it is wrong, notes on stderr, one way to stop."""

from __future__ import annotations

import os
import sys
from typing import NoReturn

from keyturn.errors import KeyturnError
from keyturn.server import logs
from keyturn.server.config import Config, read_config


def configured(*, quiet: bool = False) -> Config:
    """The configuration of the environment, logging set up by it; `quiet` logs warnings only."""
    try:
        config = read_config(os.environ)
    except KeyturnError as error:
        stop(error)
    logs.configure(log_format=config.log_format, level="warning" if quiet else config.log_level)
    return config


def say(text: str) -> None:
    """A note for the person, beside the data."""
    print(text, file=sys.stderr, flush=True)  # noqa: T201


def stop(error: KeyturnError) -> NoReturn:
    """Say why it cannot go on, and end with 1."""
    code = f"{error.message_code}: " if error.message_code else ""
    print(f"Keyturn cannot go on. {code}{error.message}", file=sys.stderr, flush=True)  # noqa: T201
    raise SystemExit(1)
