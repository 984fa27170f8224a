"""What did not fit is kept by page, replaced when a page is read again, and forgotten after 30 days."""

from __future__ import annotations

from keyturn.services import rejects
from keyturn.storage import rejects as rows


async def test_rejects_come_page_by_page_and_what_is_read_again_replaces_them(place):
    table = await place.table(await place.connection())
    for before in (0, 100, 200):
        place.run(rows.put, "ws_1", table.id, "im_1", before, [{"row": before + 1}], place.clock[0])
    place.run(rows.forget_from, "ws_1", "im_1", 200)
    place.run(rows.put, "ws_1", table.id, "im_1", 200, [{"row": 250}], place.clock[0])
    lines = [line async for line in rejects._lines(place.ana, "im_1")]
    assert b"".join(lines) == b'{"row":1}\n{"row":101}\n{"row":250}\n'
    assert await rejects.prune(place.ana) == 0
    place.clock[0] += 31 * 86_400
    assert await rejects.prune(place.ana) == 3
