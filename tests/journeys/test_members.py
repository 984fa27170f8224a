"""People come and go: invited, given a role, removed with what depends on them; nobody reads what was not shared."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Iterator
from types import SimpleNamespace

import httpx2
import pytest

from keyturn.errors import Conflict, Forbidden, Invalid, NotFound
from keyturn.services import accounts, invitations, members, sessions
from keyturn.storage.database import Database

LI = {"name": "Li", "password": "another long password"}


def link_of(url: str) -> str:
    return url.rpartition("/")[2]


@pytest.fixture
def place(world, steps, database_url) -> Iterator[SimpleNamespace]:
    """A server, its database for what pages do with links, and a way to let somebody join."""
    server = world.serve(database_url=database_url)
    database = Database(database_url)

    def run(work):
        return asyncio.run(work)

    def join(role: str, email: str = "li@example.com") -> SimpleNamespace:
        made = steps.ok(server.api.post("/invitations", json={"email": email, "role": role}))
        member = run(invitations.accept_as_new(database, link_of(made["url"]), LI, now=time.time()))
        token = steps.ok(server.api.post("/tokens", json={"name": email, "permissions": ["tables:read"]}))
        assert token
        return member

    yield SimpleNamespace(server=server, api=server.api, database=database, run=run, join=join)
    database.close()


@pytest.fixture(params=["postgresql"])
def database_url(request) -> str:
    """On PostgreSQL, where this process may look into the database beside the server."""
    return request.getfixturevalue("postgres_url")


def test_an_invitation_works_once_and_only_for_its_address(place, steps):
    made = steps.ok(place.api.post("/invitations", json={"email": "Li@Example.com", "role": "editor"}))
    assert "url" not in steps.ok(place.api.get("/invitations"))["data"][0]
    link, now = link_of(made["url"]), time.time()
    seen = place.run(invitations.look(place.database, link, now=now))
    assert (seen.email, seen.role, seen.has_account) == ("li@example.com", "editor", False)
    with pytest.raises(Invalid):
        place.run(invitations.accept_as_new(place.database, link, {"name": "Li", "password": "short"}, now=now))
    with pytest.raises(Forbidden, match="signed in as ana"):
        place.run(invitations.accept(place.database, link, "ana@example.com", now=now))
    with pytest.raises(NotFound):
        place.run(invitations.accept_as_new(place.database, link, LI, now=now + 8 * 86400))
    member = place.run(invitations.accept_as_new(place.database, link, LI, now=now))
    assert (member.role, member.email) == ("editor", "li@example.com")
    with pytest.raises(NotFound):
        place.run(invitations.accept_as_new(place.database, link, LI, now=now))
    again = place.api.post("/invitations", json={"email": "li@example.com", "role": "viewer"})
    assert again.status_code == 409
    assert {m["email"]: m["role"] for m in steps.ok(place.api.get("/members"))["data"]} == {
        "ana@example.com": "admin",
        "li@example.com": "editor",
    }


def test_an_invitation_taken_back_or_followed_by_another_one_is_over(place, steps):
    first = steps.ok(place.api.post("/invitations", json={"email": "li@example.com"}))
    second = steps.ok(place.api.post("/invitations", json={"email": "li@example.com", "role": "admin"}))
    with pytest.raises(NotFound):
        place.run(invitations.look(place.database, link_of(first["url"]), now=time.time()))
    steps.ok(place.api.delete(f"/invitations/{second['id']}"))
    with pytest.raises(NotFound):
        place.run(invitations.look(place.database, link_of(second["url"]), now=time.time()))


def test_somebody_with_an_account_joins_another_workspace_with_it(place, steps):
    member = place.join("viewer")
    other = steps.ok(place.api.post("/workspaces", json={"name": "Other"}))
    token = {"name": "boss", "permissions": ["workspace:admin"], "workspace_id": other["id"]}
    value = steps.ok(place.api.post("/tokens", json=token))["token"]
    headers = {"Authorization": f"Bearer {value}"}
    body = {"email": "li@example.com", "role": "editor"}
    made = steps.ok(place.api.post("/invitations", json=body, headers=headers))
    with pytest.raises(Conflict, match="Sign in"):
        place.run(invitations.accept_as_new(place.database, link_of(made["url"]), LI, now=time.time()))
    joined = place.run(invitations.accept(place.database, link_of(made["url"]), "li@example.com", now=time.time()))
    assert (joined.account_id, joined.workspace_id, joined.role) == (member.account_id, other["id"], "editor")
    # Now their password opens both, so an admin of one alone may not take it over.
    url = f"/members/{member.account_id}/password-link"
    assert place.api.post(url).status_code == 201
    service = steps.ok(place.api.post("/service-accounts", json={"name": "bot", "role": "admin"}))
    bot = {"name": "bot", "permissions": ["workspace:admin"], "account_id": service["id"]}
    value = steps.ok(place.api.post("/tokens", json=bot))["token"]
    assert place.api.post(url, headers={"Authorization": f"Bearer {value}"}).status_code == 403


def test_the_last_admin_stays_one(place, steps):
    ana = steps.ok(place.api.get("/me"))["account"]["id"]
    for answer in (
        place.api.patch(f"/members/{ana}", json={"role": "viewer"}),
        place.api.post(f"/members/{ana}/removal", json={}),
    ):
        assert answer.status_code == 409
        assert answer.json()["detail"] == "Add another admin first."
    steps.ok(place.api.post("/service-accounts", json={"name": "bot", "role": "admin"}))
    assert place.api.patch(f"/members/{ana}", json={"role": "editor"}).status_code == 409, "a bot is no admin"
    place.join("admin")
    steps.ok(place.api.patch(f"/members/{ana}", json={"role": "editor"}))
    assert place.api.get("/audit").status_code == 403, "the token follows its owner's role at once"


def test_r1_a_password_link_works_once_and_signs_out_everywhere(place, steps):
    member = place.join("viewer")
    now = time.time()
    place.run(sessions.start(place.database, member, user_agent="x", now=now))
    made = steps.ok(place.api.post(f"/members/{member.account_id}/password-link"))
    link = link_of(made["url"])
    assert place.run(members.look_at_reset(place.database, link, now=now)) == "li@example.com"
    with pytest.raises(NotFound):
        place.run(members.use_reset(place.database, link, {"password": "a brand new one"}, now=now + 3601))
    place.run(members.use_reset(place.database, link, {"password": "a brand new one"}, now=now))
    with pytest.raises(NotFound):
        place.run(members.use_reset(place.database, link, {"password": "yet another one"}, now=now))
    place.run(accounts.verify_password(place.database, "li@example.com", "a brand new one", now=now))
    assert place.run(sessions.list_(place.database, member.account_id, now=now)) == []


def signed_in_as(place, steps, world, member, name: str, client: dict, **changes) -> dict:
    """A connection that belongs to `member`, signed in by them."""
    token = place.run(token_for(place, member))
    api = httpx2.Client(base_url=place.server.url + "/api/v1", headers={"Authorization": f"Bearer {token}"}, timeout=60)
    with api:
        return steps.connect(world, SimpleNamespace(api=api), client, name=name, **changes)


def shared_client(world, steps, place) -> dict:
    """An OAuth client whose tokens may go to the demo API, so that not only admins may sign in for it."""
    client = steps.register(world, place.server)
    body = {"advanced": {"allowed_hosts": ["127.0.0.1"]}}
    return steps.ok(place.api.patch(f"/oauth-clients/{client['id']}", json=body))


async def token_for(place, member) -> str:
    from keyturn.model.permissions import grantable_to
    from keyturn.services import api_tokens
    from keyturn.services.context import Actor, Context, Deployment

    actor = Actor(member.account_id, member.name, member.email, member.role, grantable_to(member.role))
    deployment = Deployment(place.server.url, None, "test")
    ctx = Context(actor, member.workspace_id, place.database, None, None, deployment)
    _, value = await api_tokens.create(ctx, {"name": "t", "permissions": sorted(grantable_to(member.role))})
    return value


def test_who_leaves_leaves_nothing_running_behind(place, steps, world, terminal):
    member = place.join("editor")
    client = shared_client(world, steps, place)
    kept, gone, idle = (signed_in_as(place, steps, world, member, n, client) for n in ("kept", "gone", "idle"))
    for item in (kept, gone, idle):
        assert place.api.get(f"/connections/{item['id']}/proxy/orders").status_code == 403, "nobody shared it"
    token = place.run(token_for(place, member))
    terminal.run("login", place.server.url, "--token-stdin", typed=steps.token + "\n")
    assert "Say what becomes" in terminal.run("members", "remove", "Li", "--yes", code=2)
    refused = place.api.post(f"/members/{member.account_id}/removal", json={})
    assert refused.status_code == 409
    assert {item["connection_name"] for item in refused.json()["dependents"]} == {"kept", "gone", "idle"}
    ana = steps.ok(place.api.get("/me"))["account"]["name"]
    said = terminal.run(
        "members", "remove", "li@example.com", "--transfer", f"kept={ana}", "--disconnect", "gone", "--pause", "idle",
        "--yes",
    )  # fmt: skip
    assert re.search(r"kept: It is ana’s now", said)
    assert "gone: Revoked there." in said
    assert place.api.get("/me", headers={"Authorization": f"Bearer {token}"}).status_code == 401
    after = {c["id"]: c for c in steps.ok(place.api.get("/connections"))["data"]}
    assert after[kept["id"]]["owner"]["name"] == ana
    assert place.api.get(f"/connections/{kept['id']}/proxy/orders").status_code == 200
    assert after[gone["id"]]["status"] == "not_connected"
    assert after[idle["id"]]["status"] == "paused"
    assert place.api.get(f"/connections/{idle['id']}/proxy/orders").status_code == 403
    with pytest.raises(Exception, match="no workspace"):
        place.run(accounts.verify_password(place.database, "li@example.com", LI["password"], now=time.time()))


def test_a_connection_is_not_left_to_a_viewer_or_to_nobody(place, steps, world):
    member = place.join("editor")
    viewer = place.join("viewer", "vi@example.com")
    signed_in_as(place, steps, world, member, "kept", shared_client(world, steps, place))
    for to in (viewer.account_id, member.account_id, "ac_nobody", None):
        body = {"otherwise": {"action": "transfer", "to": to}}
        answer = place.api.post(f"/members/{member.account_id}/removal", json=body)
        assert answer.status_code == 422, to
        assert answer.json()["errors"][0]["at"] == "to"
    assert len(steps.ok(place.api.get("/members"))["data"]) == 3


def test_a_service_account_has_tokens_and_no_way_to_sign_in(place, steps, terminal):
    terminal.run("login", place.server.url, "--token-stdin", typed=steps.token + "\n")
    terminal.run("members", "add-service-account", "nightly", "--role", "editor")
    token = terminal.run("tokens", "create", "ci", "-p", "tables:read", "--for", "nightly").strip()
    me = steps.ok(place.api.get("/me", headers={"Authorization": f"Bearer {token}"}))
    assert (me["account"]["name"], me["role"]) == ("nightly", "editor")
    body = {"name": "x", "permissions": ["audit:read"], "account_id": me["account"]["id"]}
    assert place.api.post("/tokens", json=body).status_code == 403, "a token never exceeds its owner's role"
    assert place.api.post(f"/members/{me['account']['id']}/password-link").status_code == 409
    with pytest.raises(Exception, match="wrong"):
        place.run(
            accounts.verify_password(place.database, f"{me['account']['id']}@service.invalid", "!", now=time.time())
        )


def test_workspaces_share_nothing_and_the_last_one_stays(place, steps, world, terminal):
    steps.register(world, place.server)
    terminal.run("login", place.server.url, "--token-stdin", typed=steps.token + "\n")
    terminal.run("workspaces", "create", "Sales")
    sales = ("--workspace", "Sales", "-p", "workspace:admin", "-p", "clients:write", "-p", "connections:use")
    token = terminal.run("tokens", "create", "sales", *sales).strip()
    headers = {"Authorization": f"Bearer {token}"}
    assert steps.ok(place.api.get("/oauth-clients", headers=headers))["data"] == []
    assert "Sales" in terminal.run("workspaces", "list")
    current = next(w for w in steps.ok(place.api.get("/workspaces"))["data"] if w["current"])
    assert place.api.delete(f"/workspaces/{current['id']}").status_code == 422, "its name has to be typed"
    steps.ok(place.api.delete(f"/workspaces/{current['id']}", params={"name": current["name"]}))
    assert place.api.get("/me").status_code == 401
    left = steps.ok(place.api.get("/workspaces", headers=headers))["data"]
    assert [w["name"] for w in left] == ["Sales"]
    last = place.api.delete(f"/workspaces/{left[0]['id']}", params={"name": "Sales"}, headers=headers)
    assert last.status_code == 409
