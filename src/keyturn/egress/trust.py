"""Whose certificates are believed: the system's authorities, and one file of the operator's."""

from __future__ import annotations

import os
import ssl
from pathlib import Path


def tls_context(ca_file: Path | None) -> ssl.SSLContext:
    """TLS 1.2 at least, names and certificates checked; `ca_file` adds to the system's authorities."""
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if ca_file is not None:
        context.load_verify_locations(cafile=str(ca_file))
    return context


def authorities_file(ca_file: Path | None, folder: Path) -> Path | None:
    """One file of all authorities that are believed, for a library that takes no context; None if there is none.

    The system's own, or both of them joined in `folder`.
    """
    paths = ssl.get_default_verify_paths()
    common = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem")
    system = next((Path(name) for name in (paths.cafile, *common) if name and Path(name).is_file()), None)
    if ca_file is None or system is None:
        return ca_file or system
    joined = folder / "authorities.pem"
    text = system.read_bytes() + b"\n" + ca_file.read_bytes()
    if not joined.is_file() or joined.read_bytes() != text:
        part = folder / f"authorities.{os.getpid()}.part"
        part.write_bytes(text)
        part.replace(joined)
    return joined
