"""The differences between two sets of columns, and which of them are written down."""

from __future__ import annotations

from dataclasses import replace

from keyturn.model.tables import TableColumn
from keyturn.services import schema_changes

ID = TableColumn("id", "int64", "$.id")
NAME = TableColumn("name", "string", "$.name")


def test_differences_are_found_by_where_a_column_comes_from():
    after = [replace(ID, type="string"), TableColumn("size", "int64", "$.size")]
    assert schema_changes.differences([ID, NAME], after) == [
        {"kind": "type_changed", "column": "id", "before": "int64", "after": "string"},
        {"kind": "added", "column": "size", "before": None, "after": "int64"},
        {"kind": "removed", "column": "name", "before": "string", "after": None},
    ]
    assert schema_changes.differences([ID], [replace(ID, note="not seen yet", nullable=False)]) == []


async def test_the_first_columns_are_no_change_and_the_same_change_is_written_once(place):
    table = await place.table(await place.connection())
    await schema_changes.store(place.ana, table, [ID])
    table = replace(table, columns=(ID,))
    for _ in range(2):
        await schema_changes.store(place.ana, table, [ID], {"name"})
    [(at, changes)] = await schema_changes.of_table(place.ana, table.id)
    assert at == place.clock[0]
    assert changes == [{"kind": "left_out", "column": "name", "before": None, "after": None}]
