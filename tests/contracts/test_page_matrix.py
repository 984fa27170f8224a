"""Every page and every form × every role × a thing of one's own workspace or a foreign one, and for whoever is signed out."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from types import SimpleNamespace

import httpx2
import pytest
from fastapi.routing import APIRoute
from starlette.routing import Match

from keyturn.model.permissions import ROLES, VERBS, may
from keyturn.web.auth import verb_of
from tenants import OWNERS, both, filled, nothing, served

PAGES = sorted(
    (route for route in served() if not route.include_in_schema and not route.path.startswith("/api/")),
    key=lambda route: (route.path, sorted(route.methods)),
)
# What is open to whoever comes, and what it asks for instead of a session.
OPEN = {
    "/healthz": "nothing: whether the process runs",
    "/readyz": "nothing: whether it serves",
    "/metrics": "the operator's token, if one is set",
    "/oauth2/jwks/{slug}": "nothing: public keys",
    "/setup": "the code from the log, before there is an account",
    "/sign-in": "a password",
    "/sign-in/code": "the cookie of a password that was right",
    "/sign-in/organisation": "nothing: leads to the organisation's page",
    "/oauth2/organisation/callback": "the cookie and state of a sign-in that was begun",
    "/invitations/{link}": "the link",
    "/new-password/{link}": "the link",
    "/connect/{link}": "the link",
    "/oauth2/callback": "the state of an authorization and its cookie",
    "/oauth2/callback/{slug}": "the state of an authorization and its cookie",
    "/oauth2/callback/done": "the cookie of a sign-in that just ended",
    "/oauth2/callback/{slug}/done": "the cookie of a sign-in that just ended",
    "/oauth2/callback/done/account": "the cookie of a sign-in that just ended",
}
# The verb of the permission table behind a page, where its name is another one. None: everybody, about themselves.
BEHIND: dict[str, str | None] = {
    "bulk.pause": "connections.update",
    "bulk.pause_schedules": "schedules.update",
    "bulk.test": "connections.test",
    "connections.its_tables": "connections.get",
    "connections.new": "connections.create",
    "connections.pause": "connections.update",
    "connections.settings": "connections.get",
    "connections.show": "connections.get",
    "home.first_steps": None,
    "home.home": None,
    "imports.dialog": "imports.create",
    "imports.live": "imports.get",
    "imports.parts": "tables.rows",
    "imports.show": "imports.get",
    "organisations.join": None,
    "organisations.prove": None,
    "preferences.change_password": None,
    "preferences.choose_notices": None,
    "preferences.choose_theme": None,
    "preferences.create_token": "tokens.list",
    "preferences.revoke_token": "tokens.revoke",
    "preferences.show": None,
    "preferences.tokens": "tokens.list",
    "reconnect_links.send": "connect_links.reconnect",
    "schedules.dialog": "schedules.create",
    "schedules.next_runs": "schedules.preview",
    "schedules.pause": "schedules.update",
    "schedules.show": "schedules.get",
    "second_factors.begin": None,
    "second_factors.confirm": None,
    "second_factors.new_codes": None,
    "second_factors.remove": None,
    "second_factors.show": None,
    "sessions.ask_again": None,
    "sessions.prove": None,
    "sessions.sign_out": None,
    "sessions.sign_out_everywhere": None,
    "shares.sharing": "shares.list",
    "sign_ins.begin": "connections.begin",
    "sign_ins.begin_page": "connections.begin",
    "sign_ins.decide": "connections.decide",
    "sign_ins.pasted": "connections.begin",
    "sign_ins.state": "connections.authorization",
    "sign_ins.waiting": "connections.authorization",
    "table_copies.copy": "tables.copy",
    "table_copies.show": "tables.copy",
    "tables.child": "tables.create",
    "tables.look": "tables.drafts",
    "tables.look_again": "tables.drafts",
    "tables.new": "tables.create",
    "tables.sample": "tables.preview",
    "tables.show": "tables.get",
    "tables.start": "tables.drafts",
}
FIELDS = {
    "shares.put": {"account_id": "{account_id}", "rights": "viewer"},
    "members.change_role": {"role": "viewer"},
}
# It would end the sessions that its sister, which comes last of all, is tried with.
LEFT_OUT = {"/sign-out"}


def asks_for(route: APIRoute) -> set[str]:
    """The ways of asking who somebody is that a route goes through."""
    found: set[str] = set()
    waiting = list(route.dependant.dependencies)
    while waiting:
        one = waiting.pop()
        found.add(getattr(one.call, "__name__", ""))
        waiting += one.dependencies
    return found & {"visit", "admin_visit", "fresh_visit", "fresh_admin_visit", "allowed_visit"}


def allowed(route: APIRoute, role: str) -> bool:
    """Whether the permission table lets a member of that role do what the page is for."""
    if asks_for(route) & {"admin_visit", "fresh_admin_visit"}:
        return role == "admin"
    verb = BEHIND.get(verb_of(route.endpoint), verb_of(route.endpoint))
    return verb is None or may(ROLES[role], verb)


def method_of(route: APIRoute) -> str:
    return "GET" if "GET" in route.methods else "POST"


def last(route: APIRoute) -> tuple[bool, bool, bool]:
    """What takes things away comes late, so that the rest finds them there; leaving comes last of all."""
    leaves = route.path.startswith("/sign-out") or verb_of(route.endpoint) == "preferences.change_password"
    return leaves, route.path.endswith(("/delete", "/remove")), "/disconnect" in route.path


@pytest.fixture
def tenants(world, steps) -> Iterator[SimpleNamespace]:
    yield from both(world, steps, people=True)


@pytest.mark.timeout(300)
def test_r4_every_page_by_every_role_on_own_and_foreign_things(tenants):
    wrong: list[str] = []
    check: Callable[..., None] = lambda good, *told: None if good else wrong.append(" ".join(map(str, told)))  # noqa: E731
    for route in sorted((route for route in PAGES if asks_for(route) and route.path not in LEFT_OUT), key=last):
        for role in reversed(ROLES):
            told = (method_of(route), route.path, role)
            own = asked(tenants, role, route, tenants.own.things)
            check(own.status_code < 500 and "Foreign" not in own.text, *told, "own", own.status_code)
            refused = not allowed(route, role)
            check((own.status_code in {401, 403}) == refused or excused(route, role), *told, "own", own.status_code)
            if "_id}" not in route.path:
                continue
            foreign, absent = (
                asked(tenants, role, route, things)
                for things in (tenants.foreign.things, nothing(tenants.foreign.things))
            )
            check(foreign.status_code in ({403, 404} if refused else {404, 409}), *told, "foreign", foreign.status_code)
            check(same_page(foreign) == same_page(absent), *told, "foreign unlike absent", same_page(foreign))
            check("Foreign" not in foreign.text, *told, "says what is theirs")
    assert not wrong, "\n" + "\n".join(wrong)


def asked(tenants: SimpleNamespace, role: str, route: APIRoute, things: dict[str, str]) -> httpx2.Response:
    fields = {name: filled(value, things) for name, value in FIELDS.get(verb_of(route.endpoint), {}).items()}
    return tenants.own.people[role].asks(method_of(route), filled(route.path, things), fields)


def same_page(answer: httpx2.Response) -> tuple[int, str]:
    """A page but for what names the request, and the ids that were in its address."""
    return answer.status_code, re.sub(r"\b([0-9a-f]{16}|[a-z]{2}_[0-9a-z]{20})\b", "", answer.text)


def excused(route: APIRoute, role: str) -> bool:
    """What depends on the thing besides: the connection is somebody else's."""
    verb = BEHIND.get(verb_of(route.endpoint), verb_of(route.endpoint))
    return role != "admin" and verb in OWNERS


