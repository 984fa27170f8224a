import gc
import json

import pyarrow as pa
import pytest

from keyturn.errors import IncompleteData, Invalid, NotFound

SCHEMA = pa.schema(
    [("id", pa.int64()), ("status", pa.string()), ("total", pa.decimal128(18, 2)), ("tags.first", pa.string())]
)
ROWS = [{"id": 1, "status": "open", "total": 5, "tags.first": "a"}, {"id": 2, "status": "paid", "total": 7}]
WHOLE = {"rows": 2, "pages": 1, "reported_total": 2, "stop_reason": "no_next", "complete": True, "truncated": False}
SHORT = WHOLE | {"complete": False, "stop_reason": "repeated_page"}


@pytest.fixture
def shop(fake, made):
    """Two tables, `acme.orders` and `acme.customers`; each answers what is asked of it."""
    tables = [{"id": f"tb_{name}", "full_name": f"acme.{name}"} for name in ("orders", "customers", "unused")]
    fake.on("GET", "/tables", {"data": tables, "next_cursor": None})

    def serve(name, *, schema=SCHEMA, rows=ROWS, stamp=WHOLE, only=None):
        fake.on("GET", f"/tables/tb_{name}/schema", lambda: made.streamed(schema.serialize().to_pybytes()))
        kept = schema if only is None else pa.schema([schema.field(column) for column in only])
        batches = [[{key: row.get(key) for key in kept.names} for row in rows]]
        fake.on("GET", f"/tables/tb_{name}/rows", lambda: made.streamed(made.arrow(batches, stamp, schema=kept)))

    serve("orders")
    serve("customers")
    return serve


def asked_for(fake, name):
    return [asked for asked in fake.asked if asked.path == f"/api/v1/tables/tb_{name}/rows"]


def columns_asked(fake, name):
    """The repeated parameter as it was sent."""
    return [value for asked in asked_for(fake, name) for key, value in asked.pairs if key == "columns"]


def test_a_query_over_two_tables_is_answered(ws, shop):
    answer = ws.sql("select o.id, c.total from acme.orders o join acme.customers c using (id) order by id")
    gc.collect()
    assert [str(value) for row in answer.fetchall() for value in row] == ["1", "5.00", "2", "7.00"]


def test_only_the_tables_and_columns_of_the_query_are_read(fake, ws, shop):
    shop("orders", only=["id", "status"])
    assert ws.sql("select count(id) from acme.orders where status = 'open'").fetchall() == [(1,)]
    assert columns_asked(fake, "orders") == ["id", "status"]
    assert {asked.path for asked in fake.asked if "/rows" in asked.path} == {"/api/v1/tables/tb_orders/rows"}


def test_a_column_with_a_dot_and_a_table_read_twice_are_themselves(fake, ws, shop):
    query = 'select a."tags.first", b.id from acme.orders a, "acme"."orders" b where a.id = 1 order by 2'
    assert ws.sql(query).fetchall() == [("a", 1), ("a", 2)]
    assert len(asked_for(fake, "orders")) == 1


def test_a_table_called_like_a_word_of_sql_is_read(fake, ws, shop):
    fake.on("GET", "/tables", {"data": [{"id": "tb_orders", "full_name": "acme.full"}], "next_cursor": None})
    assert ws.sql("select count(*) from acme.full").fetchall() == [(2,)]


def test_beside_a_file_everything_that_is_named_is_read(fake, ws, shop, tmp_path):
    (tmp_path / "f.csv").write_text("id,n\n1,x\n")
    answer = ws.sql(f"select n from acme.orders join '{tmp_path}/f.csv' using (id)")
    assert answer.fetchall() == [("x",)]
    assert columns_asked(fake, "orders") == []


def test_rows_are_counted_by_one_column(fake, ws, shop):
    shop("orders", only=["id"])
    assert ws.sql("select count(*) from ACME.Orders").fetchall() == [(2,)]
    assert columns_asked(fake, "orders") == ["id"]


