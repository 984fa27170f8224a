"""Tokens that end while a table is read, and what is cut or capped, over API, command line, client and pages."""

from __future__ import annotations

import itertools
import json
import time
from dataclasses import dataclass, field
from urllib.parse import parse_qs

import pytest
from starlette.responses import JSONResponse, RedirectResponse, Response

from surfaces import Failed, Surface
from world import sign_in

PAGES = 6
NEXT = {"path": "/things", "rows_path": "$.data", "pagination": {"type": "next_url", "next_url_path": "$.next"}}
ALL = [n for page in range(1, PAGES + 1) for n in (page * 2, page * 2 + 1)]


def page_of(asked) -> dict:
    page = int(asked["query"].get("p", 1))
    onward = {"next": f"?p={page + 1}"} if page < PAGES else {}
    return {"data": [{"id": page * 2}, {"id": page * 2 + 1}], **onward}


@dataclass
class Tokens:
    """An authorization server in front of the API: what it gave out, whom it knows, and whom it turned away."""

    lives_seconds: int = 3600
    given: list[str] = field(default_factory=list)
    valid: set[str] = field(default_factory=set)
    used: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    refreshed: int = 0

    def token(self, asked) -> Response:
        kind = parse_qs(asked["body"].decode())["grant_type"][0]
        self.refreshed += kind == "refresh_token"
        self.given.append(f"token-{len(self.given) + 1}-of-this-test")
        self.valid.add(self.given[-1])
        answer = {"access_token": self.given[-1], "refresh_token": f"again-{len(self.given)}", "token_type": "Bearer",
                  "expires_in": self.lives_seconds}  # fmt: skip
        return JSONResponse(answer, headers={"Cache-Control": "no-store"})

    def guarded(self, answer):
        def guard(asked):
            token = asked["headers"].get("authorization", "").removeprefix("Bearer ")
            if token not in self.valid:
                self.refused.append(token)
                return JSONResponse({}, 401, headers={"WWW-Authenticate": 'Bearer error="invalid_token"'})
            self.used.append(token)
            return answer(asked)

        return guard


def register_at(server, url: str, name: str) -> str:
    """An OAuth client at the authorization server at `url`, and a connection to the API there; its id."""
    redirect_uri = server.api.get("/oauth-clients/redirect-uri", params={"name": name}).json()["redirect_uri"]
    body = {"name": name, "client_id": "an-id", "client_secret": "a-secret-of-this-test", "scopes": "read",
            "authorization_url": f"{url}/authorize", "token_url": f"{url}/token", "redirect_uri": redirect_uri}  # fmt: skip
    client = server.api.post("/oauth-clients", json=body).json()
    auth = {"type": "oauth2", "oauth_client_id": client["id"]}
    body = {"name": name, "base_url": url, "auth": auth, "access": "only_me"}
    return server.api.post("/connections", json=body).json()["id"]


@pytest.fixture
def signed_in(reading_server, api):
    """A connection whose sign-in has ended, at an authorization server of the API's own."""
    numbers, made = itertools.count(1), []

    def make(tokens: Tokens, name: str) -> str:
        def authorize(asked):
            query = asked["query"]
            return RedirectResponse(f"{query['redirect_uri']}?code=code-{next(numbers)}&state={query['state']}")

        api.on("authorize", authorize)
        api.on("token", tokens.token)
        connection_id = register_at(reading_server, api.url, name)
        begun = reading_server.api.post(f"/connections/{connection_id}/authorizations").json()
        sign_in(begun["start_url"])
        made.append(connection_id)
        return name

    yield make
    # Else it would be kept fresh for ever, and those requests be counted by other tests.
    for connection_id in made:
        answer = reading_server.api.post(f"/connections/{connection_id}/disconnect", json={"revoke": False})
        assert answer.status_code == 200, answer.text


def test_row9_a_token_that_is_revoked_in_the_middle_is_renewed_once_and_no_row_is_lost(
    surface: Surface, connection, signed_in, api
):
    tokens, turned = Tokens(), []
    name = signed_in(tokens, f"{connection}_b")

    def things(asked):
        if asked["query"].get("p") == "4" and not turned:
            turned.append(tokens.used[-1])
            tokens.valid.clear()
            tokens.refused.append(tokens.used.pop())
            return JSONResponse({}, 401, headers={"WWW-Authenticate": 'Bearer error="invalid_token"'})
        return page_of(asked)

    api.on("things", tokens.guarded(things))
    surface.create(name, "things", **NEXT)
    rows, stamp = surface.read(f"{name}.things")
    assert ([row["id"] for row in rows], stamp["complete"], stamp["pages"]) == (ALL, True, PAGES)
    assert (tokens.refused, tokens.refreshed) == ([tokens.given[0]], 1)


