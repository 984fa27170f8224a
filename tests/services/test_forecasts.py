"""What time alone brings is told although nobody used the connection, and what is over by itself is closed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from keyturn.oauth.tokens import TokenSet
from keyturn.services import client_secrets, connections, forecasts, grants, notices, oauth_clients
from keyturn.storage import grants as grant_rows
from keyturn.storage import tables as table_rows
from keyturn.storage.grants import grants as table

DAY = 86400.0


async def signed_in(place, connection, *, ctx=None, refresh_token="rt-1", life=3600, refresh_life=None, account="jane"):
    registration = await oauth_clients.registration(place.ana, connection.oauth_client_id)
    tokens = TokenSet(
        access_token="at-1-secret", token_type="Bearer", refresh_token=refresh_token, expires_in_seconds=life,
        refresh_token_expires_in_seconds=refresh_life,
    )  # fmt: skip
    named = {"connection": connection, "account_id": None, "requested_at": place.clock[0],
             "scopes_requested": ["read"], "account": account}  # fmt: skip
    place.run(grants.store_new, ctx or place.ana, registration, tokens, **named)
    return place.run(grant_rows.of_connection, "ws_1", connection.id, None)


async def told(place, **named) -> list[tuple[str, str]]:
    found, _ = await notices.list_(place.ana, open_only=True, **named)
    return [(notice.kind, notice.stage) for notice in found]


def set_grant(place, **values) -> None:
    place.run(lambda tx: tx.execute(table.update().values(**values)))


async def test_a_sign_in_that_ended_while_nobody_looked_is_told(place):
    connection = await place.connection()
    await signed_in(place, connection, refresh_token=None)
    await forecasts.look(place.ana)
    assert await told(place) == [("needs_attention", "")]
    place.clock[0] += 3601
    await forecasts.look(place.ana)
    assert ("reconnect_needed", "") in await told(place)
    await signed_in(place, connection)
    await forecasts.look(place.ana)
    assert await told(place) == []


async def test_the_end_of_a_sign_in_is_told_a_week_and_a_day_before_and_when_it_came(place):
    connection = await place.connection()
    await signed_in(place, connection, refresh_life=30 * DAY, life=60 * DAY)
    seen = []
    for day in (1, 23.5, 24, 29.5):
        place.clock[0] = 1_800_000_000.0 + day * DAY
        set_grant(place, refresh_prolonged=False)
        await forecasts.look(place.ana)
        seen.append(await told(place))
    assert seen == [[], [("sign_in_ends", "7")], [("sign_in_ends", "7")], [("sign_in_ends", "1")]]
    (notice,) = (await notices.list_(place.ana, open_only=True))[0]
    assert notice.title == "The sign-in of acme ends on 14 Feb 2027"
    assert "Reconnect as jane before" in notice.sentence


async def test_an_end_that_renewing_moves_away_is_no_trouble(place):
    client = await place.client()
    connection = await place.connection(client=client)
    grant = await signed_in(place, connection, refresh_life=2 * DAY)
    assert grant.refresh_prolonged is None
    await forecasts.look(place.ana)
    assert await told(place) == []
    registration = await oauth_clients.registration(place.ana, client.id)
    later = TokenSet(access_token="at-2", token_type="Bearer", refresh_token="rt-2", expires_in_seconds=3600,
                     refresh_token_expires_in_seconds=2 * DAY)  # fmt: skip
    named = {"grant_id": grant.id, "generation": 2, "before": grant, "before_refresh_token": "rt-1"}
    moved = grants.sealed_values(place.ana, registration, later, requested_at=place.clock[0] + 3000, **named)
    assert moved["refresh_prolonged"] is True
    fixed = TokenSet(access_token="at-2", token_type="Bearer", refresh_token="rt-2", expires_in_seconds=3600,
                     refresh_token_expires_in_seconds=2 * DAY - 3000)  # fmt: skip
    stays = grants.sealed_values(place.ana, registration, fixed, requested_at=place.clock[0] + 3000, **named)
    assert stays["refresh_prolonged"] is False
    place.clock[0] += 1.9 * DAY
    set_grant(place, refresh_prolonged=True)
    assert (await connections.get(place.ana, connection.id)).status == "healthy"
    set_grant(place, refresh_prolonged=False)
    assert (await connections.get(place.ana, connection.id)).status_detail == "ends_soon"


async def test_a_paused_connection_is_left_in_peace(place):
    connection = await place.connection()
    await signed_in(place, connection, refresh_token=None)
    await connections.update(place.ana, connection.id, {"paused": True})
    place.clock[0] += 3601
    await forecasts.look(place.ana)
    assert ("reconnect_needed", "") not in await told(place)


async def test_what_somebody_disconnected_is_closed_silently(place):
    connection = await place.connection()
    await signed_in(place, connection)
    place.run(notices.open, place.ana, "reconnect_needed", connection.id)
    place.run(grant_rows.delete_of_connection, "ws_1", connection.id)
    await forecasts.look(place.ana)
    assert await told(place) == []
    place.run(notices.open, place.ana, "reconnect_needed", connection.id)
    await connections.delete(place.ana, connection.id)
    await forecasts.look(place.ana)
    assert await told(place) == []


async def test_a_secret_that_expires_is_told_at_30_7_and_1_days_and_when_it_is_over(place):
    client = await place.client()
    secret = client.secrets[0]
    last_day = (datetime.fromtimestamp(place.clock[0], UTC) + timedelta(days=40)).date().isoformat()
    await client_secrets.change(place.ana, client.id, secret.id, {"expires_on": last_day})
    seen = []
    for day in (0, 9, 10, 20, 33, 39, 41):
        place.clock[0] = 1_800_000_000.0 + day * DAY
        await forecasts.look(place.ana)
        seen.append([stage for _, stage in await told(place)])
    assert seen == [[], [], ["30"], ["30"], ["7"], ["1"], ["0"]]
    (notice,) = (await notices.list_(place.ana, open_only=True))[0]
    assert notice.title.startswith("The Client Secret of Acme CRM expired on")
    await client_secrets.replace(place.ana, client.id, {"client_secret": "a new client secret"})
    await forecasts.look(place.ana)
    assert await told(place) == []


@pytest.mark.parametrize("watched", [True, False])
async def test_a_table_without_new_data_is_told_when_it_was_asked_for(place, watched):
    connection = await place.connection()
    found = await place.table(connection, **({"no_new_data_days": 2} if watched else {}))

    def imported(*, rows: int, sha256: str) -> None:
        ended = {"status": "complete", "rows": rows, "files": [{"sha256": sha256}]}
        place.run(notices.import_ended, place.ana, "im_1", found.id, ended)

    place.clock[0] += DAY
    imported(rows=10, sha256="a")
    place.clock[0] += 1.5 * DAY
    imported(rows=10, sha256="a")
    imported(rows=0, sha256="b")
    await forecasts.look(place.ana)
    assert await told(place) == []
    place.clock[0] += DAY
    await forecasts.look(place.ana)
    assert await told(place) == ([("no_new_data", "")] if watched else [])
    imported(rows=11, sha256="c")
    assert await told(place) == []


async def test_a_table_nobody_watches_any_more_is_closed_silently(place):
    found = await place.table(await place.connection(), no_new_data_days=1)
    place.clock[0] += 2 * DAY
    await forecasts.look(place.ana)
    assert await told(place) == [("no_new_data", "")]
    settings = found.settings.model_copy(update={"no_new_data_days": None}).model_dump(mode="json")
    place.run(table_rows.update, "ws_1", found.id, {"settings": settings})
    await forecasts.look(place.ana)
    assert await told(place) == []


async def test_scopes_that_came_and_went_with_a_sign_in_are_named(place):
    connection = await place.connection()
    grant = await signed_in(place, connection)
    same = TokenSet(access_token="at-2", scopes=("read",))
    other = TokenSet(access_token="at-2", scopes=("read:customers", "read:orders"))
    assert grants.scope_changes(grant, same) == ""
    assert grants.scope_changes(grant, TokenSet(access_token="at-2")) == "", "nothing said is nothing changed"
    assert grants.scope_changes(grant, other) == "Added read:customers, read:orders. Gone: read."
