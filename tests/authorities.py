"""The system's certificate authorities, loaded once for all HTTP clients of a process and of those that it forks off.

A client takes longer to load them than most tests take for all else, and nearly all of ours speak to `http://localhost`.
"""

from __future__ import annotations

import functools
import os
import ssl

import httpcore2

_load = httpcore2.default_ssl_context


def load_once() -> None:
    """From now on, in this process. What the environment says of them is still heard."""
    httpcore2.default_ssl_context = _default
    _default()


def _default(*, _trust_env: bool = True) -> ssl.SSLContext:
    return _loaded(_trust_env, os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR"))


@functools.cache
def _loaded(trust_env: bool, _file: str | None, _folder: str | None) -> ssl.SSLContext:
    return _load(_trust_env=trust_env)
