TOKEN = "kt_" + "c" * 40


def without(**more):
    return {"KEYTURN_URL": None, "KEYTURN_TOKEN": None} | more


def test_login_verifies_the_token_and_keeps_it_for_its_owner_alone(keyturn, world, tmp_path):
    ran = keyturn("login", world.url + "/", "--token-stdin", stdin=TOKEN + "\n", **without())
    assert ran.code == 0
    assert ran.out == f"✓ Signed in to {world.url} as ana (Workspace Admin) · workspace My workspace\n"
    file = tmp_path / "config" / "keyturn" / "profile.toml"
    assert file.stat().st_mode & 0o777 == 0o600
    assert keyturn("connections", "list", "--json", **without()).code == 0


def test_login_takes_the_token_from_the_environment(keyturn, world):
    ran = keyturn("login", world.url, "--json", **without(KEYTURN_TOKEN=TOKEN))
    assert ran.json["role"] == "admin"


def test_a_wrong_token_is_not_kept(keyturn, world, tmp_path):
    ran = keyturn("login", world.url, "--token-stdin", stdin="kt_" + "w" * 40, **without())
    assert ran.code == 5
    assert ran.out == ""
    assert not (tmp_path / "config").exists()


def test_without_a_terminal_login_says_how_to_give_the_token(keyturn, world):
    ran = keyturn("login", world.url, **without())
    assert ran.code == 2
    assert "--token-stdin" in ran.err


def test_what_is_no_address_is_a_usage_error(keyturn):
    assert keyturn("login", "data.example.com", "--token-stdin", stdin=TOKEN).code == 2


def test_plain_http_to_another_host_is_warned_of(keyturn):
    ran = keyturn("login", "http://data.invalid", "--token-stdin", stdin=TOKEN, **without())
    assert "whoever is on the way can read the API token" in ran.err
    assert ran.code == 6


def test_without_a_profile_the_exit_code_is_permission(keyturn):
    ran = keyturn("tables", "list", **without())
    assert (ran.code, ran.out) == (5, "")
    assert "keyturn login" in ran.err
