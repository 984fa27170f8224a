import re
import signal

import pytest


def test_connecting_makes_the_connection_prints_the_link_and_waits(process, sign_in, acme, world, keyturn):
    running = process(
        "connections", "connect", "fresh", "--client", "Demo CRM", "--base-url", world.end_system + "/api/v1"
    )
    line = running.stderr.readline()
    assert re.fullmatch(rf"Open this link to sign in \(waiting, 10 min\):  {world.url}/connect/\S+\n", line)
    sign_in(line.split()[-1])
    out, err = running.communicate(timeout=30)
    assert out == "✓ Connected as jane@demo · scopes 3 of 3 · refresh token yes · works until renewed\n"
    assert (running.returncode, err) == (0, "")
    again = keyturn("connections", "connect", "fresh", "--no-wait")
    assert again.code == 0
    assert again.out.startswith(f"{world.url}/connect/")
    assert keyturn("connections", "connect", "fresh", "--base-url", "https://other.example").code == 1
    assert keyturn("connections", "connect", "fresh", "--client", "Other CRM").code == 1


def test_a_sign_in_that_was_not_allowed_fails_with_its_sentence(process, sign_in, acme, world):
    base = world.end_system + "/api/v1"
    running = process("connections", "connect", "denied", "--client", "Demo CRM", "--base-url", base)
    sign_in(running.stderr.readline().split()[-1], decision="deny")
    _out, err = running.communicate(timeout=30)
    assert running.returncode == 1
    assert "✗ E-DENIED Access was not granted. If that was a mistake, try again and choose Allow." in err


def test_control_c_leaves_the_link_and_says_how_to_go_on(process, acme, world):
    base = world.end_system + "/api/v1"
    running = process("connections", "connect", "patience", "--client", "Demo CRM", "--base-url", base)
    link = running.stderr.readline().split()[-1]
    running.send_signal(signal.SIGINT)
    _out, err = running.communicate(timeout=30)
    assert running.returncode == 130
    assert link in err
    assert "keyturn connections show patience" in err
    assert "Traceback" not in err


def test_a_new_connection_needs_a_base_url(keyturn, acme):
    ran = keyturn("connections", "connect", "nowhere", "--client", "Demo CRM")
    assert ran.code == 2
    assert "Enter the Base URL" in ran.err


def test_an_unknown_client_exits_7(keyturn, acme, world):
    ran = keyturn("connections", "connect", "x1", "--client", "Demo CMR", "--base-url", world.end_system)
    assert ran.code == 7
    assert "Did you mean Demo CRM?" in ran.err


def test_connections_are_listed_with_their_health(keyturn, acme):
    lines = keyturn("connections", "list").out.splitlines()
    assert lines[0].split() == ["NAME", "ACCOUNT", "HEALTH", "LAST", "DATA", "USED", "BY"]
    row = next(line for line in lines if line.startswith("acme "))
    assert re.search(r"^acme\s+jane@demo\s+Healthy\s", row)
    assert row.endswith("1 table")
    names = [item["name"] for item in keyturn("connections", "list", "--json").json["data"]]
    assert "acme" in names


def test_one_connection_is_shown(keyturn, acme):
    shown = keyturn("connections", "show", "acme").out
    assert re.search(r"^Health\s+Healthy$", shown, re.MULTILINE)
    assert re.search(r"^Scopes\s+3 of 3$", shown, re.MULTILINE)
    assert keyturn("connections", "show", "acme", "--json").json["id"] == acme.connection["id"]
    missing = keyturn("connections", "show", "acmee", "--json")
    assert missing.code == 7
    assert missing.out == ""
    assert '"code": "not_found"' in missing.err


def test_testing_says_each_step(keyturn, acme):
    ran = keyturn("connections", "test", "acme", "--path", "/orders")
    assert ran.code == 0
    # Plain http on this machine is a remark, not a failure.
    assert [line[:2] for line in ran.out.splitlines()] == ["✓ ", "! ", "✓ ", "✓ ", "✓ ", "✓ "]
    assert keyturn("connections", "test", "acme", "--json").json["ok"] is True


def test_a_path_that_is_not_there_fails_the_test_with_7(keyturn, acme):
    ran = keyturn("connections", "test", "acme", "--path", "/nothing-here")
    assert ran.code == 7
    assert "E-NOTFOUND 404 at /nothing-here" in ran.out


def test_a_connection_that_was_never_signed_in_exits_3_and_says_what_to_do(keyturn, acme, world):
    base = world.end_system + "/api/v1"
    added = keyturn("connections", "add", "later", "--base-url", base, "--auth", "oauth2", "--client", "Demo CRM")
    assert added.out == f"✓ Added later, reading {base}\n"
    assert "keyturn connections connect later" in added.err
    ran = keyturn("connections", "test", "later")
    assert ran.code == 3
    assert "Fix: keyturn connections connect later" in ran.err


def test_refreshing_counts_token_sets(keyturn, acme):
    before = keyturn("connections", "show", "acme", "--json").json["generation"]
    ran = keyturn("connections", "refresh", "acme")
    assert re.fullmatch(r"✓ Token set \d+ of acme · works until renewed\n", ran.out)
    assert keyturn("connections", "show", "acme", "--json").json["generation"] > before


def test_history_is_newest_first(keyturn, acme):
    keyturn("connections", "test", "acme")
    lines = keyturn("connections", "history", "acme").out.splitlines()
    assert lines[0].split() == ["TIME", "WHAT", "DETAILS", "BY"]
    assert "Created" in lines[-1]
    assert len(keyturn("connections", "history", "acme", "--limit", "1", "--json").json["data"]) == 1


@pytest.mark.parametrize(
    "options",
    [
        ["--auth", "bearer", "--secret-stdin"],
        ["--auth", "basic", "--username", "jane", "--secret-stdin"],
        ["--auth", "header", "--auth-name", "X-API-Key", "--secret-stdin"],
        ["--auth", "query", "--auth-name", "key", "--secret-stdin"],
        ["--auth", "none", "--header", "X-Own=1", "--query", "v=2"],
    ],
)
def test_connections_without_a_sign_in_are_added_and_deleted(keyturn, world, options, secrets_seen):
    secrets_seen.append("sekrit-api-key-1")
    ran = keyturn("connections", "add", "keyed", "--base-url", world.odd, *options, "--json", stdin="sekrit-api-key-1")
    assert ran.code == 0, ran.err
    assert keyturn("connections", "connect", "keyed").code == 1
    assert keyturn("connections", "delete", "keyed").code == 2
    assert keyturn("connections", "delete", "keyed", "--yes").out == "✓ Deleted keyed\n"


def test_an_option_that_is_no_pair_is_a_usage_error(keyturn, world):
    assert keyturn("connections", "add", "p1", "--base-url", world.odd, "--header", "nothing").code == 2


def test_disconnecting_asks_first_and_says_what_became_of_it(process, sign_in, keyturn, acme, world):
    base = world.end_system + "/api/v1"
    running = process("connections", "connect", "leaving", "--client", "Demo CRM", "--base-url", base, "--json")
    sign_in(running.stderr.readline().split()[-1])
    out, _err = running.communicate(timeout=30)
    assert '"status": "healthy"' in out
    assert keyturn("connections", "disconnect", "leaving").code == 2
    ran = keyturn("connections", "disconnect", "leaving", "--yes", "--no-revoke")
    assert ran.out.startswith("✓ Disconnected leaving. ")
    assert keyturn("connections", "show", "leaving", "--json").json["status"] == "not_connected"
