import os

import pytest

from keyturn.client import profile as profiles
from keyturn.client.profile import Profile
from keyturn.errors import Invalid, Unauthenticated

TOKEN = "kt_" + "a" * 40


def test_a_saved_profile_is_read_back_and_only_its_owner_can_read_it(tmp_path):
    file = tmp_path / "keyturn" / "profile.toml"
    profiles.save(Profile("https://data.example.com", TOKEN), file)
    assert profiles.load(file) == Profile("https://data.example.com", TOKEN)
    assert file.stat().st_mode & 0o777 == 0o600
    assert [entry.name for entry in file.parent.iterdir()] == ["profile.toml"]


def test_saving_again_replaces_the_file_and_keeps_it_private(tmp_path):
    file = tmp_path / "profile.toml"
    profiles.save(Profile("https://one.example.com", TOKEN), file)
    profiles.save(Profile("https://two.example.com", TOKEN), file)
    assert profiles.load(file).url == "https://two.example.com"
    assert file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o660])
def test_a_profile_that_others_can_read_is_refused_with_the_line_that_heals_it(tmp_path, mode):
    file = tmp_path / "profile.toml"
    profiles.save(Profile("https://data.example.com", TOKEN), file)
    file.chmod(mode)
    with pytest.raises(Invalid, match="chmod 600"):
        profiles.load(file)


def test_without_a_profile_the_sentence_says_how_to_sign_in(tmp_path):
    with pytest.raises(Unauthenticated, match="keyturn login"):
        profiles.find({"XDG_CONFIG_HOME": str(tmp_path)})


def test_the_environment_wins_over_the_file(tmp_path):
    profiles.save(Profile("https://file.example.com", TOKEN), tmp_path / "keyturn" / "profile.toml")
    environment = {"XDG_CONFIG_HOME": str(tmp_path)}
    assert profiles.find(environment).url == "https://file.example.com"
    environment |= {"KEYTURN_URL": "https://env.example.com/", "KEYTURN_TOKEN": TOKEN}
    assert profiles.find(environment).url == "https://env.example.com"


@pytest.mark.parametrize("name", ["KEYTURN_URL", "KEYTURN_TOKEN"])
def test_one_variable_without_the_other_is_refused_by_the_missing_ones_name(name, tmp_path):
    value = {"KEYTURN_URL": "https://data.example.com", "KEYTURN_TOKEN": TOKEN}[name]
    missing = {"KEYTURN_URL": "KEYTURN_TOKEN", "KEYTURN_TOKEN": "KEYTURN_URL"}[name]
    with pytest.raises(Invalid, match=missing):
        profiles.find({name: value, "XDG_CONFIG_HOME": str(tmp_path)})


def test_a_relative_xdg_folder_is_not_used(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert profiles.path({"XDG_CONFIG_HOME": "here"}) == tmp_path / ".config" / "keyturn" / "profile.toml"


@pytest.mark.parametrize(
    ("typed", "origin"),
    [
        ("https://Data.Example.com/", "https://data.example.com"),
        (" http://localhost:8080/connections?x=1 ", "http://localhost:8080"),
        ("https://data.example.com:443", "https://data.example.com"),
        ("http://[::1]:8080", "http://[::1]:8080"),
    ],
)
def test_what_a_person_pastes_becomes_the_servers_origin(typed, origin):
    assert profiles.check_url(typed) == origin


@pytest.mark.parametrize("typed", ["data.example.com", "ftp://x", "https://", "https://a:b@x.example", "http://x:port"])
def test_an_address_that_cannot_be_one_is_refused(typed):
    with pytest.raises(Invalid):
        profiles.check_url(typed)


@pytest.mark.parametrize("typed", ["", "hello", "kt_", "kt_short", "kt_" + "a" * 40 + " b", "kt_" + "ä" * 40])
def test_a_token_that_cannot_be_one_is_refused_and_not_repeated(typed):
    with pytest.raises(Invalid) as caught:
        profiles.check_token(typed)
    assert len(typed) < 4 or typed not in str(caught.value)


@pytest.mark.parametrize("text", ["", "url = 1\ntoken = 2", "not toml at all [", "url = 'https://x.example'"])
def test_a_file_that_is_no_profile_is_refused(tmp_path, text):
    file = tmp_path / "profile.toml"
    file.touch(mode=0o600)
    file.write_text(text)
    with pytest.raises(Invalid):
        profiles.load(file)


def test_the_token_is_never_in_repr():
    assert TOKEN not in repr(Profile("https://x.example", TOKEN))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_told(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(Invalid, match="cannot be written"):
        profiles.save(Profile("https://x.example", TOKEN), tmp_path / "sub" / "profile.toml")


def test_a_place_that_is_no_folder_is_told(tmp_path):
    (tmp_path / "keyturn").write_text("a file")
    with pytest.raises(Invalid, match="cannot be written"):
        profiles.save(Profile("https://x.example", TOKEN), tmp_path / "keyturn" / "profile.toml")
