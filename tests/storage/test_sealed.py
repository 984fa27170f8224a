from __future__ import annotations

import pytest

from keyturn.encryption import AssociatedData, Keyring, key_id_of
from keyturn.model.accounts import Workspace
from keyturn.storage import accounts, client_secrets, oauth_clients, sealed
from keyturn.storage.database import Database
from keyturn.storage.migrate import migrate
from keyturn.storage.schema import metadata

OLD, NEW = b"o" * 32, b"n" * 32
PLACE = sealed.Place("oauth_client_secrets", "secret_sealed")


@pytest.fixture
def database(database) -> Database:
    database.run_now(accounts.insert_workspace, Workspace("ws_1", "W"), 0.0)
    return database


def ad(number: int) -> AssociatedData:
    return AssociatedData("ws_1", "oauth_clients", f"oc_{number:04}", "secret")


def insert(tx, number: int, keyring: Keyring | None) -> None:
    values = {"id": f"oc_{number:04}", "name_key": str(number), "slug": str(number), "settings": {}, "version": 1}
    times = {"created_by": "ac", "created_at": 0.0, "updated_at": 0.0}
    oauth_clients.insert(tx, "ws_1", {**values, **times})
    if keyring is not None:
        row = {"id": values["id"], "secret_sealed": keyring.seal(f"secret {number}", ad=ad(number)), "saved_at": 0.0}
        client_secrets.insert_first(tx, "ws_1", values["id"], row)


def stored_secret(tx, number: int) -> bytes:
    return client_secrets.all_of_client(tx, "ws_1", f"oc_{number:04}")[0].sealed


def test_every_sealed_column_of_the_schema_is_known():
    known = {(place.table, place.column) for place in sealed.places()}
    binary = {
        (table.name, column.name)
        for table in metadata.sorted_tables
        for column in table.columns
        if column.type.__visit_name__ == "large_binary"
    }
    assert PLACE in sealed.places()
    assert {("grants", "access_sealed"), ("grants", "refresh_sealed"), ("connections", "secret_sealed")} <= known
    # A secret column by another name would be left behind by a rotation.
    assert binary - known == set()


def test_values_are_counted_by_key_and_found_in_pages(database):
    old, both = Keyring([OLD]), Keyring([NEW, OLD])
    for number in range(25):
        database.run_now(insert, number, old if number % 5 else both)
    database.run_now(insert, 99, None)
    assert database.run_now(sealed.usage_anywhere) == {old.fingerprint: 20, both.fingerprint: 5}
    found, after = [], None
    while page := database.run_now(sealed.others_anywhere, PLACE, both.fingerprint, after=after, limit=7):
        found += page
        after = page[-1].row
    assert [row.row for row in found] == [(f"oc_{n:04}",) for n in range(25) if n % 5]


def test_a_value_that_changed_meanwhile_stays_as_its_writer_left_it(database):
    old, both = Keyring([OLD]), Keyring([NEW, OLD])
    for number in range(3):
        database.run_now(insert, number, old)
    rows = database.run_now(sealed.others_anywhere, PLACE, both.fingerprint, after=None, limit=10)
    newer = old.seal("newer", ad=ad(1))
    database.run_now(client_secrets.update, "ws_1", "oc_0001", "oc_0001", {"secret_sealed": newer})
    pairs = [(row, both.rewrap(row.value)) for row in rows]
    assert database.run_now(sealed.replace_anywhere, PLACE, pairs) == 2
    stored = [database.run_now(stored_secret, n) for n in range(3)]
    assert [key_id_of(value) for value in stored] == [both.fingerprint, old.fingerprint, both.fingerprint]
    assert [both.open(value, ad=ad(n)) for n, value in enumerate(stored)] == ["secret 0", "newer", "secret 2"]


def test_what_is_deleted_is_not_left_in_the_file(tmp_path):
    database = Database(f"sqlite:///{tmp_path / 'x.db'}")
    migrate(database)
    database.run_now(accounts.insert_workspace, Workspace("ws_1", "W"), 0.0)
    database.run_now(insert, 1, Keyring([OLD]))
    value = database.run_now(stored_secret, 1)
    assert database.run_now(oauth_clients.delete, "ws_1", "oc_0001")
    database.close()
    left = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert value not in left
    assert value[:40] not in left
