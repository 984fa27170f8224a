"""Orphans: answers that came after their lease had passed on. They take the place of a generation that is dead."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from keyturn.model.grants import Grant
from keyturn.model.ids import new_id
from keyturn.services import events, grants, notices
from keyturn.services.context import Context
from keyturn.storage import leases, token_generations

if TYPE_CHECKING:
    from keyturn.storage.database import Tx

log = structlog.get_logger(__name__)

KEPT_SECONDS = 86_400.0


def promote(tx: Tx, ctx: Context, grant: Grant) -> bool:
    """Put the newest orphan in the place of the grant's present generation, which the server refuses.

    Under the grant's row lock. Answers whether there was one.
    """
    orphan = token_generations.newest_orphan(tx, ctx.workspace_id, grant.id)
    if orphan is None or not token_generations.delete(tx, ctx.workspace_id, orphan.id):
        return False
    token_generations.keep_replaced(tx, ctx.workspace_id, grant.id, new_id("tg"), ctx.clock())
    values = grants.promoted_values(ctx, grant, orphan)
    leases.finish(tx, ctx.workspace_id, grant.id, epoch=grant.lease_epoch, generation=grant.generation, values=values)
    events.record(tx, ctx, grant.connection_id, "recovered", attempt=orphan.id)
    notices.close(tx, ctx, "reconnect_needed", grant.connection_id, account_id=grant.account_id)
    log.warning("orphan_promoted", grant=grant.id, attempt=orphan.id, generation=values["generation"])
    return True
