"""Values in requests: moments, parameters, and what nobody knows."""

from __future__ import annotations

import pytest

from keyturn.errors import Invalid
from keyturn.rest.fillings import NEVER, Values, fill, fill_json, fill_path

AT = 1_772_668_800.0  # 2026-03-05T00:00:00Z
VALUES = Values(AT + 3661, {"id": 7, "shop": "a b/ü?#", "open": True, "none": ""})


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("{{today}}", "2026-03-05"),
        ("{{ today - 7d }}", "2026-02-26"),
        ("{{today+1w}}", "2026-03-12"),
        ("{{today-1h}}", "2026-03-04T23:00:00Z"),
        ("{{now}}", "2026-03-05T01:01:01Z"),
        ("{{now-90m}}", "2026-03-04T23:31:01Z"),
        ("{{today:epoch}}", "1772668800"),
        ("{{today-1d:epoch_ms}}", "1772582400000"),
        ("{{last_run}}", NEVER),
        ("id={{id}}&open={{open}}", "id=7&open=true"),
        ("{id} and {} and { {id} } stay", "{id} and {} and { {id} } stay"),
    ],
)
def test_a_text_is_filled(text, filled):
    assert fill(text, VALUES, at="query.x") == filled


@pytest.mark.parametrize(
    ("name", "hint"), [("tody", "{{today}}"), ("shpo", "{{shop}}"), ("today-7", "{{today}}"), ("zzz", "Ask for")]
)
def test_an_unknown_name_is_refused_at_its_field_with_what_was_meant(name, hint):
    with pytest.raises(Invalid) as refused:
        fill(f"a {{{{{name}}}}}", VALUES, at="query.since")
    assert refused.value.problems[0].at == "query.since"
    assert hint in refused.value.message


def test_a_moment_beyond_all_calendars_is_refused():
    with pytest.raises(Invalid, match="calendar"):
        fill("{{today-999999w}}", VALUES, at="query.x")


def test_a_value_in_a_path_stays_one_step():
    assert fill_path("/shops/{shop}/items/{{id}}", VALUES) == "/shops/a%20b%2F%C3%BC%3F%23/items/7"


@pytest.mark.parametrize("value", ["", ".", ".."])
def test_a_value_that_would_lead_elsewhere_is_refused(value):
    with pytest.raises(Invalid, match="lead elsewhere"):
        fill_path("/shops/{shop}", Values(AT, {"shop": value}))


def test_a_value_in_json_keeps_its_type_where_it_stands_alone():
    body = {"id": "{{id}}", "all": ["{{open}}", "is {{open}}"], "n": 1, "none": None}
    assert fill_json(body, VALUES) == {"id": 7, "all": [True, "is true"], "n": 1, "none": None}
