from __future__ import annotations

import pytest

from keyturn.client import config
from keyturn.errors import Invalid
from keyturn.model.connections import SECRET_FIELD, ConnectionSettings
from keyturn.model.oauth_clients import OAuthClientSettings
from keyturn.model.schedules import ScheduleSettings
from keyturn.model.tables import TableSettings

NOTHING = config._State({noun: {} for noun in config.NOUNS}, {noun: {} for noun in config.NOUNS})
FILE = """version = 1
[clients.Acme]
client_id = "x"
token_url = "https://a.example/token"
[connections.acme]
base_url = "https://a.example"
auth = {type = "oauth2", client = "Acme"}
[tables."acme.orders"]
path = "/orders"
"""


def test_its_fields_are_those_of_the_models():
    assert set(config.FIELDS["clients"]) == set(OAuthClientSettings.model_fields) - {"name"}
    assert set(config.FIELDS["connections"]) == set(ConnectionSettings.model_fields) - {"name"}
    assert set(config.FIELDS["tables"]) == set(TableSettings.model_fields) - {"name", "connection_id"}
    of_schedules = (set(ScheduleSettings.model_fields) - {"name", "table_id"}) | {"table", "paused"}
    assert set(config.FIELDS["schedules"]) == of_schedules
    assert config._SECRET_OF == SECRET_FIELD


def test_on_an_empty_workspace_everything_is_created_in_order():
    steps = config.plan_of(config.parse(FILE), NOTHING, prune=True)
    assert [(s.kind, s.noun, s.name, s.needs_secret) for s in steps] == [
        ("create", "clients", "Acme", True),
        ("create", "connections", "acme", False),
        ("create", "tables", "acme.orders", False),
    ]


def there(**clients) -> config._State:
    return config._State(
        {**NOTHING.things, "clients": clients},
        {"clients": dict.fromkeys(clients, "oc_1"), "connections": {}, "tables": {}},
    )


def test_what_is_there_already_is_left_alone_also_beside_more_than_the_file_names():
    wanted = config.parse('version = 1\n[clients.Acme]\nclient_id = "x"\nadvanced = {token = {auth = "post"}}')
    now = {"client_id": "x", "scopes": "a", "advanced": {"token": {"auth": "post", "body": "json"}}}
    assert config.plan_of(wanted, there(Acme=now), prune=False) == []


def test_a_moved_url_asks_for_the_secret_since_it_clears_the_old_one():
    wanted = config.parse('version = 1\n[clients.Acme]\ntoken_url = "https://new.example/t"\nscopes = "b"')
    (step,) = config.plan_of(wanted, there(Acme={"token_url": "https://old.example/t", "scopes": "b"}), prune=False)
    assert (step.kind, list(step.fields), step.needs_secret) == ("change", ["token_url"], True)
    wanted = config.parse('version = 1\n[clients.Acme]\nscopes = "c"')
    (step,) = config.plan_of(wanted, there(Acme={"scopes": "b"}), prune=False)
    assert not step.needs_secret


def test_only_pruning_deletes():
    wanted = config.parse("version = 1")
    state = there(Acme={"client_id": "x"})
    assert config.plan_of(wanted, state, prune=False) == []
    assert [(s.kind, s.id) for s in config.plan_of(wanted, state, prune=True)] == [("delete", "oc_1")]


def test_secret_headers_are_not_exported():
    item = {"base_url": "u", "auth": {"type": "none"}, "headers": {"X-Api-Key": "s3cret", "Accept": "a"}, "query": {}}
    assert config.shown("connections", item, {})["headers"] == {"Accept": "a"}
    advanced = {"callback": {"code": "spapi_oauth_code"}, "token": {"params": {"api_key": "s3cret", "audience": "b"}}}
    shown = config.shown("clients", {"advanced": advanced}, {})
    assert shown == {"advanced": {"callback": {"code": "spapi_oauth_code"}, "token": {"params": {"audience": "b"}}}}


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("version = 2", "version"),
        ("", "version"),
        ("nonsense", "FILE"),
        ("version = 1\n[users.x]", "users"),
        ('version = 1\n[clients.A]\nclient_secret = "x"', "clients.A.client_secret"),
        ("version = 1\n[tables]\norders = 3", "tables.orders"),
        ("version = 1\nclients = 3", "clients"),
    ],
)
def test_a_file_that_cannot_be_right_is_refused_by_field(text, at):
    with pytest.raises(Invalid) as caught:
        config.parse(text)
    assert caught.value.problems[0].at == at


def test_a_table_is_made_after_its_parent_and_deleted_before_it():
    child = {"path": "/orders/{o}/lines", "parent": {"table": "orders", "values": {"o": "id"}}}
    tables = {"acme.lines": child, "acme.orders": {"path": "/orders"}}
    steps = config.plan_of({**NOTHING.things, "tables": tables}, NOTHING, prune=False)
    assert [step.name for step in steps] == ["acme.orders", "acme.lines"]
    state = config._State({**NOTHING.things, "tables": tables}, {**NOTHING.ids, "tables": dict.fromkeys(tables, "tb")})
    steps = config.plan_of(NOTHING.things, state, prune=True)
    assert [(step.kind, step.name) for step in steps] == [("delete", "acme.lines"), ("delete", "acme.orders")]
