import pytest

from keyturn.client.tables import sample_of
from keyturn.errors import NotFound

COLUMN = {"name": "id", "type": "int64", "nullable": True, "source_path": "$.id", "note": None}
TABLE = {"id": "tb_1", "full_name": "acme.orders"}


def sample(rows, total=77182, **changes):
    found = {
        "columns": [COLUMN],
        "rows": rows,
        "truncated": True,
        "reported_total": total,
        "stop_reason": "max_rows",
        "read_at": "2026-11-24T14:02:00.000Z",
    }
    return sample_of(found | changes)


@pytest.fixture
def orders(fake, ws):
    fake.on("GET", "/tables", {"data": [TABLE], "next_cursor": None})
    return ws.table("acme.orders")


def test_a_table_is_found_by_its_full_name(fake, ws, orders):
    assert repr(orders) == "Table('acme.orders')"
    with pytest.raises(NotFound, match=r"Did you mean acme\.orders\?"):
        ws.table("acme.order")


def test_the_schema_is_learned_when_it_was_not_yet(fake, orders):
    fake.on("GET", "/tables/tb_1/schema", {"columns": None})
    fake.on("POST", "/tables/tb_1/schema/refresh", {"columns": [COLUMN]})
    schema = orders.schema
    assert [(column.name, column.type) for column in schema] == [("id", "int64")]
    assert repr(schema) == "Schema(\n  id  int64\n)"
    fake.on("GET", "/tables/tb_1/schema", {"columns": []})
    assert repr(orders.schema) == "Schema()"


def test_a_preview_says_how_much_of_the_whole_it_is(fake, orders):
    fake.on(
        "GET",
        "/tables/tb_1/preview",
        {"columns": [COLUMN], "rows": [[1]], "truncated": True, "reported_total": 3, "stop_reason": "max_rows"},
    )
    found = orders.preview(1)
    assert fake.asked[-1].query == {"limit": "1"}
    assert repr(found).splitlines()[0] == "Sample(rows=1, truncated=True, reported_total=3)"
    assert found.to_dicts() == [{"id": 1}]
    assert len(found) == 1


def test_the_banner_is_in_both_representations():
    known = sample([[1], [2]])
    assert "first 2 rows, 1 page, read " in known.banner
    assert known.banner.endswith("The API reports 77,182 rows.")
    assert known.banner in repr(known)
    assert known.banner in known._repr_html_()
    assert sample([[1]], total=None).banner.endswith("The API does not say how many there are.")


def test_html_from_the_api_stays_text():
    page = sample([["<script>alert(1)</script>"], [None]], columns=[COLUMN | {"name": "<b>"}])._repr_html_()
    assert "<script>" not in page
    assert "&lt;b&gt;" in page
    assert "<em>null</em>" in page


def test_a_long_sample_is_shortened_on_screen_and_says_so():
    page = sample([[i] for i in range(50)])._repr_html_()
    assert page.count("<tr>") == 21
    assert "and 30 more rows in this sample" in page


def test_tables_are_made_detected_listed_and_deleted(fake, ws, orders):
    fake.on("POST", "/tables", TABLE, status=201)
    fake.on("POST", "/tables/detect", {"evidence": []})
    fake.on("DELETE", "/tables/tb_1", None, status=200)
    assert ws.tables.create({"name": "orders"}).id == "tb_1"
    assert ws.tables.detect({"path": "/orders"}) == {"evidence": []}
    assert [table.name for table in ws.tables] == ["acme.orders"]
    orders.delete()
    assert fake.asked[-1].method == "DELETE"
