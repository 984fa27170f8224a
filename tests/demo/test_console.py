"""The developer console, by form and by JSON: what is typed is checked, and secrets are shown once."""

from __future__ import annotations

import pytest


async def test_a_person_makes_an_app_by_form_and_sees_all_she_has_to_copy(bare):
    form = {"name": "Reader", "redirect_uri": bare.redirect_uri, "scopes": ["read:orders", "offline_access"]}
    answer = await bare.http.post("/console/apps", data=form)
    assert answer.status_code == 201
    app = next(iter(bare.demo.apps.values()))
    wanted = (app.id, app.secrets[0].id, "dcs_", f"{bare.url}/oauth2/authorize", f"{bare.url}/oauth2/token",
              "read:orders offline_access", bare.redirect_uri, "Copy Client Secret: value", "Copy Client ID")  # fmt: skip
    assert [word for word in wanted if word not in answer.text] == []
    again = (await bare.http.get(f"/console/apps/{app.id}")).text
    assert "dcs_" not in again
    assert app.secrets[0].id in again


async def test_a_program_makes_an_app_by_json(bare):
    made = await bare.create_app()
    assert made["client_id"] in bare.demo.apps
    assert made["client_secret"].startswith("dcs_")
    assert made["secret_ids"] == [made["client_secret_id"]]
    shown = (await bare.http.get(f"/console/apps/{made['id']}", headers=bare.json)).json()
    assert shown["redirect_uris"] == [bare.redirect_uri]
    assert "client_secret" not in shown
    assert (await bare.http.get("/console/apps", headers=bare.json)).json()["data"] == [shown]


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "   "}, "name"),
        ({"name": "x" * 81}, "name"),
        ({"name": 7}, "name"),
        ({"redirect_uri": ""}, "redirect_uri"),
        ({"redirect_uri": "localhost:8080/callback"}, "redirect_uri"),
        ({"redirect_uri": "http:/localhost/callback"}, "redirect_uri"),
        ({"redirect_uri": "javascript:alert(1)"}, "redirect_uri"),
        ({"redirect_uri": "http://localhost/callback#here"}, "redirect_uri"),
        ({"redirect_uri": "http://localhost/call back"}, "redirect_uri"),
        ({"redirect_uri": "http://[::1/callback"}, "redirect_uri"),
        ({"redirect_uri": "http://localhost:99999/callback"}, "redirect_uri"),
        ({"redirect_uri": "http://localhost/" + "x" * 2100}, "redirect_uri"),
        ({"redirect_uri": ["http://localhost/", 7]}, "redirect_uri"),
        ({"redirect_uri": "\n".join(f"http://localhost/{n}" for n in range(21))}, "redirect_uri"),
        ({"scopes": []}, "scopes"),
        ({"scopes": ["write:everything"]}, "scopes"),
        ({"scopes": 7}, "scopes"),
        ({"scopes": None}, "scopes"),
    ],
)
async def test_wrong_fields_are_named_and_nothing_is_made(bare, changed, field):
    body = {"name": "Reader", "redirect_uri": bare.redirect_uri, "scopes": ["read:orders"], **changed}
    answer = await bare.http.post("/console/apps", json=body, headers=bare.json)
    assert answer.status_code == 422
    assert list(answer.json()["errors"]) == [field]
    assert not bare.demo.apps


@pytest.mark.parametrize("body", ["", "{", "[]", "7", "null"])
async def test_json_that_is_no_object_is_refused(bare, body):
    headers = {**bare.json, "Content-Type": "application/json"}
    answer = await bare.http.post("/console/apps", content=body, headers=headers)
    assert answer.status_code == 422
    assert not bare.demo.apps


async def test_a_wrong_form_keeps_what_was_typed(bare):
    form = {"name": "My <b>reader</b>", "redirect_uri": "nowhere", "scopes": ["read:orders"]}
    answer = await bare.http.post("/console/apps", data=form)
    assert answer.status_code == 422
    assert "My &lt;b&gt;reader&lt;/b&gt;" in answer.text
    assert 'value="read:orders" checked' in answer.text
    assert 'value="read:customers" checked' not in answer.text


async def test_redirect_uris_are_edited_one_per_line(world):
    path = f"/console/apps/{world.made['id']}"
    answer = await world.http.post(
        path, data={"redirect_uris": f"{world.redirect_uri}\r\n\r\nhttps://app.example/cb\r\n"}
    )
    assert answer.status_code == 303
    shown = (await world.http.get(path, headers=world.json)).json()
    assert shown["redirect_uris"] == [world.redirect_uri, "https://app.example/cb"]
    changed = await world.http.post(path, json={"redirect_uri": "https://app.example/only"}, headers=world.json)
    assert changed.json()["redirect_uris"] == ["https://app.example/only"]


