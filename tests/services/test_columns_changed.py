"""A table whose columns change is told of, once for each change, by what runs by itself."""

from __future__ import annotations

from dataclasses import replace

from keyturn.model.tables import TableColumn, changes_in_words
from keyturn.services import notices, schema_changes

ID = TableColumn("id", "int64", "$.id")
TOTAL = TableColumn("total", "int64", "$.total")


async def told(ctx) -> list[str]:
    return [notice.sentence for notice in (await notices.list_(ctx))[0]]


async def test_new_columns_and_types_are_told_once(place):
    found = await place.table(await place.connection())
    by_itself = replace(place.ana, actor=replace(place.ana.actor, kind="system"))
    await schema_changes.store(by_itself, found, (ID,))
    assert await told(place.ana) == [], "the first columns are no change"
    known = replace(found, columns=(ID,))
    await schema_changes.store(by_itself, known, (ID, TOTAL))
    await schema_changes.store(by_itself, replace(found, columns=(ID, TOTAL)), (ID, TOTAL))
    assert await told(place.ana) == ["New: total."]
    wider = replace(TOTAL, type="json")
    await schema_changes.store(place.ana, replace(found, columns=(ID, TOTAL)), (ID, wider))
    assert len(await told(place.ana)) == 1, "who looks at the page sees it there"


def test_a_change_is_said_in_one_line():
    wider = replace(TOTAL, type="decimal(18,2)")
    assert changes_in_words((ID, TOTAL), (wider,)) == "Gone: id. Another type: total (int64, now decimal(18,2))."
    noted = replace(ID, nullable=False, note="x")
    assert changes_in_words((ID,), (noted,)) == ""
    many = tuple(TableColumn(f"c{n}", "string", f"$.c{n}") for n in range(12))
    assert changes_in_words((), many).endswith("c9 and more.")
