"""The authorization server keeps to the RFCs, for good and for bad requests."""

from __future__ import annotations

import base64
from urllib.parse import quote

import pytest


async def test_a_person_allows_and_the_code_becomes_a_token_set(world):
    back = await world.sign_in()
    assert (back["state"], back["iss"]) == ("st-1", world.url)
    answer = await world.exchange(back["code"])
    tokens = answer.json()
    assert (tokens["token_type"], tokens["expires_in"]) == ("Bearer", 3600)
    assert tokens["scope"].split() == ["read:orders", "read:customers", "offline_access"]
    assert answer.headers["cache-control"] == "no-store"
    who = await world.get("/oauth2/userinfo", tokens["access_token"])
    assert who.json() == {"sub": "jane", "email": "jane@demo"}


async def test_the_other_person_signs_in_as_well(world):
    tokens = await world.signed_in()
    back = await world.sign_in(account="joe")
    tokens = (await world.exchange(back["code"])).json()
    assert (await world.get("/oauth2/userinfo", tokens["access_token"])).json()["email"] == "joe@demo"


async def test_denying_comes_back_as_access_denied_with_the_state(world):
    back = await world.sign_in(decision="deny")
    assert (back["error"], back["state"], back["iss"]) == ("access_denied", "st-1", world.url)
    assert "code" not in back
    assert not world.demo.grants


async def test_the_consent_page_names_the_app_its_scopes_and_both_people(world):
    text = (await world.http.get("/oauth2/authorize", params=world.authorization())).text
    for word in ("Reader", "read:orders", "read:customers", "jane@demo", "joe@demo", 'name="decision"', "Deny"):
        assert word in text


async def test_no_scope_in_the_request_means_all_of_the_apps(world):
    back = await world.sign_in(scope=None)
    assert (await world.exchange(back["code"])).json()["scope"].split() == world.made["scopes"]


async def test_an_unknown_client_id_is_told_here_and_sent_nowhere(world):
    answer = await world.http.get("/oauth2/authorize", params=world.authorization(client_id="nobody"))
    assert answer.status_code == 400
    assert "invalid_client" in answer.text
    assert "location" not in answer.headers


@pytest.mark.parametrize("sent", ["/", "?x=1", "x"])
async def test_another_redirect_uri_is_told_here_and_named(world, sent):
    answer = await world.http.get(
        "/oauth2/authorize", params=world.authorization(redirect_uri=world.redirect_uri + sent)
    )
    assert answer.status_code == 400
    assert "redirect_uri_mismatch" in answer.text
    assert world.redirect_uri + sent in answer.text
    assert "location" not in answer.headers


async def test_a_script_in_the_redirect_uri_is_shown_as_text(world):
    asked = world.authorization(redirect_uri="javascript:<script>alert(1)</script>")
    answer = await world.http.get("/oauth2/authorize", params=asked)
    assert answer.status_code == 400
    assert "<script>alert" not in answer.text


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"response_type": None}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge_method": None}, "invalid_request"),
        ({"scope": "read:orders write:everything"}, "invalid_scope"),
        ({"scope": "read:orders,read:customers"}, "invalid_scope"),
    ],
)
async def test_a_wrong_request_comes_back_as_its_error(world, changed, error):
    answer = await world.http.get("/oauth2/authorize", params=world.authorization(**changed))
    back = world.came_back(answer)
    assert (back["error"], back["state"], back["iss"]) == (error, "st-1", world.url)


async def test_a_parameter_sent_twice_is_refused(world):
    asked = [*world.authorization().items(), ("scope", "read:orders")]
    assert world.came_back(await world.http.get("/oauth2/authorize", params=asked))["error"] == "invalid_request"


async def test_a_consent_form_from_elsewhere_is_refused(world):
    fields = {**world.authorization(), "decision": "allow", "account": "jane"}
    for headers in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site", "Origin": "null"}):
        answer = await world.http.post("/oauth2/authorize", data=fields, headers=headers)
        assert answer.status_code in {400, 403}
    assert not world.demo.grants


