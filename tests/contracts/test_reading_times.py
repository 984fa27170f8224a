"""Times: typed whatever zone they are in, given as days that are counted from today, over API, command line, client and pages."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from starlette.responses import Response

from surfaces import Failed

NONE = {"rows_path": "$", "pagination": {"type": "none"}}
# What an API writes, and the instant that it is.
MOMENTS = {
    "2026-03-01T10:00:00Z": datetime(2026, 3, 1, 10, tzinfo=UTC),
    "2026-03-01T10:00:00+05:30": datetime(2026, 3, 1, 4, 30, tzinfo=UTC),
    "2026-03-01T00:30:00-0800": datetime(2026, 3, 1, 8, 30, tzinfo=UTC),
    "2026-03-29T02:30:00.123456+01:00": datetime(2026, 3, 29, 1, 30, 0, 123456, tzinfo=UTC),
    "1969-12-31T23:59:59.5Z": datetime(1969, 12, 31, 23, 59, 59, 500_000, tzinfo=UTC),
}


def moment(cell) -> datetime:
    return cell if isinstance(cell, datetime) else datetime.fromisoformat(cell)


def day(cell) -> date:
    return cell if isinstance(cell, date) else date.fromisoformat(cell)


@pytest.mark.parametrize("format", ["json", "csv", "ndjson"])
def test_row5_times_of_any_zone_are_one_typed_column_of_the_same_instants(surface, connection, api, format):
    rows = [{"id": n, "at": text, "day": f"2026-02-{27 + n:02}"} for n, text in enumerate(list(MOMENTS)[:2])]
    rows += [{"id": n + 2, "at": text, "day": "2024-02-29"} for n, text in enumerate(list(MOMENTS)[2:])]
    texts = {
        "json": "[" + ",".join(map(_json, rows)) + "]",
        "ndjson": "\n".join(map(_json, rows)),
        "csv": "\n".join(["id,at,day", *(f"{row['id']},{row['at']},{row['day']}" for row in rows)]),
    }
    api.on("things", lambda _: Response(texts[format], media_type="text/plain"))
    name = f"{connection}.things"
    surface.create(connection, "things", path="/things", format=format, **NONE)
    found, _ = surface.read(name)
    assert [moment(row["at"]) for row in found] == list(MOMENTS.values())
    assert [day(row["day"]) for row in found] == [date.fromisoformat(row["day"]) for row in rows]
    types = {column["name"]: column["type"] for column in surface.schema(name)}
    assert (types["at"], types["day"]) == ("timestamp", "date")


def _json(row) -> str:
    return f'{{"id": {row["id"]}, "at": "{row["at"]}", "day": "{row["day"]}"}}'


@pytest.mark.parametrize(
    "text", ["2026-03-01T10:00:00", "2026-03-01T10:00:00.1234567Z", "2026-03-01T10:00:60Z", "2026-02-30", "01.03.2026"]
)
def test_row5_what_is_no_certain_instant_stays_the_text_it_was(surface, connection, api, text):
    api.on("things", [{"at": "2026-03-01T10:00:00Z", "day": "2026-03-01"}, {"at": text, "day": text}])
    name = f"{connection}.things"
    surface.create(connection, "things", path="/things", **NONE)
    rows, stamp = surface.read(name)
    assert (rows[1]["at"], rows[1]["day"]) == (text, text)
    assert (rows[0]["at"], rows[0]["day"]) == ("2026-03-01T10:00:00Z", "2026-03-01")
    assert not stamp["rejected"]


def test_row1_a_day_is_asked_for_and_may_be_counted_from_today(surface, connection, api):
    api.on("things", lambda asked: [{"asked": asked["query"]["day"]}])
    name = f"{connection}.things"
    parameters = [{"name": "day", "type": "date", "default": "today-7d"}]
    surface.create(connection, "things", path="/things", query={"day": "{{day}}"}, parameters=parameters, **NONE)

    def sent(**asked) -> date:
        surface.read(name, **asked)
        return date.fromisoformat(api.asked[-1]["query"]["day"])

    def today() -> date:
        return datetime.now(UTC).date()

    before = today()
    assert before <= sent() + timedelta(days=7) <= today()
    assert before <= sent(day="today") <= today()
    assert before <= sent(day="today-2w") + timedelta(days=14) <= today()
    assert sent(day="2024-02-29") == date(2024, 2, 29)
    if surface.kind == "client":
        assert sent(day=date(2026, 1, 31)) == date(2026, 1, 31)
    count = len(api.asked)
    for wrong in ("31.01.2026", "2023-02-29", "soon"):
        with pytest.raises(Failed, match="Enter a day, for example 2026-01-31"):
            surface.read(name, day=wrong)
    assert len(api.asked) == count


@pytest.mark.parametrize(
    ("send_as", "sent"),
    [("as_is", "2026-03-01T10:30:00Z"), ("date", "2026-03-01"), ("epoch", "1772361000"), ("epoch_ms", "1772361000000")],
)
def test_row9_where_new_rows_begin_is_sent_in_the_form_that_the_api_takes(surface, connection, api, send_as, sent):
    api.on("things", [{"id": 1, "at": "2026-03-02T12:00:00+01:00"}])
    only = {
        "column": "at",
        "param": "after",
        "look_back_seconds": 1800,
        "start": "2026-03-01T10:30:00Z",
        "send_as": send_as,
    }
    surface.create(connection, "things", path="/things", primary_key=["id"], incremental=only, **NONE)
    place = f"{connection}-{send_as}.parquet"
    surface.import_to(f"{connection}.things", place, mode="update")
    assert api.asked[-1]["query"]["after"] == sent
    # The mark is an instant, whatever zone the API writes it in.
    surface.import_to(f"{connection}.things", place, mode="update")
    marked = {"as_is": "2026-03-02T10:30:00Z", "date": "2026-03-02", "epoch": "1772447400", "epoch_ms": "1772447400000"}
    assert api.asked[-1]["query"]["after"] == marked[send_as]
