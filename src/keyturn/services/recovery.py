"""The recovery key: a random key that wraps the keyring, shown once; only what it wraps is stored."""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING

from keyturn import redaction
from keyturn.encryption import new_recovery_key
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
    value = {
        "wrapped": base64.b64encode(ctx.keyring.wrapped_by(recovery_key)).decode(),
        "fingerprints": list(ctx.keyring.fingerprints),
        "made_at": ctx.clock(),
    }

    def write(tx: Tx) -> None:
        rows.set_deployment_value(tx, _NAME, value)
        audit.record(tx, ctx, "deployment.recovery_key_made", fingerprints=list(ctx.keyring.fingerprints))

    await ctx.database.run(write)


async def made_at(ctx: Context) -> float | None:
    """When the recovery key was made, in epoch seconds; None if there is none."""
    found = await ctx.database.read(rows.deployment_value, _NAME)
    return None if found is None else float(found["made_at"])