async def test_wrong_redirect_uris_change_nothing(world):
    path = f"/console/apps/{world.made['id']}"
    for headers in (world.json, {}):
        answer = await world.http.post(path, data={"redirect_uris": "https://a.example\nnowhere"}, headers=headers)
        assert answer.status_code == 422
        assert "nowhere" in answer.text
    assert world.demo.apps[world.made["id"]].redirect_uris == [world.redirect_uri]


async def test_a_second_secret_works_beside_the_first_until_that_is_deleted(world):
    path, first = f"/console/apps/{world.made['id']}/secrets", dict(world.made)
    added = (await world.http.post(path, headers=world.json)).json()
    assert added["secret_ids"] == [first["client_secret_id"], added["client_secret_id"]]
    tokens = await world.signed_in()
    world.made = {**first, "client_secret": added["client_secret"]}
    tokens = (await world.refresh(tokens["refresh_token"])).json()
    gone = await world.http.post(f"{path}/{first['client_secret_id']}/delete", headers=world.json)
    assert gone.json()["secret_ids"] == [added["client_secret_id"]]
    tokens = (await world.refresh(tokens["refresh_token"])).json()
    world.made = first
    assert (await world.refresh(tokens["refresh_token"])).status_code == 401


async def test_replacing_the_secret_ends_the_old_ones(world):
    old = dict(world.made)
    path = f"/console/apps/{old['id']}/secrets"
    answer = await world.http.post(path, data={"replace": "1"})
    assert answer.status_code == 201
    assert "dcs_" in answer.text
    assert (await world.refresh("x")).status_code == 401


async def test_deleting_an_app_ends_its_sign_ins(world):
    tokens = await world.signed_in()
    answer = await world.http.post(f"/console/apps/{world.made['id']}/delete")
    assert (answer.status_code, answer.headers["location"]) == (303, "/console")
    assert (await world.get("/api/v1/countries", tokens["access_token"])).status_code == 401
    assert (await world.refresh(tokens["refresh_token"])).status_code == 401
    assert (await world.http.delete(f"/console/apps/{world.made['id']}")).status_code == 404


async def test_a_program_deletes_by_its_method(world):
    assert (await world.http.delete(f"/console/apps/{world.made['id']}")).status_code == 204
    assert not world.demo.apps


@pytest.mark.parametrize("path", ["", "/secrets", "/secrets/x/delete", "/delete"])
async def test_an_unknown_app_is_404_by_page_and_by_json(world, path):
    for headers in (world.json, {"Accept": "text/html"}):
        answer = await world.http.post(
            f"/console/apps/nobody{path}", data={"redirect_uri": "https://a.example"}, headers=headers
        )
        assert answer.status_code == 404
        assert answer.headers["content-type"].startswith(headers["Accept"])


@pytest.mark.parametrize("path", ["/console/apps", "/console/apps/{id}", "/console/apps/{id}/delete", "/break"])
@pytest.mark.parametrize(
    "headers",
    [{"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}, {"Origin": "https://evil.example"}],
)
async def test_a_form_from_another_site_changes_nothing(world, path, headers):
    form = {"name": "x", "redirect_uri": "https://evil.example", "scopes": "read:orders", "action": "toggle_schema"}
    answer = await world.http.post(path.format(id=world.made["id"]), data=form, headers=headers)
    assert answer.status_code == 403
    assert list(world.demo.apps) == [world.made["id"]]
    assert world.demo.apps[world.made["id"]].redirect_uris == [world.redirect_uri]
    assert world.demo.faults.schema_changed is False


@pytest.mark.parametrize(
    "path", ["/", "/console", "/break", "/break/log", "/sample-data", "/nowhere", "/console/apps/x"]
)
async def test_every_page_has_a_strict_policy_and_nothing_inline(world, path):
    answer = await world.http.get(path, headers={"Accept": "text/html"})
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    for inline in ("<script>", "<style", "style=", "onclick="):
        assert inline not in answer.text
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert "This plays the part of Acme CRM." in answer.text


async def test_no_page_names_the_application_that_reads(bare):
    for path in ("/console", "/break", "/break/log", "/sample-data", "/static/demo.css", "/static/demo.js"):
        answer = await bare.http.get(path, headers={"Accept": "text/html"})
        assert answer.status_code == 200
        assert "keyturn" not in answer.text.lower()


async def test_the_consent_page_lets_its_form_lead_to_the_app_alone(world):
    answer = await world.http.get("/oauth2/authorize", params=world.authorization())
    assert answer.headers["content-security-policy"].endswith("form-action 'self' http://localhost:8080")
