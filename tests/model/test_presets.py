"""The presets are facts that fit the schema: every URL on the vendor's own domain, every setting one that exists."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest

from keyturn.errors import Invalid, NotFound
from keyturn.model import presets
from keyturn.model.oauth_clients import NewOAuthClient
from keyturn.oauth.variables import names_in

ALL = list(presets.presets().values())


def values_of(item: presets.Preset) -> dict[str, str]:
    return {name: variable.example for name, variable in item.variables.items()}


def test_there_are_at_least_sixty():
    assert len(ALL) >= 60


@pytest.mark.parametrize("item", ALL, ids=lambda item: item.id)
def test_a_preset_makes_a_client_that_is_accepted(item):
    settings = item.settings(values_of(item))
    secret = {} if settings["advanced"].get("token", {}).get("auth") == "none" else {"client_secret": "s"}
    made = NewOAuthClient.model_validate({**settings, "client_id": "id", **secret})
    assert made.advanced.allowed_hosts
    assert presets.check(item)
    assert "{" not in made.authorization_url + made.token_url + item.base_url(values_of(item)) + made.scopes


@pytest.mark.parametrize("item", ALL, ids=lambda item: item.id)
def test_every_url_lies_on_the_vendors_own_domain(item):
    urls = [item.authorization_url, item.token_url, item.api]
    urls += [url for url in (item.advanced.get("revocation_url"), item.advanced.get("issuer")) if url]
    urls += [url for url in (item.advanced.get("refresh", {}).get("url"),) if url]
    for url in urls:
        parts = urlsplit(url)
        assert parts.scheme == "https", url
        assert any(parts.netloc == domain or parts.netloc.endswith("." + domain) for domain in item.domains), url
    assert urlsplit(item.source).scheme == "https"


@pytest.mark.parametrize("item", ALL, ids=lambda item: item.id)
def test_each_variable_stands_in_a_url_and_each_blank_is_a_variable(item):
    blanks = {name for url in (item.authorization_url, item.token_url, item.api) for name in names_in(url)}
    assert blanks == set(item.variables)


@pytest.mark.parametrize("item", ALL, ids=lambda item: item.id)
def test_notes_are_sentences(item):
    for note in item.notes:
        assert note.endswith("."), note
        assert len(note) <= 160, note


def test_a_variable_that_is_missing_or_odd_is_named():
    zendesk = presets.preset("zendesk")
    for value in ("", "a.b", "a/b", "a@evil.example", "-a"):
        with pytest.raises(Invalid) as caught:
            zendesk.settings({"subdomain": value})
        assert caught.value.problems[0].at == "variables.subdomain"
    assert zendesk.settings({"subdomain": "Acme"})["token_url"] == "https://acme.zendesk.com/oauth/tokens"


def test_a_known_host_is_recognised_and_a_shared_one_is_not_guessed():
    assert presets.recognised("https://acme.zendesk.com/oauth/tokens").id == "zendesk"
    assert presets.recognised("https://github.com/login/oauth/authorize").id == "github"
    assert presets.recognised("https://accounts.google.com/o/oauth2/v2/auth") is None
    assert presets.recognised("https://evil-github.com/") is None
    assert presets.recognised("nonsense") is None


def test_an_unknown_preset_is_not_found():
    with pytest.raises(NotFound):
        presets.preset("nothing")


ENTRA = "https://login.microsoftonline.com/common/oauth2/v2.0/authorize"
GOOGLE = "https://accounts.google.com/o/oauth2/v2/auth"


@pytest.mark.parametrize(
    ("url", "scopes", "params", "at", "add"),
    [
        (ENTRA, "User.Read", {}, "scopes", "offline_access"),
        (GOOGLE, "openid", {}, "advanced.authorize.params", "access_type=offline"),
        (GOOGLE, "openid", {"access_type": "online"}, "advanced.authorize.params", "access_type=offline"),
        ("https://acme.auth0.com/authorize", "openid", {}, "scopes", "offline_access"),
        ("https://x.com/i/oauth2/authorize", "tweet.read", {}, "scopes", "offline.access"),
    ],
)
def test_what_is_missing_for_a_refresh_token_is_said_before_anybody_signs_in(url, scopes, params, at, add):
    hint = presets.refresh_hint(url, scopes, params)
    assert (hint.at, hint.add) == (at, add)
    assert f"only with {'the scope ' if at == 'scopes' else ''}{add}" in hint.sentence


@pytest.mark.parametrize(
    ("url", "scopes", "params"),
    [
        (ENTRA, "User.Read offline_access", {}),
        (GOOGLE, "openid", {"access_type": "offline"}),
        ("https://acme.example/authorize", "read", {}),
        ("https://[", "read", {}),
        ("", "", {}),
    ],
)
def test_nothing_is_said_where_it_is_there_or_nobody_knows(url, scopes, params):
    assert presets.refresh_hint(url, scopes, params) is None


def test_what_every_preset_fills_in_lacks_nothing():
    for item in ALL:
        made = item.settings(values_of(item))
        params = made["advanced"].get("authorize", {}).get("params", {})
        assert presets.refresh_hint(made["authorization_url"], made["scopes"], params) is None, item.id
