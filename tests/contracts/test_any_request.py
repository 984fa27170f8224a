"""Schemathesis over the whole OpenAPI document, as each role: whatever is sent, no 5xx of ours and no undocumented status."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.specs.openapi.checks import status_code_conformance

from keyturn.model.permissions import ROLES, grantable_to

SOAK = os.environ.get("HYPOTHESIS_PROFILE") == "soak"
EXAMPLES = 100 if SOAK else 3
# The end system's trouble, which the document names; anything else in the five hundreds is ours.
UPSTREAM = {"upstream", "upstream_timeout", "unavailable"}
# They take away what the other requests are about, so they meet made-up ids only.
TAKES_AWAY = ("/removal", "/disconnect", "/authorizations")


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Iterator[tuple]:
    """A server with one of each thing, and a token of each role."""
    from world import EndSystem, World, connect, ok, register

    with EndSystem() as end_system:
        world = World(tmp_path_factory.mktemp("any-request"), end_system)
        try:
            server = world.serve(KEYTURN_LOG_LEVEL="warning")
            client = register(world, server)
            connection = connect(world, server, client, access="shared_account")
            body = {"connection_id": connection["id"], "name": "orders", "path": "/countries"}
            table = ok(server.api.post("/tables", json=body))
            tokens = {}
            for role in ROLES:
                account = ok(server.api.post("/service-accounts", json={"name": role, "role": role}))
                made = {"name": role, "account_id": account["id"], "permissions": sorted(grantable_to(role))}
                tokens[role] = ok(server.api.post("/tokens", json=made))["token"]
            things = {"client_id": client["id"], "connection_id": connection["id"], "table_id": table["id"]}
            yield server, things, tokens
            assert "Traceback" not in server.log, server.log[-4000:]
        finally:
            world.close()


@pytest.mark.timeout(3600 if SOAK else 300)
@pytest.mark.parametrize("role", ROLES)
def test_r9_whatever_is_sent_is_answered_as_the_document_says(place, role):
    server, things, tokens = place
    schema = schemathesis.openapi.from_url(server.url + "/api/openapi.json")
    wrong: list[str] = []
    seen: Counter[int] = Counter()
    with requests.Session() as api:
        api.headers["Authorization"] = f"Bearer {tokens[role]}"
        for found in schema.get_all_operations():
            operation = found.ok()
            if operation.path.startswith("/api/"):
                wrong += asked(operation, api, things, seen)
    assert wrong == [], "\n".join(wrong)
    # It came through to the verbs, and not only to their doors.
    assert {200, 403, 404, 422} - ({403} if role == "admin" else set()) <= set(seen), seen


def asked(operation, api: requests.Session, things: dict[str, str], seen: Counter[int]) -> list[str]:
    """What was answered otherwise than it may be."""
    wrong: list[str] = []
    real_ids = operation.method.upper() != "DELETE" and not operation.path.endswith(TAKES_AWAY)

    @settings(
        max_examples=EXAMPLES,
        derandomize=not SOAK,
        database=None,
        deadline=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(
        case=operation.as_strategy() | operation.as_strategy(schemathesis.GenerationMode.NEGATIVE), real=st.booleans()
    )
    def ask(case, real: bool) -> None:
        if real and real_ids:
            case.path_parameters = {
                name: things.get(name, value) for name, value in (case.path_parameters or {}).items()
            }
        try:
            answer = case.call(session=api, timeout=60)
        except ValueError:
            # What HTTP itself cannot carry.
            return
        seen[answer.status_code] += 1
        ours = answer.status_code >= 500 and code_of(answer) not in UPSTREAM
        try:
            case.validate_response(answer, checks=[status_code_conformance])
        except AssertionError as error:
            wrong.append(f"{case.as_curl_command()}: {error}")
        if ours:
            wrong.append(f"{case.as_curl_command()}: {answer.status_code} {answer.text[:300]}")

    ask()
    return wrong


def code_of(answer) -> str | None:
    """The code of a problem."""
    try:
        return answer.json().get("code")
    except (ValueError, AttributeError):
        return None
