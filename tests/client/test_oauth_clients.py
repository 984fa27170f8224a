import pytest

from keyturn.errors import Invalid, NotFound

ACME = {"id": "oc_1", "name": "Acme CRM", "redirect_uri": "https://data.example.com/oauth2/callback/acme-crm"}


@pytest.fixture
def clients(fake, ws):
    fake.on("GET", "/oauth-clients", {"data": [ACME], "next_cursor": None})
    return ws.clients


def test_the_redirect_uri_of_a_client_that_exists_is_its_own(fake, clients):
    assert clients.redirect_uri("acme crm") == ACME["redirect_uri"]
    fake.on("GET", "/oauth-clients/redirect-uri", {"redirect_uri": "https://data.example.com/oauth2/callback/new"})
    assert clients.redirect_uri("New") == "https://data.example.com/oauth2/callback/new"
    assert fake.asked[-1].query == {"name": "New"}


def test_the_verbs_reach_their_routes(fake, clients):
    fake.on("POST", "/oauth-clients", ACME, status=201)
    fake.on("PATCH", "/oauth-clients/oc_1", ACME)
    fake.on("POST", "/oauth-clients/oc_1/secrets", ACME, status=201)
    fake.on("POST", "/oauth-clients/oc_1/check", {"verdict": "accepted"})
    fake.on("DELETE", "/oauth-clients/oc_1", None)
    assert clients.register({"name": "Acme CRM"})["id"] == "oc_1"
    clients.edit("Acme CRM", {"scopes": "a"})
    assert fake.asked[-1].json == {"scopes": "a"}
    clients.replace_secret("oc_1", "s3cret-value")
    assert fake.asked[-1].json == {"client_secret": "s3cret-value"}
    assert clients.check("Acme CRM")["verdict"] == "accepted"
    clients.delete("Acme CRM")
    assert fake.asked[-1].query == {}
    clients.delete("Acme CRM", force=True)
    assert fake.asked[-1].query == {"force": "true"}


def test_fields_that_are_wrong_are_named(fake, clients):
    wrong = [{"at": "token_url", "message": "Use https."}]
    fake.problem("POST", "/oauth-clients", 422, "invalid", "Use https.", errors=wrong)
    with pytest.raises(Invalid) as caught:
        clients.register({})
    assert caught.value.problems[0].at == "token_url"


def test_a_name_that_is_not_there_is_not_found(clients):
    with pytest.raises(NotFound, match="Did you mean Acme CRM"):
        clients["Acme CR"]


def test_a_secret_is_added_changed_and_removed_by_its_id(fake, clients):
    fake.on("GET", "/oauth-clients", {"data": [ACME], "next_cursor": None})
    fake.on("POST", "/oauth-clients/oc_1/secrets", ACME, status=201)
    fake.on("PATCH", "/oauth-clients/oc_1/secrets/cs_1", ACME)
    fake.on("DELETE", "/oauth-clients/oc_1/secrets/cs_1", ACME)
    clients.replace_secret("Acme CRM", "s3cret-value", expires_on="2027-01-31", keep_old=True)
    assert fake.asked[-1].json == {"client_secret": "s3cret-value", "expires_on": "2027-01-31", "keep_old": True}
    clients.change_secret("Acme CRM", "cs_1", {"first": True})
    assert (fake.asked[-1].method, fake.asked[-1].json) == ("PATCH", {"first": True})
    clients.remove_secret("Acme CRM", "cs_1")
    assert (fake.asked[-1].method, fake.asked[-1].path) == ("DELETE", "/api/v1/oauth-clients/oc_1/secrets/cs_1")
