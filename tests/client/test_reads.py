import json

import pyarrow as pa
import pytest

from keyturn.errors import Forbidden, IncompleteData, Invalid, UpstreamError

SCHEMA = pa.schema([("id", pa.int64()), ("name", pa.string())])
ROWS = [[{"id": 1, "name": "a"}, {"id": 2, "name": "b"}], [{"id": 3, "name": "c"}]]
WHOLE = {"rows": 3, "pages": 2, "reported_total": 3, "stop_reason": "no_next", "complete": True, "truncated": False}
MOVED = {
    "error": {"code": "incomplete_data", "message_code": "E-SCHEMA", "message": "A column changed; read again."},
    "completeness": WHOLE | {"stop_reason": "error", "complete": False},
    "finished_at": "2026-01-01T00:00:00Z",
}
TABLE = {"id": "tb_1", "full_name": "acme.orders"}


@pytest.fixture
def orders(fake, ws):
    fake.on("GET", "/tables", {"data": [TABLE], "next_cursor": None})
    return ws.table("acme.orders")


@pytest.fixture
def rows(fake, made):
    def answer(stamp, *, cut_after=None, **options):
        body = made.arrow(ROWS, stamp, schema=SCHEMA, **options)
        cut = len(body) + cut_after if cut_after is not None and cut_after < 0 else cut_after
        fake.on("GET", "/tables/tb_1/rows", lambda: made.streamed(body, cut_after=cut))

    return answer


def test_a_stamped_read_is_one_arrow_table(fake, orders, rows):
    rows(WHOLE)
    read = orders.read()
    assert read.to_arrow().to_pylist() == [row for page in ROWS for row in page]
    assert read.completeness.complete is True
    assert fake.asked[-1].query == {"format": "arrow"}


def test_batches_stream_in_the_size_asked_for(orders, rows):
    rows(WHOLE)
    assert [batch.num_rows for batch in orders.read().batches(1)] == [1, 1, 1]
    assert [batch.num_rows for batch in orders.read().batches()] == [2, 1]
    with pytest.raises(Invalid):
        next(orders.read().batches(0))


def test_a_limit_is_sent_and_what_it_leaves_out_is_no_error(fake, orders, rows):
    rows(WHOLE | {"complete": False, "truncated": True, "stop_reason": "max_rows"})
    read = orders.read(limit=3)
    assert read.to_arrow().num_rows == 3
    assert read.completeness.truncated
    assert fake.asked[-1].query == {"format": "arrow", "limit": "3"}


def test_a_stream_without_the_stamp_is_incomplete(orders, rows):
    rows(None)
    with pytest.raises(IncompleteData, match="before its completeness stamp"):
        orders.read().to_arrow()


def test_a_stamp_that_says_incomplete_is_loud_unless_it_was_allowed(orders, rows):
    rows(WHOLE | {"complete": False, "stop_reason": "repeated_page", "note": "Page 3 is identical to page 2."})
    with pytest.raises(IncompleteData, match=r"Page 3 is identical to page 2\. Pass allow_incomplete") as caught:
        orders.read().to_arrow()
    assert json.loads(json.dumps(caught.value.details))["completeness"]["stop_reason"] == "repeated_page"
    read = orders.read(allow_incomplete=True)
    assert read.to_arrow().num_rows == 3
    assert read.completeness.is_short


def test_a_total_nobody_told_is_no_error(orders, rows):
    rows(WHOLE | {"complete": None, "reported_total": None})
    assert orders.read().to_arrow().num_rows == 3


@pytest.mark.parametrize("cut_after", [0, 5, 100, -300, -9, -1])
def test_a_body_cut_anywhere_is_incomplete(orders, rows, cut_after):
    rows(WHOLE, cut_after=cut_after)
    with pytest.raises(IncompleteData):
        orders.read().to_arrow()


def test_a_body_whose_every_byte_came_but_whose_end_did_not_is_incomplete(orders, fake, made):
    body = made.arrow(ROWS, WHOLE, schema=SCHEMA)
    fake.on("GET", "/tables/tb_1/rows", lambda: made.streamed(body, cut_after=len(body)))
    with pytest.raises(IncompleteData):
        orders.read().to_arrow()


def test_batches_raise_after_the_last_of_a_read_that_is_not_whole(orders, rows):
    rows(None)
    batches = orders.read().batches()
    assert [next(batches).num_rows, next(batches).num_rows] == [2, 1]
    with pytest.raises(IncompleteData):
        next(batches)


