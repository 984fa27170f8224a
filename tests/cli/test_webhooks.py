"""`keyturn webhooks` and `keyturn settings` in front of a real server."""

from __future__ import annotations

import re


def test_a_webhook_from_its_secret_to_its_end(keyturn, secrets_seen):
    added = keyturn("webhooks", "add", "Pager", "https://hooks.invalid/x", "--event", "connection.recovered")
    secret = added.out.strip()
    assert re.fullmatch(r"whsec_\S{40,}", secret)
    assert "it is not shown again" in added.err
    secrets_seen.append(secret)
    (listed,) = keyturn("webhooks", "list", "--json").json["data"]
    assert (listed["events"], "secret" in listed) == (["connection.recovered"], False)
    sent = keyturn("webhooks", "test", "pager", "--json").json
    assert sent["event"] == "webhook.test"
    assert sent["id"] in keyturn("webhooks", "deliveries", "Pager").out
    assert keyturn("webhooks", "retry", "Pager", "msg_unknown").code == 7
    secrets_seen.append(keyturn("webhooks", "replace-secret", "Pager", "--json").json["secret"])
    assert keyturn("webhooks", "edit", "Pager", "--off").code == 0
    assert keyturn("webhooks", "test", "Pager").code == 1, "it is off"
    assert keyturn("webhooks", "delete", "Pager").code == 2
    assert keyturn("webhooks", "delete", "Pager", "--yes").code == 0
    assert keyturn("webhooks", "list").out == ""


def test_an_event_nobody_knows_and_a_private_address_are_usage_errors(keyturn):
    unknown = keyturn("webhooks", "add", "x", "https://hooks.invalid/x", "--event", "connection.exploded")
    assert (unknown.code, "connection.recovered" in unknown.err) == (2, True)
    assert keyturn("webhooks", "add", "x", "https://10.0.0.7/x").code == 2


def test_the_operators_settings_are_shown_without_secrets(keyturn):
    shown = keyturn("settings", "show")
    assert "KEYTURN_SMTP_URL" in shown.out
    by_name = {item["name"]: item for item in keyturn("settings", "show", "--json").json["operator"]}
    assert by_name["KEYTURN_BOOTSTRAP_PASSWORD"]["value"] in {None, "••••••"}
    assert by_name["KEYTURN_PUBLIC_URL"]["line"].startswith("KEYTURN_PUBLIC_URL=")
    without = keyturn("settings", "test-mail")
    assert (without.code, "KEYTURN_SMTP_URL" in without.err) == (2, True)


def test_files_of_imports_are_limited_and_the_limits_shown(keyturn):
    shown = keyturn("settings", "files").out
    assert "for ever" in shown
    assert "no limit" in shown
    changed = keyturn("settings", "files", "--keep-days", "30", "--keep-newest", "5", "--max-total", "2GB")
    assert "30 days" in changed.out
    assert "the 5 newest" in changed.out
    assert f"{2 * 1024**3:,} bytes" in changed.out
    assert keyturn("settings", "files", "--json").json["keep_newest"] == 5
    assert keyturn("settings", "files", "--max-import", "much").code == 2
    assert keyturn("settings", "files", "--keep-days", "0", "--keep-newest", "0", "--max-total", "0").code == 0
