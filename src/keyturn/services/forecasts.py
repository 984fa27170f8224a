"""What time alone brings, found by looking: sign-ins that end, secrets that expire, tables without new data.

Every replica looks; a notice is one all the same. What is seen in use is told by the verbs that see it, and what they
could not tell (nobody used the connection) is caught up here. Each thing is looked at again in the transaction that
tells of it, under a lock on its row, since a person may be mending it just then.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from keyturn.model.client_secrets import ClientSecret, in_words, reminder
from keyturn.model.grants import SOON_SECONDS, Grant
from keyturn.model.notices import KINDS, Notice
from keyturn.model.tables import Table
from keyturn.services import grants, notices
from keyturn.services.context import Context
from keyturn.storage import client_secrets as secret_rows
from keyturn.storage import connections as connection_rows
from keyturn.storage import grants as grant_rows
from keyturn.storage import notices as notice_rows
from keyturn.storage import oauth_clients as client_rows
from keyturn.storage import schedules as schedule_rows
from keyturn.storage import tables as table_rows

if TYPE_CHECKING:
    from keyturn.storage.database import Tx

DAY_SECONDS = 86400.0
# Days before the end at which each of them is told.
_SIGN_IN_STAGES = (1, 7)
_SECRET_STAGES = (0, 1, 7, 30)


async def look(scene: Context) -> None:
    """Open what began by itself, close what is over."""
    database = scene.database
    for grant in await database.read(grant_rows.in_trouble_anywhere, scene.clock(), SOON_SECONDS):
        await database.run(_look_at_grant, _in(scene, grant.workspace_id), grant)
    for workspace_id, client_id in await database.read(secret_rows.clients_with_last_day_anywhere):
        await database.run(_look_at_secrets, _in(scene, workspace_id), client_id)
    for table, since in await database.read(table_rows.watched_anywhere):
        await database.run(_look_at_table, _in(scene, table.workspace_id), table, since)
    for notice in await database.read(notice_rows.open_anywhere):
        await database.run(_look_again, _in(scene, notice.workspace_id), notice)


def _in(scene: Context, workspace_id: str) -> Context:
    return replace(scene, workspace_id=workspace_id)


def _look_at_grant(tx: Tx, ctx: Context, seen: Grant) -> None:
    grant = grant_rows.lock(tx, ctx.workspace_id, seen.id)
    connection = None if grant is None else connection_rows.get(tx, ctx.workspace_id, grant.connection_id)
    if grant is None or connection is None or connection.paused:
        return
    now = ctx.clock()
    health = grants.health_of(grant, now=now)
    ends_at = grant.sign_in_ends_at(now)
    if health.status == "reconnect_needed":
        grants.open_notice(tx, ctx, grant, health.detail)
    elif ends_at is not None and ends_at > now:
        days = (ends_at - now) / DAY_SECONDS
        stage = next(stage for stage in (*_SIGN_IN_STAGES, 10**6) if days <= stage)
        notices.open(
            tx, ctx, "sign_in_ends", grant.connection_id, account_id=grant.account_id, stage=str(stage),
            as_account=grants.as_account(grant), day=_day(ends_at),
        )  # fmt: skip


def _look_at_table(tx: Tx, ctx: Context, table: Table, since: float) -> None:
    days = table.settings.no_new_data_days or 0
    if ctx.clock() - since >= days * DAY_SECONDS:
        words = f"{days} day{'' if days == 1 else 's'}"
        notices.open(tx, ctx, "no_new_data", table.id, days=words, day=_day(since))


def _look_again(tx: Tx, ctx: Context, notice: Notice) -> None:
    """Whether an open episode is over: by itself, or because somebody took its cause away, who knows it then."""
    noun, thing = KINDS[notice.kind].noun, notice.subject_id
    over, silently = False, True
    if noun == "oauth_client":
        over = client_rows.get(tx, ctx.workspace_id, thing) is None
        if not over and notice.kind == "secret_expires":
            _look_at_secrets(tx, ctx, thing)
    elif noun == "schedule":
        over = schedule_rows.get(tx, ctx.workspace_id, thing) is None
    elif noun == "table":
        table = table_rows.get(tx, ctx.workspace_id, thing)
        over = table is None or (notice.kind == "no_new_data" and table.settings.no_new_data_days is None)
    else:
        grant = grant_rows.of_connection(tx, ctx.workspace_id, thing, notice.account_id)
        silently = grant is None
        over = grant is None or _is_well(notice.kind, grant, ctx.clock())
    if over:
        notices.close(tx, ctx, notice.kind, thing, account_id=notice.account_id, silently=silently)


def _is_well(kind: str, grant: Grant, now: float) -> bool:
    health = grants.health_of(grant, now=now)
    if kind == "sign_in_ends":
        return grant.sign_in_ends_at(now) is None
    if kind == "needs_attention":
        return health.detail not in {"no_refresh_token", "scopes_missing"}
    return health.status != "reconnect_needed"


def _look_at_secrets(tx: Tx, ctx: Context, client_id: str) -> None:
    client = client_rows.get(tx, ctx.workspace_id, client_id)
    secrets = tuple(found.secret for found in secret_rows.all_of_client(tx, ctx.workspace_id, client_id))
    if client is None:
        return
    users = connection_rows.all_of(tx, ctx.workspace_id, oauth_client_id=client_id)
    told = reminder(secrets, client.name, ctx.clock(), len(users))
    if told is None:
        notices.close(tx, ctx, "secret_expires", client_id, silently=True)
        return
    last = max(secrets, key=lambda secret: str(secret.expires_on))
    days = last.days_left(ctx.clock()) or 0
    stage = next((stage for stage in _SECRET_STAGES if days <= stage), None)
    if stage is not None:
        sentence, when = told[1], _when(last, days)
        notices.open(tx, ctx, "secret_expires", client_id, stage=str(stage), sentence=sentence, when=when)


def _when(secret: ClientSecret, days: int) -> str:
    return f"{'expired' if days < 0 else 'expires'} on {in_words(str(secret.expires_on))}"


def _day(at: float) -> str:
    found = datetime.fromtimestamp(at, UTC)
    return f"{found.day} {found:%b %Y}"