def test_what_came_of_a_cut_body_can_be_had_by_those_who_ask_for_it(orders, rows):
    rows(None)
    read = orders.read(allow_incomplete=True)
    assert read.to_arrow().num_rows == 3
    assert read.completeness is None
    rows(WHOLE, cut_after=0)
    assert orders.read(allow_incomplete=True).to_arrow().num_rows == 0


def test_the_servers_memory_of_the_read_says_why_it_ended(fake, orders, rows):
    rows(WHOLE, cut_after=-300)
    error = {"code": "upstream", "message_code": "E-UPSTREAM", "message": "Acme CRM is having trouble (503)."}
    stamp = WHOLE | {"rows": 2, "complete": False, "stop_reason": "error"}
    fake.on("GET", "/reads/rd_1", {"error": error, "completeness": stamp, "finished_at": "2026-01-01T00:00:00Z"})
    with pytest.raises(IncompleteData, match=r"Acme CRM is having trouble \(503\)") as caught:
        orders.read().to_arrow()
    assert caught.value.message_code == "E-UPSTREAM"
    assert isinstance(caught.value.__cause__, UpstreamError)


def test_a_schema_that_moved_is_read_again_by_whoever_wants_the_whole(fake, orders, made):
    whole = made.arrow(ROWS, WHOLE, schema=SCHEMA)
    cut = [lambda: made.streamed(whole, cut_after=100), lambda: made.streamed(whole)]
    fake.on("GET", "/reads/rd_1", MOVED)
    fake.on("GET", "/tables/tb_1/rows", *cut)
    assert orders.read().to_arrow().num_rows == 3
    fake.on("GET", "/tables/tb_1/rows", *cut)
    with pytest.raises(IncompleteData, match="read again") as caught:
        list(orders.read(allow_incomplete=True).batches())
    assert caught.value.message_code == "E-SCHEMA"


def test_a_schema_that_moves_for_ever_ends(fake, orders, rows):
    fake.on("GET", "/reads/rd_1", MOVED)
    rows(WHOLE, cut_after=100)
    with pytest.raises(IncompleteData):
        orders.read().to_arrow()


def test_a_stamp_on_a_batch_with_rows_is_no_stamp(orders, rows):
    rows(WHOLE, stamp_on_rows=True)
    with pytest.raises(IncompleteData):
        orders.read().to_arrow()


def test_rows_after_the_stamp_are_no_complete_read(fake, orders, made):
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, SCHEMA) as writer:
        empty = pa.RecordBatch.from_pylist([], schema=SCHEMA)
        writer.write_batch(empty, custom_metadata={"keyturn.completeness": json.dumps(WHOLE)})
        writer.write_batch(pa.RecordBatch.from_pylist(ROWS[0], schema=SCHEMA))
    body = sink.getvalue().to_pybytes()
    fake.on("GET", "/tables/tb_1/rows", lambda: made.streamed(body))
    with pytest.raises(IncompleteData):
        orders.read().to_arrow()


@pytest.mark.parametrize("stamp", ["[1]", "nonsense", "null"])
def test_a_stamp_that_cannot_be_read_is_no_stamp(fake, orders, made, stamp):
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, SCHEMA) as writer:
        writer.write_batch(
            pa.RecordBatch.from_pylist([], schema=SCHEMA), custom_metadata={"keyturn.completeness": stamp}
        )
    body = sink.getvalue().to_pybytes()
    fake.on("GET", "/tables/tb_1/rows", lambda: made.streamed(body))
    with pytest.raises(IncompleteData):
        orders.read().to_arrow()


def test_errors_before_the_first_row_are_raised_as_themselves(fake, orders):
    fake.problem("GET", "/tables/tb_1/rows", 403, "forbidden", "acme is for Ana alone.")
    with pytest.raises(Forbidden):
        orders.read().to_arrow()


def test_a_library_that_is_not_installed_is_told_before_the_table_is_read(fake, orders, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pandas", None)
    monkeypatch.setitem(__import__("sys").modules, "polars", None)
    before = len(fake.asked)
    with pytest.raises(Invalid, match="pip install pandas"):
        orders.read().to_pandas()
    with pytest.raises(Invalid, match="pip install polars"):
        orders.read().to_polars()
    assert len(fake.asked) == before