async def test_the_redirect_uris_own_query_is_kept(bare):
    uri = bare.redirect_uri + "?tenant=7"
    await bare.create_app(redirect_uri=uri)
    back = await bare.sign_in(redirect_uri=uri)
    assert back["tenant"] == "7"
    assert (await bare.exchange(back["code"], redirect_uri=uri)).status_code == 200


async def test_without_pkce_the_flow_works_too(world):
    back = await world.sign_in(code_challenge=None, code_challenge_method=None)
    assert (await world.exchange(back["code"], code_verifier=None)).status_code == 200


async def test_a_verifier_without_a_challenge_is_refused(world):
    back = await world.sign_in(code_challenge=None, code_challenge_method=None)
    assert (await world.exchange(back["code"])).json()["error"] == "invalid_grant"


@pytest.mark.parametrize("verifier", [None, "", "x" * 43])
async def test_a_wrong_verifier_is_refused(world, verifier):
    back = await world.sign_in()
    answer = await world.exchange(back["code"], code_verifier=verifier)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")


async def test_another_redirect_uri_at_the_exchange_is_refused(world):
    back = await world.sign_in()
    assert (await world.exchange(back["code"], redirect_uri=world.redirect_uri + "/")).json()[
        "error"
    ] == "invalid_grant"


async def test_a_code_lives_for_a_minute(world):
    first, second = (await world.sign_in())["code"], (await world.sign_in())["code"]
    world.clock.now += 59
    assert (await world.exchange(first)).status_code == 200
    world.clock.now += 1
    assert (await world.exchange(second)).json()["error"] == "invalid_grant"


@pytest.mark.parametrize("later", [0, 600])
async def test_a_code_used_twice_revokes_what_it_brought(world, later):
    code = (await world.sign_in())["code"]
    tokens = (await world.exchange(code)).json()
    world.clock.now += later
    assert (await world.exchange(code)).json()["error"] == "invalid_grant"
    assert (await world.get("/oauth2/userinfo", tokens["access_token"])).status_code == 401
    assert (await world.refresh(tokens["refresh_token"])).json()["error"] == "invalid_grant"


async def test_a_code_of_another_app_is_refused(world):
    code = (await world.sign_in())["code"]
    await world.create_app(name="Other")
    assert (await world.exchange(code)).json()["error"] == "invalid_grant"


async def test_basic_authentication_works_and_failing_it_says_so(world):
    back = await world.sign_in()
    answer = await world.exchange(back["code"], basic=True)
    assert answer.status_code == 200
    world.made["client_secret"] = "wrong"
    refused = await world.refresh(answer.json()["refresh_token"], basic=True)
    assert (refused.status_code, refused.json()["error"]) == (401, "invalid_client")
    assert refused.headers["www-authenticate"].startswith("Basic ")


async def test_basic_credentials_are_percent_encoded_as_in_rfc_6749(world):
    plain = (world.made["client_id"], world.made["client_secret"])
    quoted = ":".join("".join(f"%{ord(letter):02x}" for letter in part) for part in plain)
    header = {"Authorization": "Basic " + base64.b64encode(quoted.encode()).decode()}
    tokens = await world.signed_in()
    body = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
    assert (await world.http.post("/oauth2/token", data=body, headers=header)).status_code == 200


@pytest.mark.parametrize("header", ["Basic", "Basic !!!", "Basic " + base64.b64encode(b"\xff\xfe").decode()])
async def test_a_basic_header_that_cannot_be_read_is_invalid_client(world, header):
    body = {"grant_type": "refresh_token", "refresh_token": "x"}
    answer = await world.http.post("/oauth2/token", data=body, headers={"Authorization": header})
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")


async def test_the_secrets_id_is_not_the_secret(world):
    world.made["client_secret"] = world.made["secret_ids"][0]
    answer = await world.refresh("x")
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")


