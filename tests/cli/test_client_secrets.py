import pytest


@pytest.fixture
def registered(keyturn, console):
    made = console(keyturn("clients", "redirect-uri", "Rolling CRM").out.strip())
    urls = ["--authorization-url", made["authorization_url"], "--token-url", made["token_url"]]
    words = ["clients", "register", "--name", "Rolling CRM", "--client-id", made["client_id"], "--no-check"]
    ran = keyturn(*words, *urls, "--client-secret-stdin", "--secret-expires-on", "2031-01-31", "--json",
                  stdin=made["client_secret"] + "\n")  # fmt: skip
    yield ran.json
    keyturn("clients", "delete", "Rolling CRM", "--yes")


def test_a_second_secret_is_added_listed_ordered_and_removed(keyturn, registered, secrets_seen):
    secrets_seen.append("the-next-secret")
    assert registered["secrets"][0]["expires_on"] == "2031-01-31"
    ran = keyturn("clients", "replace-secret", "Rolling CRM", "--keep-old", "--expires-on", "2032-01-31",
                  KEYTURN_CLIENT_SECRET="the-next-secret")  # fmt: skip
    assert ran.code == 0
    newer, older = keyturn("clients", "secrets", "Rolling CRM", "--json").json["data"]
    assert (newer["expires_on"], older["id"]) == ("2032-01-31", registered["secrets"][0]["id"])
    check = keyturn("clients", "check", "Rolling CRM")
    assert check.out.startswith("✓ Client accepted by ")
    table = keyturn("clients", "secrets", "Rolling CRM").out
    assert table.split("\n")[0].split() == ["SECRET", "SAVED", "EXPIRES", "LAST", "WORKED", "LAST", "REFUSED"]
    assert keyturn("clients", "edit-secret", "Rolling CRM", older["id"], "--first").code == 0
    assert keyturn("clients", "secrets", "Rolling CRM", "--json").json["data"][0]["id"] == older["id"]
    assert keyturn("clients", "remove-secret", "Rolling CRM", newer["id"]).code == 0
    alone = keyturn("clients", "remove-secret", "Rolling CRM", older["id"])
    assert alone.code == 1
    assert "only secret" in alone.err


def test_nothing_to_change_is_said(keyturn, registered):
    ran = keyturn("clients", "edit-secret", "Rolling CRM", registered["secrets"][0]["id"])
    assert (ran.code, "--expires-on" in ran.err) == (2, True)
