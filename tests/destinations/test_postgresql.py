"""A PostgreSQL table as a destination, on a real server: landings, fences, ends, and every type to the last digit."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from keyturn.columns.build import build
from keyturn.columns.schema import Column, Schema, infer, source_of
from keyturn.destinations.destination import Away, Fenced, Left
from keyturn.destinations.postgresql import Place, PostgresDestination, Server, TableWay, look
from keyturn.errors import Invalid
from warehouse import PASSWORD

STAMP = {"rows": 3, "complete": True, "note": None}
RUNS: list[PostgresDestination] = []


@pytest.fixture(autouse=True)
def ended():
    """Every run gives its connection back."""
    yield
    while RUNS:
        RUNS.pop().give_up()


def server_of(warehouse, **changes) -> Server:
    values = {"host": "127.0.0.1", "port": warehouse.relay.port, "database": warehouse.database,
              "user": warehouse.user, "password": PASSWORD, "tls": "disable", "addresses": lambda: ["127.0.0.1"]}  # fmt: skip
    return Server(**(values | changes))


def run_of(warehouse, *, epoch: int = 1, import_id: str = "im_1", mode: str = "replace", key=(), table="orders"):
    way = TableWay(mode, tuple(key))
    run = PostgresDestination(server_of(warehouse), Place("public", table), way, import_id=import_id, epoch=epoch)
    RUNS.append(run)
    return run


def schema_of(**types: str) -> Schema:
    return Schema(tuple(Column(name, kind, f"$.{name}", note="pinned") for name, kind in types.items()))


def imported(warehouse, schema, rows, *, import_id="im_1", mode="replace", key=(), table="orders") -> dict:
    run = run_of(warehouse, import_id=import_id, mode=mode, key=key, table=table)
    run.begin(Left())
    run.land(run.add(build(schema, rows), schema), {"page": 1})
    stamp = dict(STAMP)
    run.plan(schema, stamp, whole=True)
    run.settle()
    return stamp


IDS = schema_of(id="int64", name="string")


def test_every_type_arrives_to_the_last_digit(warehouse):
    schema = schema_of(
        i="int64", f="float64", b="bool", d="decimal(38,9)", day="date", at="timestamp", s="string", j="json",
        l="list<int64>", o="struct<a:int64,t:timestamp>",
    )  # fmt: skip
    rows = [
        {"i": 2**63 - 1, "f": 0.1, "b": True, "d": Decimal("12345678901234567890123456789.123456789"),
         "day": "2024-02-29", "at": "2026-03-29T01:59:59.999999Z", "s": 'a "q"\n\\.\n,', "j": {"x": [1, None, "é"]},
         "l": [9007199254740993, 1], "o": {"a": 1, "t": "2026-01-01T00:00:00Z"}},
        {"i": -(2**63), "f": 1e300, "b": False, "d": Decimal("-0.000000001"), "day": "0001-01-01",
         "at": "1969-12-31T23:59:59.000001Z", "s": "", "j": None, "l": [], "o": None},
        dict.fromkeys("ifbdsjlo") | {"day": None, "at": None},
    ]  # fmt: skip
    imported(warehouse, schema, rows)
    found = warehouse.rows("select i, f, b, d, day, at, s, j::text, l::text, o::text from orders")
    assert found[0] == (
        2**63 - 1, 0.1, True, Decimal("12345678901234567890123456789.123456789"), date(2024, 2, 29),
        datetime(2026, 3, 29, 1, 59, 59, 999999, tzinfo=UTC), 'a "q"\n\\.\n,', '{"x": [1, null, "é"]}',
        "[9007199254740993, 1]", '{"a": 1, "t": "2026-01-01T00:00:00Z"}',
    )  # fmt: skip
    assert found[1][:5] == (-(2**63), 1e300, False, Decimal("-0.000000001"), date(1, 1, 1))
    assert found[1][6:] == ("", None, "[]", None)
    assert found[2] == (None,) * 10
    kinds = dict(warehouse.rows("select attname, format_type(atttypid, atttypmod) from pg_attribute "
                                "where attrelid = 'orders'::regclass and attnum > 0"))  # fmt: skip
    assert (kinds["i"], kinds["d"], kinds["at"], kinds["l"]) == (
        "bigint", "numeric(38,9)", "timestamp with time zone", "jsonb",
    )  # fmt: skip


def test_what_the_server_cannot_hold_is_replaced_and_told(warehouse):
    schema = schema_of(s="string", j="json")
    stamp = imported(warehouse, schema, [{"s": "a\0b", "j": {"k": "x\0"}}, {"s": "fine", "j": {"k": "\\u0000"}}])
    assert warehouse.rows("select s, j->>'k' from orders") == [("a�b", "x�"), ("fine", "\\u0000")]
    assert "2 texts" in stamp["note"]


def test_rows_that_widened_on_the_way_are_all_of_the_last_type(warehouse):
    run = run_of(warehouse)
    run.begin(Left())
    first = infer([{"id": 1}])
    second = infer([{"id": 1}, {"id": "x"}])
    run.add(build(first, [{"id": 1}]), first)
    run.land(run.add(build(second, [{"id": "x"}]), second), {"page": 2})
    run.plan(second, dict(STAMP), whole=True)
    run.settle()
    assert sorted(warehouse.rows("select id from orders")) == [("1",), ("x",)]


def test_replace_leaves_the_old_rows_until_the_end_and_keeps_views_and_rights(warehouse):
    imported(warehouse, IDS, [{"id": 1, "name": "old"}])
    with warehouse.admin() as tx:
        tx.execute("create view names as select name from orders; create role reader; grant select on orders to reader")
    run = run_of(warehouse, import_id="im_2")
    run.begin(Left())
    run.land(run.add(build(IDS, [{"id": 2, "name": "new"}]), IDS), {})
    assert warehouse.rows("select name from names") == [("old",)]
    run.plan(IDS, dict(STAMP), whole=True)
    run.settle()
    assert warehouse.rows("select name from names") == [("new",)]
    assert warehouse.rows("select has_table_privilege('reader', 'orders', 'select')") == [(True,)]
    with warehouse.admin() as tx:
        tx.execute("drop owned by reader; drop role reader")


def test_what_is_not_whole_leaves_the_table_and_stays_for_another_run(warehouse):
    imported(warehouse, IDS, [{"id": 1, "name": "old"}])
    run = run_of(warehouse, import_id="im_2")
    run.begin(Left())
    run.land(run.add(build(IDS, [{"id": 2, "name": "new"}]), IDS), {"page": 1})
    run.plan(IDS, {**STAMP, "complete": False}, whole=False)
    run.settle()
    assert warehouse.rows("select name from orders") == [("old",)]
    assert run_of(warehouse, import_id="im_2", epoch=2).begin(Left({"read": {}})).read == {"page": 1}


def test_append_adds_and_widens_what_is_there(warehouse):
    imported(warehouse, schema_of(id="int64"), [{"id": 1}])
    wider = schema_of(id="decimal(20,2)", extra="string")
    imported(warehouse, wider, [{"id": Decimal("2.50"), "extra": "x"}], import_id="im_2", mode="append")
    imported(warehouse, schema_of(id="int64"), [{"id": 3}], import_id="im_3", mode="append")
    assert warehouse.rows("select id, extra from orders order by id") == [
        (Decimal("1.00"), None), (Decimal("2.50"), "x"), (Decimal("3.00"), None),
    ]  # fmt: skip


def test_a_whole_number_that_a_double_cannot_hold_is_refused_and_nothing_changed(warehouse):
    imported(warehouse, schema_of(id="int64"), [{"id": 2**53 + 1}])
    with pytest.raises(Invalid, match="refused the rows"):
        imported(warehouse, schema_of(id="float64"), [{"id": 0.5}], import_id="im_2", mode="append")
    assert warehouse.rows("select id from orders") == [(2**53 + 1,)]


def test_append_to_columns_of_another_kind_is_refused(warehouse):
    with warehouse.admin() as tx:
        tx.execute("create table orders (id uuid)")
        tx.execute(f"alter table orders owner to {warehouse.user}")
    with pytest.raises(Invalid, match="id is uuid"):
        imported(warehouse, schema_of(id="int64"), [{"id": 1}], mode="append")


def test_update_changes_by_key_adds_the_rest_and_leaves_columns_of_others(warehouse):
    imported(warehouse, IDS, [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}])
    with warehouse.admin() as tx:
        tx.execute("alter table orders add column note text; update orders set note = 'mine'")
    rows = [{"id": 2, "name": "x"}, {"id": 3, "name": "c"}, {"id": 2, "name": "B"}]
    imported(warehouse, IDS, rows, import_id="im_2", mode="update", key=["id"])
    assert warehouse.rows("select id, name, note from orders order by id") == [
        (1, "a", "mine"), (2, "B", "mine"), (3, "c", None),
    ]  # fmt: skip


def test_a_run_that_lost_its_place_can_neither_land_nor_settle(warehouse):
    late = run_of(warehouse)
    late.begin(Left())
    mark = late.add(build(IDS, [{"id": 1, "name": "late"}]), IDS)
    run_of(warehouse, epoch=2).begin(Left())
    with pytest.raises(Fenced):
        late.land(mark, {})
    late.plan(IDS, dict(STAMP), whole=True)
    with pytest.raises(Fenced):
        late.settle()
    with pytest.raises(Fenced):
        late.begin(Left())
    assert warehouse.rows("select count(*) from keyturn_pages") == [(0,)]


def test_an_end_that_our_row_does_not_know_of_is_not_done_again(warehouse):
    imported(warehouse, IDS, [{"id": 1, "name": "a"}], mode="append")
    begun = run_of(warehouse, epoch=2, mode="append").begin(Left())
    assert begun.ended is not None
    assert begun.ended.completeness == STAMP
    assert warehouse.rows("select count(*) from orders") == [(1,)]


def test_what_landed_is_found_by_the_next_run_though_our_row_is_behind(warehouse):
    run = run_of(warehouse)
    run.begin(Left())
    run.land(run.add(build(IDS, [{"id": 1, "name": "a"}]), IDS), {"page": 1})
    run.land(run.add(build(IDS, [{"id": 2, "name": "b"}]), IDS), {"page": 2})
    after = run_of(warehouse, epoch=2)
    assert after.begin(Left({"read": {"page": 1}})).read == {"page": 2}
    assert [batch.column(0).to_pylist() for batch in after.last(1)] == [[2]]
    anew = run_of(warehouse, epoch=3)
    assert anew.begin(Left()).read is None
    assert warehouse.rows("select count(*) from keyturn_pages") == [(0,)]


def test_a_server_that_goes_away_is_away_and_comes_back(warehouse):
    run = run_of(warehouse)
    run.begin(Left())
    mark = run.add(build(IDS, [{"id": 1, "name": "a"}]), IDS)
    warehouse.relay.cut()
    with pytest.raises(Away) as told:
        run.land(mark, {})
    assert PASSWORD not in told.value.sentence
    with pytest.raises(Away, match="not reachable"):
        run.exists()
    warehouse.relay.mend()
    run.land(mark, {"page": 1})
    assert warehouse.rows("select count(*) from keyturn_pages") == [(1,)]


def test_a_landing_whose_answer_was_lost_may_be_asked_again(warehouse):
    run = run_of(warehouse)
    run.begin(Left())
    mark = run.add(build(IDS, [{"id": 1, "name": "a"}]), IDS)
    page = run._pending[0]
    run.land(mark, {"page": 1})
    run._pending.append(page)  # as it is when the commit came through, and word of it did not
    run.land(mark, {"page": 1})
    assert warehouse.rows("select count(*) from keyturn_pages") == [(1,)]


def test_the_error_of_a_server_names_no_secret_and_no_value(warehouse):
    wrong = server_of(warehouse, database="nowhere")
    with pytest.raises(Invalid, match="does not let"):
        look(wrong, "public")
    assert PASSWORD not in repr(wrong)
    with pytest.raises(Invalid, match="may not make tables in the schema elsewhere"):
        look(server_of(warehouse), "elsewhere")
    assert look(server_of(warehouse), "public")


def test_a_long_name_is_shortened_and_no_two_are_alike(warehouse):
    names = ["a" * 70, "a" * 71, "ctid", "é" * 40]
    schema = Schema(tuple(Column(name, "int64", source_of((name,)), note="pinned") for name in names))
    imported(warehouse, schema, [dict.fromkeys(names, 7)])
    found = warehouse.rows("select * from orders")
    assert found == [(7, 7, 7, 7)]
    columns = [row[0] for row in warehouse.rows(
        "select attname from pg_attribute where attrelid = 'orders'::regclass and attnum > 0 order by attnum")]  # fmt: skip
    assert len(set(columns)) == 4
    assert all(len(name.encode()) <= 63 for name in columns)
