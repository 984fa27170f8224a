"""The builder's form: what is saved comes back as it was typed, and what is emptied is emptied."""

from __future__ import annotations

import pytest

from keyturn.errors import Invalid
from keyturn.model.tables import TableSettings
from keyturn.model.validation import merge_patch, parse
from keyturn.web.pages import table_form

SETTINGS = {
    "connection_id": "cn_1",
    "name": "orders",
    "path": "/shops/{shop}",
    "query": {"after": "{{today-7d}}", "year": "{{year}}"},
    "pagination": {"type": "none"},
    "parameters": [
        {"name": "shop"},
        {"name": "year", "type": "integer", "default": 2026},
        {"name": "open", "type": "boolean", "default": True},
    ],
    "incremental": {"column": "updated_at", "param": "since", "look_back_seconds": 60},
}


def test_settings_come_back_from_the_form_as_they_were():
    settings = parse(TableSettings, SETTINGS)
    again = parse(TableSettings, table_form.raw(table_form.values_of(settings)))
    assert again.parameters[0] == settings.parameters[0]
    assert [item.type for item in again.parameters] == ["text", "integer", "boolean"]
    assert again.incremental == settings.incremental
    assert table_form.values_of(again) == table_form.values_of(settings)


def test_what_the_form_does_not_show_stays_and_what_is_emptied_is_cleared():
    settings = parse(TableSettings, {**SETTINGS, "incremental": {**SETTINGS["incremental"], "send_as": "epoch"}})
    sent = {**table_form.values_of(settings), "incremental.param": ""}
    patched = merge_patch(settings.model_dump(mode="json"), table_form.patch(sent, settings))
    found = parse(TableSettings, patched).incremental
    assert (found.param, found.send_as) == (None, "epoch")
    sent["incremental.column"] = ""
    patched = merge_patch(settings.model_dump(mode="json"), table_form.patch(sent, settings))
    assert parse(TableSettings, patched).incremental is None


def test_days_without_new_data_are_kept_and_emptied():
    settings = parse(TableSettings, {**SETTINGS, "no_new_data_days": 2})
    assert parse(TableSettings, table_form.raw(table_form.values_of(settings))).no_new_data_days == 2
    emptied = table_form.values_of(settings) | {"no_new_data_days": " "}
    changed = merge_patch(settings.model_dump(mode="json"), table_form.patch(emptied, settings))
    assert parse(TableSettings, changed).no_new_data_days is None


def test_a_parent_comes_back_as_it_was_and_is_changed_and_emptied():
    parent = {"table": "orders", "values": {"order_id": "id", "shop": "shop.id"}}
    settings = parse(TableSettings, {**SETTINGS, "path": "/orders/{order_id}", "parent": parent})
    sent = table_form.values_of(settings)
    assert sent["parent.values"] == "order_id=id\nshop=shop.id"
    assert parse(TableSettings, table_form.raw(sent)).parent == settings.parent
    fewer = sent | {"parent.values": "order_id = number"}
    patched = merge_patch(settings.model_dump(mode="json"), table_form.patch(fewer, settings))
    assert parse(TableSettings, patched).parent.values == {"order_id": "number"}
    none = sent | {"parent.table": "", "parent.values": " "}
    patched = merge_patch(settings.model_dump(mode="json"), table_form.patch(none, settings))
    assert parse(TableSettings, patched).parent is None


def test_a_parent_without_values_is_told_at_its_field():
    sent = table_form.values_of(parse(TableSettings, SETTINGS)) | {"parent.table": "orders"}
    with pytest.raises(Invalid) as told:
        parse(TableSettings, table_form.raw(sent))
    assert [problem.at for problem in told.value.problems] == ["parent.values"]


def test_a_pin_of_the_schema_is_set_and_taken_away():
    settings = parse(TableSettings, {**SETTINGS, "columns": [{"name": "total", "type": "string"}]})
    sent = table_form.values_of(settings) | {"pin:total": "", "pin:id": "int64", "pin_name": "new", "pin_type": "date"}
    assert table_form.pins_of(sent) == {"id": "int64", "new": "date"}


def test_limits_are_kept_and_emptied():
    settings = parse(
        TableSettings, {**SETTINGS, "requests_per_second": 2.5, "format": "csv", "columns_param": "fields"}
    )
    again = parse(TableSettings, table_form.raw(table_form.values_of(settings)))
    assert (again.requests_per_second, again.format, again.columns_param) == (2.5, "csv", "fields")
    emptied = table_form.values_of(settings) | {"requests_per_second": "", "columns_param": ""}
    changed = parse(TableSettings, merge_patch(settings.model_dump(mode="json"), table_form.patch(emptied, settings)))
    assert (changed.requests_per_second, changed.columns_param) == (None, None)
