"""Where a page leads back to: to a dialog of the table, or a schedule, and nowhere else."""

from __future__ import annotations

from types import SimpleNamespace
from urllib.parse import parse_qs, urlsplit

from hypothesis import given
from hypothesis import strategies as st

from keyturn.web.pages import onward


def table(key: tuple[str, ...] = ()):
    return SimpleNamespace(id="tb_1", settings=SimpleNamespace(row_key=key))


@given(st.text(max_size=200))
def test_nothing_that_is_typed_leads_elsewhere(then):
    found = onward.place(table(), then)
    assert found is None or found.startswith(("/tables/tb_1/import?", "/tables/tb_1/schedule?", "/schedules/"))
    assert found is None or ("//" not in found.partition("?")[0] and found.isprintable())


@given(st.text(max_size=50), st.text(max_size=50), st.sampled_from(["import", "schedule"]))
def test_what_was_typed_comes_back(file, value, back):
    sent = {"mode": "update", "destination.url": file, "param.year": value, "csrf": "secret"}
    there = onward.to_key(table(), back, sent, ("mode", "destination.url", "param.year"))
    parts = urlsplit(there)
    assert (parts.path, parts.fragment) == ("/tables/tb_1", "primary_key")
    home = urlsplit(onward.place(table(), parse_qs(parts.query)["then"][0]))
    assert home.path == f"/tables/tb_1/{back}"
    wanted = {name: sent[name] for name in ("mode", "destination.url", "param.year") if sent[name]}
    assert {name: values[0] for name, values in parse_qs(home.query).items()} == wanted


def test_only_an_update_without_a_key_leads_there():
    assert onward.to_key(table(("id",)), "import", {"mode": "update"}, ("mode",)) is None
    assert onward.to_key(table(), "import", {"mode": "append"}, ("mode",)) is None
    assert onward.place(table(), "schedules/sc_9?mode=update") == "/schedules/sc_9"
    assert onward.place(table(), "schedules/../admin") is None