def test_no_page_offers_what_is_refused(tenants):
    wrong: set[str] = set()
    for role in ("viewer", "editor"):
        for route in PAGES:
            if method_of(route) == "POST" or not asks_for(route) or not allowed(route, role):
                continue
            page = asked(tenants, role, route, tenants.own.things)
            for method, path in offered(page):
                aim = route_of(method, path)
                if aim is not None and asks_for(aim) and not allowed(aim, role):
                    wrong.add(f"{role}: {route.path} offers {method} {aim.path}")
    assert not wrong, "\n" + "\n".join(sorted(wrong))


def offered(page: httpx2.Response) -> set[tuple[str, str]]:
    """Where a page's links and buttons lead."""
    if not page.headers.get("content-type", "").startswith("text/html"):
        return set()
    links = {("GET", path) for path in re.findall(r'href="(/[^"?#]*)', page.text)}
    forms = re.findall(r'<form[^>]*method="post"[^>]*action="(/[^"?#]*)', page.text)
    buttons = re.findall(r'(?:formaction|data-draft|data-load)="(/[^"?#]*)', page.text)
    return links | {("POST", path) for path in (*forms, *buttons)}


def route_of(method: str, path: str) -> APIRoute | None:
    """The page behind an address."""
    scope = {"type": "http", "method": method, "path": path}
    return next((route for route in PAGES if route.matches(scope)[0] is Match.FULL), None)


def test_who_is_signed_out_is_led_to_the_sign_in_or_refused(tenants):
    url = tenants.server.url
    with httpx2.Client(base_url=url, headers={"Origin": url}) as nobody:
        for route in PAGES:
            answer = nobody.request(
                method_of(route), filled(route.path, {**tenants.own.things, "slug": "x", "link": "x"})
            )
            assert answer.status_code < 500, (route.path, answer.text)
            if not asks_for(route):
                assert route.path in OPEN, route.path
                continue
            if method_of(route) == "GET":
                assert (answer.status_code, answer.headers["location"][:14]) == (303, "/sign-in?next="), route.path
            else:
                assert answer.status_code == 401, (route.path, answer.text)


def test_a_form_that_is_not_ours_changes_nothing_whoever_is_signed_in(tenants):
    person = tenants.own.people["admin"]
    for route in PAGES:
        if method_of(route) == "GET" or not asks_for(route):
            continue
        path = filled(route.path, tenants.own.things)
        assert person.browser.post(path).status_code == 403, path
        assert person.asks("POST", path, {"csrf": tenants.own.people["viewer"].csrf}).status_code == 403, path
        for headers in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
            answer = person.browser.post(path, data={"csrf": person.csrf}, headers=headers)
            assert answer.status_code == 403, (path, headers)


def test_the_matrix_of_pages_is_whole():
    names = {verb_of(route.endpoint) for route in PAGES if asks_for(route)}
    admins = {verb_of(route.endpoint) for route in PAGES if asks_for(route) & {"admin_visit", "fresh_admin_visit"}}
    assert names - set(VERBS) - set(BEHIND) - admins == set()
    assert set(BEHIND) <= names
    assert {route.path for route in PAGES if not asks_for(route)} == set(OPEN)
