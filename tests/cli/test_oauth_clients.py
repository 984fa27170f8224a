import json

import pytest

SCOPES = "read:orders read:customers offline_access"


@pytest.fixture
def register(keyturn, console):
    """Register a client of that name as a person would."""

    def by_hand(name, *options, secret=None):
        made = console(keyturn("clients", "redirect-uri", name).out.strip())
        urls = ["--authorization-url", made["authorization_url"], "--token-url", made["token_url"]]
        words = ["clients", "register", "--name", name, "--client-id", made["client_id"], "--scopes", SCOPES]
        return keyturn(*words, *urls, "--client-secret-stdin", *options, stdin=(secret or made["client_secret"]) + "\n")

    return by_hand


def test_registering_prints_the_redirect_uri_checks_the_client_and_says_so(keyturn, register, world):
    ran = register("Golden CRM")
    host = world.end_system.partition("//")[2]
    assert ran.code == 0
    uri = f"{world.url}/oauth2/callback/golden-crm"
    assert ran.err == f"Redirect URI to paste in Golden CRM's console: {uri}\n"
    first, second = ran.out.rstrip("\n").split("   ")
    assert first.startswith(f"✓ Client accepted by {host} (secret sent ")
    assert second == "✓ Registered Golden CRM"
    assert keyturn("clients", "redirect-uri", "golden crm").out == uri + "\n"


def test_registering_as_json_is_one_object_without_the_secret(register):
    ran = register("Json CRM", "--json", "--access-token-expires-in", "1h", "--refresh-token-expires-in", "0")
    assert ran.json["check"]["verdict"] == "accepted"
    assert ran.json["access_token_expires_in"] == 3_600_000
    assert "client_secret" not in ran.json


def test_a_refused_secret_is_registered_with_a_warning_and_found_by_check(keyturn, register):
    ran = register("Refused CRM", secret="not-the-secret-at-all")
    assert ran.code == 0
    assert ran.out == "✓ Registered Refused CRM\n"
    assert "! Client refused." in ran.err
    check = keyturn("clients", "check", "Refused CRM")
    assert check.code == 1
    assert check.err.startswith("✗ Client refused.")
    told = keyturn("clients", "check", "Refused CRM", "--json")
    assert (told.code, told.json["verdict"]) == (1, "refused")


def test_a_replaced_secret_heals_it(keyturn, register, console, secrets_seen):
    register("Healed CRM", "--no-check", secret="wrong-secret-value")
    secrets_seen.append("wrong-secret-value")
    made = console(keyturn("clients", "redirect-uri", "Healed CRM").out.strip())
    keyturn("clients", "edit", "Healed CRM", "--client-id", made["client_id"])
    ran = keyturn("clients", "replace-secret", "Healed CRM", KEYTURN_CLIENT_SECRET=made["client_secret"])
    assert (ran.code, ran.out) == (0, "✓ The Client Secret of Healed CRM was replaced\n")
    assert keyturn("clients", "check", "Healed CRM").out.startswith("✓ Client accepted by ")


def test_a_secret_is_not_taken_as_an_argument(keyturn, secrets_seen):
    secrets_seen.append("open-secret")
    assert keyturn("clients", "register", "--client-secret=open-secret").code == 2
    assert keyturn("clients", "replace-secret", "Demo CRM", "--client-secret", "x").code == 2


def test_without_a_terminal_the_ways_to_give_a_secret_are_named(keyturn, acme):
    ran = keyturn("clients", "replace-secret", "Demo CRM")
    assert ran.code == 2
    assert "--client-secret-stdin" in ran.err
    assert "KEYTURN_CLIENT_SECRET" in ran.err


def test_fields_that_are_wrong_are_named_a_line_each(keyturn):
    ran = keyturn(
        *("clients", "register", "--name", "X", "--client-id", "x", "--client-secret-stdin", "--scopes", "a"),
        *("--authorization-url", "https:/one.slash", "--token-url", "nonsense"),
        stdin="some-secret-value",
    )
    assert ran.code == 2
    assert "  authorization_url: " in ran.err
    assert "  token_url: " in ran.err


def test_a_taken_name_fails(keyturn, register):
    register("Twice CRM", "--no-check")
    ran = register("Twice CRM", "--no-check")
    assert ran.code == 1
    assert "Another client is called Twice CRM. Choose a different name." in ran.err


def test_clients_are_listed_and_shown(keyturn, acme):
    ran = keyturn("clients", "list")
    assert ran.out.splitlines()[0].split("  ")[0] == "NAME"
    assert "REST API OAuth 2.0 - Auth Code Grant" in ran.out
    assert "Demo CRM" in [client["name"] for client in keyturn("clients", "list", "--json").json["data"]]
    shown = keyturn("clients", "show", "demo crm")
    assert "Redirect URI" in shown.out
    assert keyturn("clients", "show", "Demo CRM", "--json").json["id"] == acme.client["id"]


def test_a_name_that_is_not_there_exits_7_with_what_was_meant(keyturn, acme):
    ran = keyturn("clients", "show", "Dmeo CRM")
    assert (ran.code, ran.out) == (7, "")
    assert "Did you mean Demo CRM?" in ran.err


def test_editing_a_url_clears_the_secret_and_says_what_is_next(keyturn, register, world):
    register("Moved CRM", "--no-check")
    ran = keyturn("clients", "edit", "Moved CRM", "--token-url", world.end_system + "/other/token")
    assert ran.code == 0
    assert "keyturn clients replace-secret 'Moved CRM'" in ran.err
    renamed = keyturn("clients", "edit", "Moved CRM", "--name", "Stayed CRM", "--json")
    assert renamed.json["name"] == "Stayed CRM"
    assert renamed.json["redirect_uri"].endswith("/moved-crm")


def test_a_client_without_a_secret_is_registered_as_public(keyturn, world):
    ran = keyturn(
        *("clients", "register", "--name", "Public CRM", "--client-id", "p", "--public", "--no-check", "--json"),
        *("--scopes", "a", "--authorization-url", world.end_system + "/oauth2/authorize"),
        *("--token-url", world.end_system + "/oauth2/token", "--advanced", json.dumps({"authorize": {}})),
    )
    assert ran.code == 0, ran.err
    assert ran.json["advanced"]["token"]["auth"] == "none"


@pytest.mark.parametrize("given", ["{no json", "@/does/not/exist"])
def test_advanced_settings_that_are_no_json_are_a_usage_error(keyturn, given):
    words = ["clients", "edit", "Demo CRM", "--advanced", given]
    ran = keyturn(*words)
    assert ran.code == 2
    assert "--advanced" in ran.err


def test_deleting_asks_and_a_client_in_use_needs_force(keyturn, register, acme):
    register("Gone CRM", "--no-check")
    ran = keyturn("clients", "delete", "Gone CRM")
    assert ran.code == 2
    assert "Add --yes" in ran.err
    assert keyturn("clients", "delete", "Gone CRM", "--yes").out == "✓ Deleted Gone CRM\n"
    used = keyturn("clients", "delete", "Demo CRM", "--yes")
    assert used.code == 1
    assert "--force" in used.err
