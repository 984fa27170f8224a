"""Schemathesis over the whole OpenAPI document, as each role and as nobody: whatever is sent, no 5xx of ours, no
undocumented status, and nothing of another workspace in any answer."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.specs.openapi.checks import status_code_conformance

from keyturn.model.permissions import ROLES
from tenants import both
from world import EndSystem, World, connect, ok, register

SOAK = os.environ.get("HYPOTHESIS_PROFILE") == "soak"
EXAMPLES = 100 if SOAK else 3
# The end system's trouble, which the document names; anything else in the five hundreds is ours.
UPSTREAM = {"upstream", "upstream_timeout", "unavailable"}
# They take away what the other requests are about, so they meet made-up ids only.
TAKES_AWAY = ("/removal", "/disconnect", "/authorizations")


ROLES_AND_NOBODY = (*ROLES, "nobody")


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Iterator[SimpleNamespace]:
    """A server with two workspaces, one of each thing in both, and a program of each role."""
    with EndSystem() as end_system:
        world = World(tmp_path_factory.mktemp("any-request"), end_system)
        steps = SimpleNamespace(ok=ok, register=register, connect=connect)
        try:
            for tenants in both(world, steps):
                yield tenants
                assert "Traceback" not in tenants.server.log, tenants.server.log[-4000:]
        finally:
            world.close()


@pytest.mark.timeout(3600 if SOAK else 300)
@pytest.mark.parametrize("role", ROLES_AND_NOBODY)
def test_r9_whatever_is_sent_is_answered_as_the_document_says(place, role):
    schema = schemathesis.openapi.from_url(place.server.url + "/api/openapi.json")
    wrong: list[str] = []
    seen: Counter[int] = Counter()
    with requests.Session() as api:
        if role in ROLES:
            api.headers["Authorization"] = place.own.programs[role].headers["Authorization"]
        for found in schema.get_all_operations():
            operation = found.ok()
            if operation.path.startswith("/api/"):
                wrong += asked(operation, api, place, seen)
    assert wrong == [], "\n".join(wrong)
    if role == "nobody":
        # What is no HTTP request at all is refused before anybody is asked who they are.
        assert set(seen) <= {400, 401, 404, 405, 413}, seen
        assert seen[401] > len(seen)
        return
    # It came through to the verbs, and not only to their doors.
    assert {200, 403, 404, 422} - ({403} if role == "admin" else set()) <= set(seen), seen
    assert strangers_in(place) == set()


def strangers_in(place: SimpleNamespace) -> set[str]:
    """Who did something in the foreign workspace and is not of it, by its own audit log."""
    admin = place.foreign.programs["admin"]
    lines = [json.loads(line) for line in admin.get("/api/v1/audit/export").text.splitlines()]
    assert len(lines) > len(place.foreign.things)
    ours = {member["id"] for member in admin.get("/api/v1/members").json()["data"]}
    return {line["who"]["name"] for line in lines if line["who"]["id"] not in ours | {""}}


def asked(operation, api: requests.Session, place: SimpleNamespace, seen: Counter[int]) -> list[str]:
    """What was answered otherwise than it may be."""
    wrong: list[str] = []
    takes_away = operation.method.upper() == "DELETE" or operation.path.endswith(TAKES_AWAY)
    own, foreign = ({} if takes_away else place.own.things), place.foreign.things
    secrets = secrets_of(place, operation.path)

    @settings(
        max_examples=EXAMPLES,
        derandomize=not SOAK,
        database=None,
        deadline=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(
        case=operation.as_strategy() | operation.as_strategy(schemathesis.GenerationMode.NEGATIVE),
        whose=st.sampled_from([{}, own, foreign]),
    )
    def ask(case, whose: dict[str, str]) -> None:
        made_up = case.path_parameters or {}
        case.path_parameters = {name: whose.get(name, value) for name, value in made_up.items()}
        try:
            answer = case.call(session=api, timeout=60)
        except ValueError:
            # What HTTP itself cannot carry.
            return
        seen[answer.status_code] += 1
        told = f"{case.as_curl_command()}: {answer.status_code} {answer.text[:300]}"
        try:
            case.validate_response(answer, checks=[status_code_conformance])
        except AssertionError as error:
            wrong.append(f"{told} {error}")
        if answer.status_code >= 500 and code_of(answer) not in UPSTREAM:
            wrong.append(told)
        if any(value in answer.text and value not in case.as_curl_command() for value in secrets):
            wrong.append(f"tells what is another workspace's: {told}")

    ask()
    return wrong


def secrets_of(place: SimpleNamespace, path: str) -> set[str]:
    """What no answer may tell. The audit log names what our own requests named."""
    foreign = place.foreign.things.items()
    ids = {value for name, value in foreign if value != place.own.things[name]}
    return {"Foreign CRM"} | (set() if path.startswith("/api/v1/audit") else ids)


def code_of(answer) -> str | None:
    """The code of a problem."""
    try:
        return answer.json().get("code")
    except (ValueError, AttributeError):
        return None