async def test_two_ways_of_authentication_at_once_are_refused(world):
    answer = await world.token(basic=True, grant_type="refresh_token", refresh_token="x", client_secret="y")
    assert answer.json()["error"] == "invalid_request"


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({}, "invalid_request"),
        ({"grant_type": "password"}, "unsupported_grant_type"),
        ({"grant_type": "authorization_code"}, "invalid_request"),
        ({"grant_type": "refresh_token"}, "invalid_request"),
        ({"grant_type": "authorization_code", "code": "unknown"}, "invalid_grant"),
        ({"grant_type": "refresh_token", "refresh_token": "unknown"}, "invalid_grant"),
    ],
)
async def test_a_bad_token_request_gets_its_rfc_6749_error(world, fields, error):
    answer = await world.token(**fields)
    assert (answer.status_code, answer.json()["error"]) == (400, error)
    assert answer.headers["cache-control"] == "no-store"


async def test_a_field_sent_twice_is_an_invalid_request(world):
    body = f"grant_type=refresh_token&refresh_token=a&refresh_token=b&client_id={quote(world.made['client_id'])}"
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = await world.http.post("/oauth2/token", content=body, headers=form)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


async def test_without_offline_access_there_is_no_refresh_token(world):
    tokens = await world.signed_in(scope="read:orders")
    assert "refresh_token" not in tokens
    assert tokens["scope"] == "read:orders"


async def test_a_refresh_rotates_and_the_old_access_token_lives_on(world):
    first = await world.signed_in()
    second = (await world.refresh(first["refresh_token"])).json()
    assert second["refresh_token"] != first["refresh_token"]
    for tokens in (first, second):
        assert (await world.get("/api/v1/countries", tokens["access_token"])).status_code == 200


async def test_a_refresh_token_used_twice_revokes_the_whole_family(world):
    first = await world.signed_in()
    second = (await world.refresh(first["refresh_token"])).json()
    third = (await world.refresh(second["refresh_token"])).json()
    assert (await world.refresh(first["refresh_token"])).json()["error"] == "invalid_grant"
    assert (await world.refresh(third["refresh_token"])).json()["error"] == "invalid_grant"
    for tokens in (first, second, third):
        assert (await world.get("/api/v1/countries", tokens["access_token"])).status_code == 401


async def test_one_family_revoked_leaves_the_other_sign_in_alone(world):
    mine, other = await world.signed_in(), await world.signed_in()
    await world.refresh(mine["refresh_token"])
    assert (await world.refresh(mine["refresh_token"])).status_code == 400
    assert (await world.refresh(other["refresh_token"])).status_code == 200


async def test_within_the_grace_a_replay_is_forgiven(world):
    world.demo.faults.grace_seconds = 30
    first = await world.signed_in()
    await world.refresh(first["refresh_token"])
    world.clock.now += 30
    assert (await world.refresh(first["refresh_token"])).status_code == 200
    world.clock.now += 1
    assert (await world.refresh(first["refresh_token"])).status_code == 400


async def test_without_reuse_detection_a_replay_is_refused_and_nothing_else_dies(world):
    world.demo.faults.reuse_detection = False
    first = await world.signed_in()
    second = (await world.refresh(first["refresh_token"])).json()
    assert (await world.refresh(first["refresh_token"])).status_code == 400
    assert (await world.refresh(second["refresh_token"])).status_code == 200


async def test_without_rotation_the_same_refresh_token_keeps_working(world):
    world.demo.faults.rotate = False
    tokens = await world.signed_in()
    for _ in range(3):
        answer = (await world.refresh(tokens["refresh_token"])).json()
        assert "refresh_token" not in answer
        assert (await world.get("/api/v1/countries", answer["access_token"])).status_code == 200


async def test_a_refresh_cannot_widen_its_scope(world):
    tokens = await world.signed_in(scope="read:orders offline_access")
    answer = await world.refresh(tokens["refresh_token"], scope="read:orders read:customers")
    assert answer.json()["error"] == "invalid_scope"
    assert (await world.refresh(tokens["refresh_token"])).status_code == 200


