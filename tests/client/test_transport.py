import socket

import pytest
from starlette.responses import PlainTextResponse, RedirectResponse, Response

import keyturn
from keyturn.client.profile import Profile
from keyturn.client.transport import ATTEMPTS, Transport
from keyturn.errors import Forbidden, Invalid, KeyturnError, NotFound, Unauthenticated, Unavailable, UpstreamTimeout


def test_the_token_goes_as_bearer_and_nowhere_else(fake, ws, token):
    fake.on("GET", "/me", {"role": "admin"})
    assert ws.me == {"role": "admin"}
    asked = fake.asked[0]
    assert asked.headers["authorization"] == f"Bearer {token}"
    assert token not in asked.path
    assert asked.headers["user-agent"].startswith("keyturn-python/")


def test_repr_shows_no_token(ws, token):
    for thing in (ws, ws.clients, ws.connections, ws.tables, ws.imports, ws.tokens, ws._http):
        assert token not in repr(thing)


def test_problems_become_errors(fake, ws):
    fake.problem("GET", "/me", 403, "forbidden", "Only Workspace Admins can do this.", message_code="E-ROLE")
    with pytest.raises(Forbidden, match="Only Workspace Admins") as caught:
        _ = ws.me
    assert caught.value.message_code == "E-ROLE"


def test_a_wrong_token_is_unauthenticated(fake):
    with keyturn.connect(fake.url, "kt_" + "w" * 40) as ws, pytest.raises(Unauthenticated):
        _ = ws.me


def test_lists_are_followed_to_their_end(fake, ws):
    pages = [{"data": [{"id": "1"}], "next_cursor": "c1"}, {"data": [{"id": "2"}], "next_cursor": None}]
    fake.on("GET", "/tokens", *pages)
    assert [item["id"] for item in ws.tokens] == ["1", "2"]
    assert [asked.query for asked in fake.asked] == [{}, {"cursor": "c1"}]


def test_a_get_that_is_told_to_come_back_comes_back(fake, ws, made):
    busy = lambda: made.problem(503, "unavailable", "Starting.", headers={"Retry-After": "0"}, retry_after=0)  # noqa: E731
    fake.on("GET", "/me", busy, {"role": "admin"})
    assert ws.me == {"role": "admin"}


def test_it_comes_back_a_bounded_number_of_times(fake, ws):
    fake.problem("GET", "/me", 503, "unavailable", headers={"Retry-After": "0"}, retry_after=0)
    with pytest.raises(Unavailable):
        _ = ws.me
    assert len(fake.asked) == ATTEMPTS


@pytest.mark.parametrize("headers", [{}, {"Retry-After": "3600"}])
def test_it_does_not_wait_without_being_asked_or_for_an_hour(fake, ws, headers):
    fake.problem("GET", "/me", 503, "unavailable", headers=headers, retry_after=3600)
    with pytest.raises(Unavailable):
        _ = ws.me
    assert len(fake.asked) == 1


def test_a_post_is_never_repeated(fake, ws):
    fake.problem("POST", "/tokens", 503, "unavailable", headers={"Retry-After": "0"}, retry_after=0)
    with pytest.raises(Unavailable):
        ws.tokens.create("ci")
    assert len(fake.asked) == 1


def test_a_server_that_is_not_there_is_told_in_a_sentence(token):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        with keyturn.connect(url, token) as ws, pytest.raises(Unavailable, match="cannot be reached") as caught:
            _ = ws.me
    assert url in str(caught.value)
    assert token not in str(caught.value)


def test_a_server_that_says_nothing_is_a_timeout(token):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        profile = Profile(f"http://127.0.0.1:{silent.getsockname()[1]}", token)
        transport = Transport(profile, timeout_seconds=0.05)
        with pytest.raises(UpstreamTimeout, match="did not answer in time"):
            transport.get("/me")
        transport.close()


def test_a_redirect_is_not_followed_with_the_token(fake, ws):
    fake.on("GET", "/me", lambda: RedirectResponse("https://elsewhere.example/api/v1/me", 307))
    with pytest.raises(KeyturnError, match=r"https://elsewhere\.example"):
        _ = ws.me


def test_a_page_of_something_in_between_is_sorted_by_its_status(fake, ws):
    fake.on("GET", "/me", lambda: Response("<h1>Bad gateway</h1>", 502, media_type="text/html"))
    with pytest.raises(Unavailable, match="not in Keyturn's words"):
        _ = ws.me


def test_a_good_answer_that_is_not_json_is_an_error(fake, ws):
    fake.on("GET", "/me", lambda: PlainTextResponse("hello"))
    with pytest.raises(KeyturnError, match="not in Keyturn's words"):
        _ = ws.me


@pytest.mark.parametrize("body", ["[1]", "no json"])
def test_problem_details_that_are_none_are_sorted_by_their_status(fake, ws, body):
    fake.on("GET", "/me", lambda: Response(body, 404, media_type="application/problem+json"))
    with pytest.raises(NotFound):
        _ = ws.me


def test_url_and_token_go_together():
    with pytest.raises(Invalid, match="both"):
        keyturn.connect("https://data.example.com")
