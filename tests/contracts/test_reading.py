"""What a table can do, row by row of the promise, each over the HTTP API, the command line and the Python client."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from surfaces import Failed

NONE = {"rows_path": "$", "pagination": {"type": "none"}}


def test_row1_values_are_asked_for_each_time_and_go_where_they_belong(surface, connection, api):
    api.on("shops", lambda asked: [{"path": asked["path"], "kind": asked["query"].get("kind")}])
    parameters = [{"name": "shop", "type": "text"}, {"name": "kind", "default": "open"}]
    surface.create(connection, "orders", path="/shops/{shop}/orders", query={"kind": "{{kind}}"},
                   parameters=parameters, **NONE)  # fmt: skip
    rows, stamp = surface.read(f"{connection}.orders", shop="a b/c")
    assert rows == [{"path": "shops/a b/c/orders", "kind": "open"}]
    assert stamp["complete"] is True
    assert surface.preview(f"{connection}.orders", shop="x", kind="shut")["rows"] == [["shops/x/orders", "shut"]]


def test_row1_what_is_not_given_or_not_right_is_refused_by_name(surface, connection, api):
    api.on("things", lambda asked: [asked["query"]])
    parameters = [{"name": "year", "type": "integer"}]
    name = f"{connection}.things"
    surface.create(connection, "things", path="/things", query={"y": "{{year}}"}, parameters=parameters, **NONE)
    with pytest.raises(Failed, match="asks for it each time"):
        surface.read(name)
    with pytest.raises(Failed, match="Enter a whole number"):
        surface.read(name, year="soon")
    with pytest.raises(Failed, match="does not ask for yaer"):
        surface.read(name, year=1, yaer=2)
    assert api.asked == []


def test_row1_days_are_counted_from_today(surface, connection, api):
    api.on("things", lambda asked: [asked["query"]])
    query = {"since": "{{today-7d}}", "at": "{{now:epoch}}", "last": "{{last_run}}"}
    surface.create(connection, "things", path="/things", query=query, **NONE)
    [row], _ = surface.read(f"{connection}.things")
    assert (datetime.now(UTC).date() - datetime.fromisoformat(str(row["since"])).date()).days in {7, 8}
    assert abs(datetime.now(UTC).timestamp() - int(row["at"])) < 600
    assert str(row["last"]).startswith("1970-01-01")


def test_row1_a_value_nobody_knows_is_refused_with_what_was_meant(surface, connection):
    with pytest.raises(Failed, match=r"\{\{tody\}\} is not a value we know. Did you mean \{\{today\}\}"):
        surface.create(connection, "things", path="/things", query={"since": "{{tody}}"}, **NONE)


def test_row1_a_post_that_only_reads_has_values_in_its_body_and_headers(surface, connection, api):
    api.on("search", lambda asked: [{"body": json.loads(asked["body"]), "kind": asked["headers"]["x-kind"]}])
    parameters = [{"name": "most", "type": "integer", "default": 5}, {"name": "kind", "default": "a"}]
    surface.create(connection, "found", method="POST", path="/search", parameters=parameters,
                   body={"filter": {"most": "{{most}}", "text": "at most {{most}}"}}, headers={"X-Kind": "{{kind}}"},
                   **NONE)  # fmt: skip
    [row], _ = surface.read(f"{connection}.found", most=7)
    assert (row["body.filter.most"], row["body.filter.text"], row["kind"]) == (7, "at most 7", "a")
    assert api.asked[-1]["method"] == "POST"


def test_row9_only_rows_since_a_time_are_asked_for(surface, connection, api):
    api.on("things", lambda asked: [{"id": 1, "asked": asked["query"].get("changed_after", "everything")}])
    only = {"column": "updated_at", "param": "changed_after"}
    surface.create(connection, "things", path="/things", incremental=only, **NONE)
    assert surface.read(f"{connection}.things")[0][0]["asked"] == "everything"
    if surface.kind == "cli":  # an import knows by itself since when; a look at the rows does not
        found = surface.preview(f"{connection}.things", since="2026-01-01")["rows"]
    else:
        found = [list(row.values()) for row in surface.read(f"{connection}.things", since="2026-01-01")[0]]
    assert found == [[1, "2026-01-01"]]


def test_row9_an_import_that_updates_reads_what_is_new_and_looks_back(surface, connection, api):
    rows = [{"id": n, "updated_at": f"2026-03-0{n}T12:00:00Z"} for n in (1, 2, 3)]

    def things(asked):
        after = asked["query"].get("after", "")
        return [row for row in rows if row["updated_at"] >= after]

    api.on("things", things)
    only = {"column": "updated_at", "param": "after", "look_back_seconds": 86_400}
    surface.create(connection, "things", path="/things", primary_key=["id"], incremental=only, **NONE)
    place = f"{connection}.parquet"
    assert surface.import_to(f"{connection}.things", place, mode="update")["rows"] == 3
    rows[1]["updated_at"], rows[2]["note"] = "2026-03-04T00:00:00Z", "late"
    rows.append({"id": 4, "updated_at": "2026-03-05T12:00:00Z"})
    item = surface.import_to(f"{connection}.things", place, mode="update")
    assert api.asked[-1]["query"]["after"] == "2026-03-02T12:00:00Z"
    assert (item["status"], item["rows"]) == ("complete", 3)
    again = surface.import_to(f"{connection}.things", place, mode="update")
    assert api.asked[-1]["query"]["after"] == "2026-03-04T12:00:00Z"
    assert again["rows"] == 1
    # Another place has seen nothing yet, and replacing is always everything.
    surface.import_to(f"{connection}.things", f"other-{place}", mode="update")
    assert "after" not in api.asked[-1]["query"]
    surface.import_to(f"{connection}.things", place, mode="replace")
    assert "after" not in api.asked[-1]["query"]
    with pytest.raises(Failed, match="Append would repeat"):
        surface.import_to(f"{connection}.things", place, mode="append")