def test_columns_left_out_by_name_do_not_have_to_come(ws, shop):
    shop("orders", only=["id", "status", "tags.first"])
    assert ws.sql("select * exclude (total) from acme.orders order by id").fetchall()[0] == (1, "open", "a")


@pytest.mark.parametrize(
    ("query", "limit"),
    [
        ("select id from acme.orders limit 10", "10"),
        ("select id + 1 from acme.orders limit 3 offset 4", "7"),
        ("select id from acme.orders order by id limit 10", None),
        ("select id from acme.orders where id > 1 limit 10", None),
        ("select distinct status from acme.orders limit 10", None),
        ("select sum(id) from acme.orders limit 10", None),
        ("select id from acme.orders limit (select 3)", None),
    ],
)
def test_the_first_rows_are_enough_only_where_they_are_taken_as_they_come(fake, ws, shop, query, limit):
    ws.sql(query).fetchall()
    assert asked_for(fake, "orders")[0].query.get("limit") == limit


def test_a_table_with_missing_rows_fails_the_query_unless_it_was_allowed(ws, shop):
    shop("orders", stamp=SHORT)
    with pytest.raises(IncompleteData, match=r"acme\.orders is incomplete"):
        ws.sql("select count(*) from acme.orders")
    assert ws.sql("select count(*) from acme.orders", allow_incomplete=True).fetchall() == [(2,)]


def test_a_column_that_changed_since_its_schema_was_read_is_learned(fake, ws, shop, made):
    wider = SCHEMA.set(0, pa.field("id", pa.string()))
    told = [SCHEMA, wider]
    fake.on(
        "GET",
        "/tables/tb_orders/schema",
        lambda: made.streamed((told.pop(0) if len(told) > 1 else wider).serialize().to_pybytes()),
    )
    rows = [[{"id": "a1", "status": "open", "total": None, "tags.first": None}]]
    fake.on("GET", "/tables/tb_orders/rows", lambda: made.streamed(made.arrow(rows, WHOLE, schema=wider)))
    assert ws.sql("select id from acme.orders").fetchall() == [("a1",)]


@pytest.fixture
def asking(fake, shop):
    """Both tables ask for `year`, orders for `kind` too."""
    names = {"orders": ["year", "kind"], "customers": ["year"], "unused": ["other"]}
    tables = [
        {"id": f"tb_{name}", "full_name": f"acme.{name}", "parameters": [{"name": each} for each in asks]}
        for name, asks in names.items()
    ]
    fake.on("GET", "/tables", {"data": tables, "next_cursor": None})


BOTH = "select count(*) from acme.orders join acme.customers using (id)"


def asked_values(fake, name):
    """What a read was given, and what the question for its columns was given: the same."""
    kept = [
        {key: value for key, value in asked.query.items() if key == "since" or key.startswith("param.")}
        for asked in fake.asked
        if asked.path.startswith(f"/api/v1/tables/tb_{name}/")
    ]
    assert kept[0] == kept[-1]
    return kept[-1]


def test_a_value_goes_to_every_table_that_asks_for_it_and_by_name_to_one(fake, ws, asking):
    ws.sql(BOTH, parameters={"year": 2025, "acme.orders.kind": "open", "acme.customers": {"year": 2024}})
    assert asked_values(fake, "orders") == {"param.year": "2025", "param.kind": "open"}
    assert asked_values(fake, "customers") == {"param.year": "2024"}


def test_since_is_for_all_tables_or_for_one_by_name(fake, ws, asking):
    ws.sql(BOTH, since="2026-03-01")
    assert [asked_values(fake, name) for name in ("orders", "customers")] == [{"since": "2026-03-01"}] * 2
    fake.asked.clear()
    ws.sql(BOTH, since={"acme.orders": 5})
    assert [asked_values(fake, name) for name in ("orders", "customers")] == [{"since": "5"}, {}]


