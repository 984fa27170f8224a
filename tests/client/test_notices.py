"""`ws.notices`, `ws.webhooks`, `ws.settings`: what goes over the wire."""

from __future__ import annotations

HOOK = {"id": "wh_1", "name": "Pager"}


def test_notices_are_read_page_by_page_and_the_open_ones_alone(fake, ws):
    fake.on("GET", "/notices", {"data": [{"id": "nt_1"}], "next_cursor": "x"}, {"data": [{"id": "nt_2"}]})
    assert [notice["id"] for notice in ws.notices] == ["nt_1", "nt_2"]
    fake.on("GET", "/notices", {"data": [{"id": "nt_3"}], "next_cursor": None})
    assert [notice["id"] for notice in ws.notices.open] == ["nt_3"]
    assert fake.asked[-1].query == {"open": "true"}


def test_webhooks_are_found_by_name(fake, ws):
    fake.on("GET", "/webhooks", {"data": [HOOK], "next_cursor": None})
    fake.on("POST", "/webhooks", {**HOOK, "secret": "whsec_x"}, status=201)
    fake.on("PATCH", "/webhooks/wh_1", HOOK)
    fake.on("DELETE", "/webhooks/wh_1", None)
    for route in ("secret", "test", "deliveries/msg_1/retry"):
        fake.on("POST", f"/webhooks/wh_1/{route}", HOOK)
    fake.on("GET", "/webhooks/wh_1/deliveries", {"data": [{"id": "msg_1"}], "next_cursor": None})
    assert ws.webhooks.create({"name": "Pager", "url": "https://x.example"})["secret"] == "whsec_x"
    assert ws.webhooks.update("pager", {"enabled": False}) == HOOK
    assert fake.asked[-1].json == {"enabled": False}
    ws.webhooks.test("Pager")
    ws.webhooks.replace_secret("Pager")
    ws.webhooks.retry("Pager", "msg_1")
    assert [delivery["id"] for delivery in ws.webhooks.deliveries("Pager")] == ["msg_1"]
    ws.webhooks.delete("Pager")
    assert [(a.method, a.path.removeprefix("/api/v1")) for a in fake.asked if a.method in {"POST", "DELETE"}] == [
        ("POST", "/webhooks"),
        ("POST", "/webhooks/wh_1/test"),
        ("POST", "/webhooks/wh_1/secret"),
        ("POST", "/webhooks/wh_1/deliveries/msg_1/retry"),
        ("DELETE", "/webhooks/wh_1"),
    ]


def test_settings_and_preferences(fake, ws):
    fake.on("GET", "/settings", {"mail": {"server": None}, "operator": []})
    fake.on("POST", "/settings/mail/test", {"sent_to": "ana@example.com"})
    fake.on("PATCH", "/me", {"notify": "mine"})
    assert ws.settings.found["mail"] == {"server": None}
    fake.on("GET", "/settings/files", {"keep_days": 3, "used": {"files": 1}})
    fake.on("PATCH", "/settings/files", {"keep_days": 4})
    assert ws.settings.files["keep_days"] == 3
    assert ws.settings.change_files(keep_days=4, max_total_bytes="2 GB") == {"keep_days": 4}
    assert fake.asked[-1].json == {"keep_days": 4, "max_total_bytes": "2 GB"}
    assert ws.settings.test_mail() == "ana@example.com"
    ws.notify_me_about("mine")
    assert fake.asked[-1].json == {"notify": "mine"}
    assert "kt_" not in repr((ws.notices, ws.webhooks, ws.settings))