def test_row9_a_token_that_lives_two_seconds_is_renewed_ahead_and_never_refused(
    surface: Surface, connection, signed_in, api
):
    # The API takes a token for longer than it says, so that only renewing ahead brings in another one.
    tokens = Tokens(lives_seconds=2)
    name = signed_in(tokens, f"{connection}_b")

    def slowly(asked):
        time.sleep(0.8)
        return page_of(asked)

    api.on("things", tokens.guarded(slowly))
    surface.create(name, "things", **NEXT)
    before = len(tokens.used)
    rows, stamp = surface.read(f"{name}.things")
    assert ([row["id"] for row in rows], stamp["complete"]) == (ALL, True)
    assert tokens.refused == []
    assert len(set(tokens.used[before:])) > 1


def cut(body: bytes, at: int) -> Response:
    """An answer that says how long it is, and breaks off before."""
    return Response(body[:at], media_type="application/json", headers={"Content-Length": str(len(body))})


def test_row9_a_body_that_breaks_off_is_asked_for_again_and_nothing_is_lost(surface: Surface, connection, api):
    broken = []

    def things(asked):
        body = json.dumps(page_of(asked)).encode()
        if asked["query"].get("p") == "4" and not broken:
            broken.append(asked)
            return cut(body, len(body) // 2)
        return Response(body, media_type="application/json")

    api.on("things", things)
    surface.create(connection, "things", **NEXT)
    rows, stamp = surface.read(f"{connection}.things")
    assert ([row["id"] for row in rows], stamp["complete"]) == (ALL, True)
    assert [asked["query"].get("p", "1") for asked in api.asked] == ["1", "2", "3", "4", "4", "5", "6"]


def test_row2_no_page_is_asked_for_beyond_the_rows_that_are_wanted(surface: Surface, connection, api):
    api.on("things", page_of)
    surface.create(connection, "things", **NEXT)
    rows, stamp = surface.read(f"{connection}.things", limit=5)
    assert ([row["id"] for row in rows], stamp["truncated"], stamp["pages"]) == (ALL[:5], True, 3)
    assert len(api.asked) == 3


def test_row9_some_of_the_rows_are_never_taken_for_all_by_what_comes_after(surface: Surface, connection, api):
    rows = [{"id": n, "at": f"2026-03-0{9 - n}"} for n in range(1, 6)]
    api.on("things", lambda asked: [row for row in rows if row["at"] >= asked["query"].get("after", "")])
    only = {"column": "at", "param": "after", "look_back_seconds": 0}
    settings = {"path": "/things", "rows_path": "$", "pagination": {"type": "none"}, "primary_key": ["id"]}
    name, place = f"{connection}.things", f"{connection}.parquet"
    surface.create(connection, "things", incremental=only, **settings)
    latest = f"/tables/{surface.table_id(name)}/latest.parquet"
    assert surface.import_to(name, place)["rows"] == 5
    assert surface.http.get(latest).status_code == 200
    item = surface.import_to(name, place, limit=2)
    assert (item["status"], item["rows"]) == ("complete", 2)
    assert surface.http.get(latest).status_code == 404
    with pytest.raises(Failed, match="Some of the rows can only replace"):
        surface.import_to(name, place, mode="update", limit=2)
    if surface.kind == "page":
        page = surface.person.open(f"/tables/{surface.table_id(name)}/import")
        page = surface.person.press(page, "mode", {"every": "day", "limit": "2"}, "Start import")
        assert (page.status, "A schedule imports every row" in page.root.text) == (422, True)
    # What is added next is everything, not only what is newer than the newest of the two.
    assert surface.import_to(name, place, mode="update")["rows"] == 5
    assert "after" not in api.asked[-1]["query"]
    assert surface.http.get(latest).status_code == 200


def test_row8_what_was_capped_is_never_taken_for_the_whole(surface: Surface, connection, api):
    api.on("things", {"data": [{"id": n} for n in range(150)], "total": 150})
    settings = {"path": "/things", "rows_path": "$.data", "total_path": "$.total", "pagination": {"type": "none"}}
    surface.create(connection, "things", **settings)
    name = f"{connection}.things"
    sample = surface.preview(name, limit=100)
    assert (len(sample["rows"]), sample["truncated"]) == (100, True)
    rows, stamp = surface.read(name, limit=100)
    assert (len(rows), stamp["truncated"], stamp["complete"], stamp["stop_reason"]) == (100, True, None, "max_rows")
    assert surface.read(name, limit=150)[1]["truncated"] is False
    rows, stamp = surface.read(name)
    assert (len(rows), stamp["complete"], stamp.get("truncated", False)) == (150, True, False)
    surface.update(name, pagination={"max_pages": 1})
    api.on("things", {"data": [{"id": 1}], "total": 150})
    assert surface.preview(name)["rows"] == [[1]]
    with pytest.raises(Failed):
        surface.whole(name)
