"""Every deviation of real providers, before a strict authorization server: it works by its setting, or is refused in words."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest

from quirk_proxy import ALL, QuirkProxy
from world import free_port

pytestmark = [pytest.mark.interop, pytest.mark.slow_interop, pytest.mark.timeout(240)]

CAMEL = {"access_token": "accessToken", "refresh_token": "refreshToken", "expires_in": "expiresIn",
         "token_type": "tokenType", "id_token": "idToken"}  # fmt: skip
# What the admin sets for it; nothing where we notice by ourselves.
SETTINGS: dict[str, dict[str, Any]] = {
    "expires_ms": {"response": {"expires": {"unit": "ms"}}},
    "expires_alt": {"response": {"fields": {"expires_in": "expires"}}},
    "expires_at_epoch": {"response": {"fields": {"expires_in": "expires_at"}, "expires": {"kind": "at"}}},
    "expires_at_ms": {"response": {"fields": {"expires_in": "expires_at"}, "expires": {"kind": "at", "unit": "ms"}}},
    "expires_at_iso": {"response": {"fields": {"expires_in": "expires_at"}, "expires": {"kind": "at"}}},
    "type_user": {"response": {"token_type": "ignore"}},
    "type_none": {"response": {"token_type": "ignore"}},
    "camel": {"response": {"fields": CAMEL}},
    "authed_user": {"response": {"root": "authed_user"}},
    "data": {"response": {"root": "data"}},
    "ok_false": {"response": {"ok": {"path": "ok", "equals": True}}},
    "err_nested": {"response": {"error": "error.code"}},
    "json_request": {"token": {"body": "json"}},
    "get_request": {"token": {"method": "GET", "body": "query"}},
    "basic_only": {"token": {"auth": "basic"}},
    "client_key": {
        "authorize": {"rename": {"client_id": "client_key"}},
        "token": {"rename": {"client_id": "client_key"}},
    },
    "auth_code_param": {"token": {"rename": {"code": "auth_code"}}},
    "no_grant_type": {"token": {"omit": ["grant_type"]}},
    "no_redirect_uri": {"token": {"omit": ["redirect_uri"]}},
    "no_pkce": {"authorize": {"pkce": "off"}},
    "scope_comma": {"authorize": {"scope_separator": ","}},
    "scope_plus": {"authorize": {"scope_separator": "+"}},
}
# Refused on purpose, in these words.
REFUSED = {
    "type_mac": "no Bearer token",
    "array": "answered without a token",
    "redirect": "never sent after a redirect",
    "huge": "more than 1 MB",
    "always_503": "having trouble",
}
# A fault of the moment: the sign-in may fail in words, and the next one works.
PASSING = {"once_503", "e429", "lost_response"}
NO_REFRESH = {"no_refresh"}


@dataclass
class Place:
    """One Keyturn, one authorization server and one proxy for all quirks."""

    server: Any
    theirs: Any
    proxy: QuirkProxy
    steps: SimpleNamespace
    person: Any

    def register(self, quirks: list[str], **changes: Any) -> dict:
        base = f"{self.proxy.url}/q/{','.join(quirks) or ','}"
        advanced: dict[str, Any] = {"token": {"auth": "post"}}
        for part in [self.theirs.advanced, *(SETTINGS.get(quirk, {}) for quirk in quirks)]:
            advanced = merged(advanced, part)
        if "refresh_path" in quirks:
            advanced = merged(advanced, {"refresh": {"url": base + "/refresh"}})
        body = {
            "name": "Theirs",
            "client_id": self.theirs.client_id,
            "client_secret": self.theirs.client_secret,
            "authorization_url": base + "/authorize",
            "token_url": base + "/token",
            "scopes": self.theirs.scopes,
            "advanced": advanced,
            **changes,
        }
        return self.steps.ok(self.server.api.post("/oauth-clients", json=body))

    def sign_in(self, client: dict) -> tuple[dict, dict]:
        body = {
            "name": "theirs",
            "base_url": self.theirs.url,
            "auth": {"type": "oauth2", "oauth_client_id": client["id"]},
            "access": "only_me",
        }
        connection = self.steps.ok(self.server.api.post("/connections", json=body))
        return connection, self.again(connection)

    def again(self, connection: dict) -> dict:
        begun = self.steps.ok(self.server.api.post(f"/connections/{connection['id']}/authorizations"))
        self.person(begun["start_url"], self.theirs.answers)
        return self.steps.ok(self.server.api.get(f"/authorizations/{begun['id']}"))

    def clear(self) -> None:
        for item in self.server.api.get("/connections").json()["data"]:
            self.server.api.delete(f"/connections/{item['id']}")
        for item in self.server.api.get("/oauth-clients").json()["data"]:
            self.server.api.delete(f"/oauth-clients/{item['id']}?force=true")
        self.proxy.requests.clear()


def merged(one: dict, two: dict) -> dict:
    return one | {
        name: merged(one[name], value) if isinstance(value, dict) and isinstance(one.get(name), dict) else value
        for name, value in two.items()
    }


@pytest.fixture(scope="module")
def place(shared_world, shared_oidc_provider, person, steps) -> Iterator[Place]:
    server = shared_world.serve(KEYTURN_ALLOWED_PRIVATE_HOSTS="127.0.0.1")
    callback = steps.ok(server.api.get("/oauth-clients/redirect-uri?name=Theirs"))["redirect_uri"]
    theirs = shared_oidc_provider(callback, client="post")
    with QuirkProxy(free_port(), theirs.authorization_url, theirs.token_url) as proxy:
        yield Place(server, theirs, proxy, steps, person)


@pytest.fixture
def here(place) -> Iterator[Place]:
    place.clear()
    yield place
    place.clear()


def works(here: Place, quirks: list[str]) -> None:
    connection, ended = here.sign_in(here.register(quirks))
    assert ended["status"] == "completed", (quirks, ended)
    found = here.steps.ok(here.server.api.get(f"/connections/{connection['id']}"))
    expected = "needs_attention" if NO_REFRESH & set(quirks) else "healthy"
    assert found["status"] == expected, (quirks, found)
    path = f"/connections/{connection['id']}/proxy/me"
    assert here.server.api.get(path).status_code == 200, quirks
    if NO_REFRESH & set(quirks):
        return
    answer = here.server.api.post(f"/connections/{connection['id']}/refresh")
    assert answer.status_code == 200, (quirks, answer.text)
    assert answer.json()["generation"] == found["generation"] + 1
    assert here.server.api.get(path).status_code == 200, quirks
    assert all("client_secret" not in item or isinstance(item["client_secret"], int) for item in here.proxy.requests)


@pytest.mark.parametrize("quirk", sorted(set(ALL) - set(REFUSED) - PASSING))
def test_a_quirk_works_by_its_setting(here, quirk):
    works(here, [quirk])


@pytest.mark.parametrize(("quirk", "words"), REFUSED.items())
def test_d8_what_is_not_taken_is_refused_in_words(here, quirk, words):
    connection, ended = here.sign_in(here.register([quirk]))
    assert ended["status"] == "failed", ended
    assert words in f"{ended['error']['message']} {ended['error'].get('technical')}", ended
    assert "post-secret" not in str(ended)
    found = here.steps.ok(here.server.api.get(f"/connections/{connection['id']}"))
    assert (found["status"], found["generation"]) == ("not_connected", 0)


@pytest.mark.parametrize("quirk", sorted(PASSING))
def test_a_fault_of_the_moment_passes(here, quirk):
    connection, ended = here.sign_in(here.register([quirk]))
    if ended["status"] == "failed":
        assert ended["error"]["message"], ended
        ended = here.again(connection)
    assert ended["status"] == "completed", ended


@pytest.mark.parametrize("quirk", ["err200", "ok_false", "err_nested", "err_403", "err_empty", "err_html"])
def test_e1_a_refusal_in_any_shape_stores_nothing(here, quirk):
    connection, ended = here.sign_in(here.register([quirk], client_secret="wrong"))
    assert ended["status"] == "failed", ended
    assert ended["error"]["message_code"] in {"E-CLIENT", "E-TOKEN", "E-NOTJSON"}, ended
    assert here.server.api.get(f"/connections/{connection['id']}").json()["status"] == "not_connected"


# One of each group goes together with any of the others.
GROUPS = (
    ["form", "form_as_text", "json_as_html", "bom", "no_json_no_ct", "camel", "data", "authed_user"],
    ["expires_str", "expires_none", "type_lower"],
    ["scope_list", "scope_comma_out", "refresh_expires_in"],
    ["json_request", "get_request", "ua_required"],
    ["client_key", "auth_code_param", "no_grant_type", "no_pkce"],
    ["scope_comma", "scope_plus", "refresh_path", "no_new_refresh"],
)


def combinations(count: int, seed: int = 20261124) -> list[list[str]]:
    dice = random.Random(seed)
    made = []
    while len(made) < count:
        picked = [dice.choice(group) for group in dice.sample(GROUPS, dice.randint(2, 4))]
        flat = {"form", "form_as_text"} & set(picked)
        # A form body has no lists and no nesting to begin with.
        if not (flat and {"scope_list", "camel", "data", "authed_user"} & set(picked)):
            made.append(sorted(picked))
    return made


@pytest.mark.parametrize("quirks", combinations(12), ids=",".join)
def test_quirks_together_work_too(here, quirks):
    works(here, quirks)