async def test_a_refresh_token_of_another_app_is_refused_and_lives_on(world):
    mine, tokens = world.made, await world.signed_in()
    await world.create_app(name="Other")
    assert (await world.refresh(tokens["refresh_token"])).json()["error"] == "invalid_grant"
    world.made = mine
    assert (await world.refresh(tokens["refresh_token"])).status_code == 200


async def test_an_access_token_ends_after_its_life(world):
    world.demo.faults.access_token_seconds = 20
    tokens = await world.signed_in()
    assert tokens["expires_in"] == 20
    world.clock.now += 19
    assert (await world.get("/api/v1/countries", tokens["access_token"])).status_code == 200
    world.clock.now += 1
    assert (await world.get("/api/v1/countries", tokens["access_token"])).status_code == 401


@pytest.mark.parametrize("kind", ["access_token", "refresh_token"])
async def test_revoking_either_token_ends_the_sign_in(world, kind):
    tokens = await world.signed_in()
    body = {"token": tokens[kind], "client_id": world.made["client_id"], "client_secret": world.made["client_secret"]}
    assert (await world.http.post("/oauth2/revoke", data=body)).status_code == 200
    assert (await world.get("/api/v1/countries", tokens["access_token"])).status_code == 401
    assert (await world.refresh(tokens["refresh_token"])).status_code == 400


async def test_revoking_is_200_for_unknown_tokens_and_401_for_strangers(world):
    own = {"client_id": world.made["client_id"], "client_secret": world.made["client_secret"]}
    assert (await world.http.post("/oauth2/revoke", data={"token": "unknown", **own})).status_code == 200
    assert (await world.http.post("/oauth2/revoke", data=own)).json()["error"] == "invalid_request"
    tokens = await world.signed_in()
    stranger = {"token": tokens["access_token"], "client_id": own["client_id"], "client_secret": "wrong"}
    assert (await world.http.post("/oauth2/revoke", data=stranger)).status_code == 401
    assert (await world.get("/api/v1/countries", tokens["access_token"])).status_code == 200


async def test_the_metadata_names_endpoints_that_answer(world):
    found = (await world.http.get("/.well-known/oauth-authorization-server")).json()
    assert found["issuer"] == world.url
    assert found["code_challenge_methods_supported"] == ["S256"]
    assert found["authorization_response_iss_parameter_supported"] is True
    for name in ("token_endpoint", "revocation_endpoint"):
        assert (await world.http.post(found[name])).status_code in {400, 401}
    assert (await world.http.get(found["authorization_endpoint"])).status_code == 400
    assert (await world.http.get(found["userinfo_endpoint"])).status_code == 401


async def test_the_log_tells_each_token_request_and_no_secret(world):
    tokens = await world.signed_in()
    second = (await world.refresh(tokens["refresh_token"], basic=True)).json()
    await world.refresh(tokens["refresh_token"])
    await world.token(grant_type="rt_secret-in-the-wrong-field")
    await world.token(grant_type="refresh_token", client_secret="wrong")
    await world.token(grant_type="refresh_token", client_id=world.made["client_secret"])
    told = [(e["grant_type"], e["client_authentication"], e["outcome"]) for e in world.demo.token_requests]
    assert told == [
        ("authorization_code", "post", "ok"),
        ("refresh_token", "basic", "ok"),
        ("refresh_token", "post", "invalid_grant"),
        ("other", "post", "unsupported_grant_type"),
        ("refresh_token", "post", "invalid_client"),
        ("refresh_token", "post", "invalid_client"),
    ]
    assert [e["client_id"] for e in world.demo.token_requests] == [world.made["client_id"]] * 5 + [None]
    assert {e["at"] for e in world.demo.token_requests} == {world.clock.now}
    for answer in (
        await world.http.get("/break/log"),
        await world.http.get("/break/log", headers={"Accept": "text/html"}),
    ):
        assert answer.status_code == 200
        assert world.made["client_id"] in answer.text
        for secret in (world.made["client_secret"], *tokens.values(), *second.values(), "secret-in-the-wrong-field"):
            if isinstance(secret, str) and secret.startswith(("at_", "rt_", "dcs_", "secret")):
                assert secret not in answer.text
