"""Where imports of only new rows go on, on both databases."""

from __future__ import annotations

from keyturn.storage import marks


async def test_a_mark_is_kept_for_each_table_and_place_and_rows_that_did_not_come_leave_it(place):
    table = await place.table(await place.connection())
    assert place.run(marks.get, "ws_1", table.id, "/a") == (None, None)
    place.run(marks.put, "ws_1", table.id, "/a", "2026-03-01T00:00:00Z", 5.0)
    place.run(marks.put, "ws_1", table.id, "/a", None, 6.0)
    place.run(marks.put, "ws_1", table.id, "/b", 7, 1.0)
    assert place.run(marks.get, "ws_1", table.id, "/a") == ("2026-03-01T00:00:00Z", 6.0)
    assert place.run(marks.get, "ws_2", table.id, "/a") == (None, None)
    place.run(marks.forget, "ws_1", table.id)
    assert place.run(marks.get, "ws_1", table.id, "/b") == (None, None)
