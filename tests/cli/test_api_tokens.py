import re


def test_a_new_token_is_the_only_line_on_stdout_and_is_never_shown_again(keyturn, secrets_seen, world):
    ran = keyturn("tokens", "create", "ci", "-p", "tables:read", "--never-expires")
    token = ran.out.strip()
    assert re.fullmatch(r"kt_\S{32,}", token)
    assert "it is not shown again" in ran.err
    secrets_seen.append(token)
    assert "ci" in keyturn("tokens", "list").out
    assert keyturn("connections", "list", KEYTURN_TOKEN=token).code == 0
    assert keyturn("clients", "delete", "Demo CRM", "--yes", KEYTURN_TOKEN=token).code in {5, 7}
    assert keyturn("tokens", "revoke", "ci").code == 2
    assert keyturn("tokens", "revoke", "ci", "--yes").out == "✓ Revoked ci\n"
    after = keyturn("connections", "list", KEYTURN_TOKEN=token)
    assert after.code == 5
    assert "Fix: keyturn login" in after.err


def test_a_token_without_the_permission_exits_5(keyturn, secrets_seen):
    token = keyturn("tokens", "create", "reader", "-p", "tables:read", "--json").json["token"]
    secrets_seen.append(token)
    ran = keyturn("connections", "add", "nope", "--base-url", "https://x.example", KEYTURN_TOKEN=token)
    assert (ran.code, ran.out) == (5, "")
    assert keyturn("tokens", "revoke", "reader", "--yes").code == 0


def test_permissions_nobody_knows_are_a_usage_error(keyturn):
    ran = keyturn("tokens", "create", "x", "-p", "everything")
    assert ran.code == 2
    assert "tables:read" in ran.err


def test_revoking_what_is_not_there_exits_7(keyturn):
    assert keyturn("tokens", "revoke", "nothing-of-that-name", "--yes").code == 7
