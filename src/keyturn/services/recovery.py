"""The recovery key: a random key that wraps the keyring, shown once; only what it wraps is stored."""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING

from keyturn import redaction
from keyturn.encryption import Keyring, new_recovery_key, recovery_public_key, wrap_keyring
from keyturn.errors import Invalid
from keyturn.services import audit
from keyturn.services.context import Context
from keyturn.storage import accounts as rows

if TYPE_CHECKING:
    from keyturn.storage.database import Tx

_NAME = "recovery"
_KEY = re.compile(r"([A-Z2-7]{4}-){7}[A-Z2-7]{4}", re.ASCII)


def propose(ctx: Context) -> str:
    """A fresh recovery key to show. Nothing is stored until `keep` says that it was saved."""
    ctx.require("workspace:admin")
    key = new_recovery_key()
    redaction.remember(key)
    return key


async def keep(ctx: Context, recovery_key: str) -> None:
    """Wrap the keyring by a key that was saved; the one before stops working. Raises `Invalid`."""
    ctx.require("workspace:admin")
    redaction.remember(recovery_key)
    if not _KEY.fullmatch(recovery_key):
        raise Invalid("This is not a recovery key. Open the page again for a new one.", at="recovery_key")
    public_key = recovery_public_key(recovery_key)
    value = _wrapped(ctx.keyring, public_key) | {"made_at": ctx.clock()}

    def write(tx: Tx) -> None:
        rows.set_deployment_value(tx, _NAME, value)
        audit.record(tx, ctx, "deployment.recovery_key_made", fingerprints=list(ctx.keyring.fingerprints))

    await ctx.database.run(write)


def wrap_again(tx: Tx, keyring: Keyring) -> bool:
    """The keyring changed: wrap it for the recovery key, which itself is not needed. Answers whether there is one."""
    found = rows.deployment_value(tx, _NAME)
    if found is None or "public_key" not in found:
        return False
    public_key = base64.b64decode(found["public_key"])
    rows.set_deployment_value(tx, _NAME, _wrapped(keyring, public_key) | {"made_at": found["made_at"]})
    return True


def stored(tx: Tx) -> dict[str, str] | None:
    """What the recovery key opens, as it is stored (`wrapped` is base64); None if there is none."""
    found: dict[str, str] | None = rows.deployment_value(tx, _NAME)
    return found


def _wrapped(keyring: Keyring, public_key: bytes) -> dict[str, object]:
    return {
        "public_key": base64.b64encode(public_key).decode(),
        "wrapped": base64.b64encode(wrap_keyring(keyring, public_key)).decode(),
        "fingerprints": list(keyring.fingerprints),
    }


async def made_at(ctx: Context) -> float | None:
    """When the recovery key was made, in epoch seconds; None if there is none."""
    found = await ctx.database.read(rows.deployment_value, _NAME)
    return None if found is None else float(found["made_at"])
