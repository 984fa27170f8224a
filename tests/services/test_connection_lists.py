"""Lists of connections: five thousand end users, and no more statements or rows than one page needs."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import sqlalchemy as sa

from keyturn.errors import Invalid
from keyturn.services import connection_lists, connections, shares
from keyturn.services.connection_lists import LOOKED_MOST, Wanted
from keyturn.storage.connections import connections as connection_table
from keyturn.storage.grants import grants as grant_table

MANY = 5000
BROKEN = {f"c{number:05}" for number in range(7, MANY, 500)}


@pytest.fixture
async def many(place):
    """Ana's connections of as many end users, signed in; every five hundredth has to sign in again. Li has one."""
    client = await place.client()
    model = await place.connection(client=client, name="model")
    await place.connection(place.li, client, name="z_li", base_url="https://acme.example/v1")

    def write(tx) -> None:
        row = tx.execute(sa.select(connection_table).where(connection_table.c.id == model.id)).one()._asdict()
        rows, signed_in = [], []
        for number in range(MANY):
            name = f"c{number:05}"
            settings = {**row["settings"], "name": name}
            rows.append({**row, "id": f"cn_{number}", "name": name, "end_user": f"user {number}", "settings": settings})
            state = "reconnect_needed" if name in BROKEN else "active"
            signed_in.append(grant(f"cn_{number}", state))
        tx.execute(connection_table.insert(), rows)
        tx.execute(grant_table.insert(), signed_in)

    place.run(write)
    return place


def grant(connection_id: str, state: str) -> dict:
    return {
        "id": f"gr_{connection_id}", "workspace_id": "ws_1", "connection_id": connection_id, "account_id": "",
        "state": state, "generation": 1, "access_sealed": b"x", "refresh_sealed": b"x", "token_type": "Bearer",
        "scopes_requested": ["read"], "client_version": 1, "token_origin": "https://acme.example", "lease_epoch": 0,
        "attempts": 0, "changed_at": 0.0,
    }  # fmt: skip


@contextmanager
def counted() -> Iterator[dict[str, int]]:
    """How many statements are sent, and how many rows come back (where SQLite says so)."""
    seen = {"statements": 0, "rows": 0}

    def sent(*_: object) -> None:
        seen["statements"] += 1

    def row(_: object, values: tuple) -> tuple:
        seen["rows"] += 1
        return values

    def taken(connection, *_: object) -> None:
        if isinstance(connection, sqlite3.Connection):
            connection.row_factory = row

    sa.event.listen(sa.Engine, "before_cursor_execute", sent)
    sa.event.listen(sa.Pool, "checkout", taken)
    try:
        yield seen
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", sent)
        sa.event.remove(sa.Pool, "checkout", taken)


async def walked(ctx, wanted: Wanted, *, limit: int = 100) -> list[str]:
    """The names on every page."""
    names: list[str] = []
    cursor = None
    while True:
        found, cursor = await connection_lists.page(ctx, wanted, limit=limit, cursor=cursor)
        names += [item.name for item in found]
        if cursor is None:
            return names


async def test_a_page_of_five_thousand_costs_what_a_page_costs(many):
    with counted() as seen:
        found, onward = await connection_lists.page(many.ana, Wanted(), limit=50)
    assert [item.name for item in found] == [f"c{number:05}" for number in range(50)]
    assert {item.status for item in found} == {"healthy", "reconnect_needed"}
    assert onward is not None
    # A transaction, connections, shares, grants, tables.
    assert seen["statements"] <= 8, seen
    assert seen["rows"] <= 51 * 2 + 5, seen
    with counted() as seen:
        (one,), onward = await connection_lists.page(many.ana, Wanted(end_user="user 4711"))
    assert (one.name, one.end_user, onward) == ("c04711", "user 4711", None)
    assert seen["statements"] <= 16, seen
    assert seen["rows"] <= 5, seen


async def test_the_broken_ones_are_found_without_looking_at_the_others(many):
    with counted() as seen:
        found, onward = await connection_lists.page(many.ana, Wanted(status="reconnect_needed"))
        assert await connection_lists.count_broken(many.ana) == len(BROKEN)
    assert ({item.name for item in found}, onward) == (BROKEN, None)
    assert seen["rows"] <= 2 * (2 * len(BROKEN) + 5), seen


async def test_a_state_that_nothing_has_is_looked_for_so_far_and_the_page_goes_on(many):
    with counted() as seen:
        found, onward = await connection_lists.page(many.ana, Wanted(status="needs_attention"))
    assert found == []
    assert onward is not None
    assert seen["rows"] <= 2 * (LOOKED_MOST + 101) + 20, seen
    assert await walked(many.ana, Wanted(status="needs_attention")) == []


async def test_pages_add_up_to_what_there_is_and_each_sees_their_own(many):
    names = sorted([*(f"c{number:05}" for number in range(MANY)), "model", "z_li"])
    assert await walked(many.ana, Wanted(), limit=700) == names
    assert await walked(many.ana, Wanted(status="not_connected")) == ["model", "z_li"]
    assert len(await walked(many.ana, Wanted(status="healthy"), limit=1000)) == MANY - len(BROKEN)
    assert await walked(many.li, Wanted()) == ["z_li"]
    await shares.put(many.ana, "cn_3", "ac_li", {"rights": "viewer"})
    assert await walked(many.li, Wanted()) == ["c00003", "z_li"]
    assert await connection_lists.visible_ids(many.li) == {item.id for item in await connections.list_(many.li)}


@pytest.mark.parametrize("access", ["only_me", "shared_account", "own_account"])
async def test_who_sees_a_connection_is_the_same_in_both_places(place, access):
    client = await place.client(advanced={"allowed_hosts": ["acme.example"]})
    await place.connection(client=client, access=access)
    for ctx in (place.ana, place.li):
        listed = [item.name for item in await connections.list_(ctx)]
        assert await walked(ctx, Wanted()) == listed
    paused = await connections.update(
        place.ana, (await connections.get_by_name(place.ana, "acme")).id, {"paused": True}
    )
    assert await walked(place.ana, Wanted(status="paused")) == [paused.name]
    assert await walked(place.ana, Wanted(status="not_connected")) == []


async def test_another_state_or_cursor_is_refused(place):
    with pytest.raises(Invalid, match="A status is one of"):
        await connection_lists.page(place.ana, Wanted(status="fine"))
    for cursor in ("%", "abc", "AA==", "é"):
        with pytest.raises(Invalid, match="cursor"):
            await connection_lists.page(place.ana, Wanted(), cursor=cursor)
    assert await connection_lists.page(place.ana, Wanted(end_user="a\0")) == ([], None)