@pytest.mark.parametrize(
    ("asked", "error", "words"),
    [
        ({"parameters": {"other": 1}}, Invalid, "No table of the query asks for other"),
        ({"parameters": {"acme.unused.other": 1}}, Invalid, "does not read acme.unused"),
        ({"since": {"acme.unused": 1}}, Invalid, "does not read acme.unused"),
        ({"parameters": {"acme.order.year": 1}}, NotFound, "Did you mean acme.orders"),
        ({"since": {"acme.order": 1}}, NotFound, "Did you mean acme.orders"),
    ],
)
def test_a_value_that_no_table_would_be_given_is_refused_before_rows_are_read(fake, ws, asking, asked, error, words):
    with pytest.raises(error, match=words):
        ws.sql(BOTH, **asked)
    assert not [each for each in fake.asked if "/rows" in each.path]


def test_an_unknown_table_is_named_with_what_was_meant(ws, shop):
    with pytest.raises(NotFound, match=r"no table called acme\.order\. Did you mean acme\.orders\?"):
        ws.sql("select * from acme.order")


@pytest.mark.parametrize(
    "query", ["", "selec 1", "select 1; select 2", "drop table acme.orders", "insert into acme.orders values (1)"]
)
def test_what_is_no_single_select_is_refused(ws, shop, query):
    with pytest.raises(Invalid):
        ws.sql(query)


def test_an_unknown_column_is_said_in_one_line(ws, shop):
    with pytest.raises(Invalid, match="nope") as caught:
        ws.sql("select nope from acme.orders")
    assert "\n" not in caught.value.message
    assert "explain" not in caught.value.message


def test_what_duckdb_offers_instead_is_said(ws, shop):
    with pytest.raises(Invalid, match='Candidate bindings: "total"'):
        ws.sql("select totl from acme.orders")


def test_tables_of_two_connections_are_joined(fake, ws, shop):
    tables = [{"id": "tb_orders", "full_name": "acme.orders"}, {"id": "tb_customers", "full_name": "globex.customers"}]
    fake.on("GET", "/tables", {"data": tables, "next_cursor": None})
    answer = ws.sql("select o.id, c.status from acme.orders o join globex.customers c using (id) order by id")
    assert answer.fetchall() == [(1, "open"), (2, "paid")]


def test_names_of_any_kind_are_columns_in_quotes(fake, ws, shop):
    odd = pa.schema([(name, pa.int64()) for name in ("Größe", 'a"b', "a.b", "select", "名前", "with space")])
    shop("orders", schema=odd, rows=[{name: at for at, name in enumerate(odd.names)}])
    query = 'select "Größe", "a""b", "a.b", "select", 名前, "with space" from acme.orders'
    assert ws.sql(query).fetchall() == [(0, 1, 2, 3, 4, 5)]


def test_a_table_without_columns_is_looked_at_again_and_then_said_to_have_none(fake, ws, shop, made):
    shop("orders", schema=pa.schema([]))
    learned = []

    def refresh():
        learned.append(True)
        return made.streamed(b'{"columns": []}')

    fake.on("POST", "/tables/tb_orders/schema/refresh", refresh)
    with pytest.raises(Invalid, match=r"acme\.orders has no columns yet"):
        ws.sql("select * from acme.orders")
    column = {"name": "id", "type": "int64", "nullable": False, "source_path": "$.id"}

    def rows_have_come():
        shop("orders")
        return made.streamed(json.dumps({"columns": [column]}).encode())

    fake.on("POST", "/tables/tb_orders/schema/refresh", rows_have_come)
    assert ws.sql("select id from acme.orders order by id").fetchall() == [(1,), (2,)]
    assert len(learned) == 1


def test_a_query_without_tables_reads_nothing(fake, ws, shop):
    assert ws.sql("select 1 + 1").fetchall() == [(2,)]
    assert not [asked for asked in fake.asked if "/rows" in asked.path]
