"""What people see of a request: no secret under any name, and a cURL line that a shell reads as it was meant."""

from __future__ import annotations

import json
import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyturn.oauth.client_auth import ClientCredentials
from keyturn.oauth.grants import made_up_code_request
from keyturn.oauth.quirks import Advanced
from keyturn.oauth.server import AuthorizationServer
from keyturn.services.exchanges import curl, shown
from keyturn.wire import Headers, Response

SERVER = AuthorizationServer("https://a.example/authorize", "https://a.example/token")
SECRET = "s3cret'-$(x)&="
STYLES = [
    ("basic", {}),
    ("post", {}),
    ("post", {"token": {"body": "json"}}),
    ("post", {"token": {"body": "query"}}),
    ("post", {"token": {"rename": {"client_secret": "app_key", "client_id": "app_id"}}}),
    ("post", {"token": {"body": "query", "rename": {"client_secret": "app_key"}}}),
    ("basic", {"token": {"headers": {"X-Own": "another-secret"}}}),
]


def request_of(method: str, advanced: dict, secret: str = SECRET):
    credentials = ClientCredentials("id 1", secret, method)
    return made_up_code_request(
        SERVER, credentials, redirect_uri="https://k.example/cb", advanced=Advanced.model_validate(advanced)
    )


@pytest.mark.parametrize(("method", "advanced"), STYLES)
def test_no_secret_is_shown_wherever_it_is_sent(method, advanced):
    request = request_of(method, advanced)
    answer = Response(400, Headers.of({"Date": "x"}), json.dumps({"error": "no", "echo": SECRET}).encode(), "", 0.0)
    told = json.dumps(shown(request, answer, secrets=(SECRET,)), ensure_ascii=False)
    sent = (request.body or b"").decode() + request.url + (request.headers.get("authorization") or "")
    assert "s3cret" not in told
    assert "s3cret" not in curl(request, secrets=(SECRET,))
    assert "another-secret" not in told
    for value in sent.replace("&", " ").split():
        assert "authorization_code" in value or "code=" not in value or value not in told


def test_the_curl_line_is_the_same_request_with_places_for_secrets():
    words = shlex.split(curl(request_of("post", {}), secrets=(SECRET,)))
    assert words[:5] == ["curl", "-sS", "-X", "POST", "https://a.example/token"]
    fields = [words[index + 1] for index, word in enumerate(words) if word == "--data-urlencode"]
    assert fields[0] == "grant_type=authorization_code"
    assert {"code=$CODE", "client_secret=$CLIENT_SECRET", "client_id=id 1"} <= set(fields)


def test_basic_credentials_become_a_user_option():
    words = shlex.split(curl(request_of("basic", {}), secrets=(SECRET,)))
    assert words[words.index("-u") + 1] == "$CLIENT_ID:$CLIENT_SECRET"


@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=8, max_size=40))
def test_whatever_the_secret_is_it_is_not_in_the_line(secret):
    secret = "zq" + secret
    for method, advanced in STYLES:
        assert secret not in curl(request_of(method, advanced, secret), secrets=(secret,))
