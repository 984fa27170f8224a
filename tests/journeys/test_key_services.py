"""Keys wrapped by a key service: AWS KMS (moto, over its real protocol) and Vault's transit engine (a small program)."""

from __future__ import annotations

import json
import logging
import sqlite3

import botocore.session
import pytest
from moto.server import ThreadedMotoServer

from keyturn.encryption import FileKeys, Keyring, encode_key
from operating import operate, remove_key
from vault import Vault

AWS = {"AWS_ACCESS_KEY_ID": "kms-user", "AWS_SECRET_ACCESS_KEY": "kms-secret", "AWS_EC2_METADATA_DISABLED": "true"}


class Kms:
    """AWS KMS by moto."""

    def __init__(self) -> None:
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        self._server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        self._server.start()
        self.port = self._server.get_host_and_port()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.client = botocore.session.get_session().create_client(
            "kms", region_name="eu-central-1", endpoint_url=self.url,
            aws_access_key_id="a", aws_secret_access_key="b",
        )  # fmt: skip
        self.arn = self.client.create_key()["KeyMetadata"]["Arn"]
        self.environment = {**AWS, "AWS_ENDPOINT_URL_KMS": self.url}
        self.setting = f"aws-kms:{self.arn}"

    def away(self) -> None:
        self._server.stop()

    def back(self) -> None:
        # Its keys are this process's.
        self._server = ThreadedMotoServer(ip_address="127.0.0.1", port=self.port, verbose=False)
        self._server.start()

    def stop(self) -> None:
        self._server.stop()


class Transit(Vault):
    """Vault with what the operator sets for it."""

    @property
    def environment(self) -> dict[str, str]:
        return {"KEYTURN_VAULT_TOKEN": self.token}

    def away(self) -> None:
        self.stop()

    def back(self) -> None:
        self.start()


@pytest.fixture(params=["aws-kms", "vault-transit"])
def service(request):
    made = Kms() if request.param == "aws-kms" else Transit().start()
    yield made
    made.stop()


def doctor_of(server) -> dict[str, dict]:
    return {check["name"]: check for check in server.api.get("/doctor").json()["checks"]}


def test_keys_live_wrapped_by_a_key_service_which_is_needed_at_the_start_alone(world, steps, service, database_url):
    there = {"KEYTURN_ENCRYPTION_KEY_SERVICE": service.setting, **service.environment}
    server = world.serve(database_url=database_url, **there)
    connection = steps.connect(world, server, steps.register(world, server))
    data = world.tmp_path / "data"
    assert not (data / "key").exists(), "no key lies on the disk"
    here = {"KEYTURN_DATA_DIR": str(data), "KEYTURN_DATABASE_URL": database_url, **there}
    assert doctor_of(server)["key_service"]["state"] == "ok"
    service.away()
    steps.ok(server.api.post(f"/connections/{connection['id']}/refresh"))
    check = doctor_of(server)["key_service"]
    assert (check["state"], "next start" in check["fix"]) == ("fail", True)
    server.stop()
    said = operate("serve", code=1, **here)
    assert f"The key service {service.setting}" in said
    service.back()
    again = world.serve(database_url=database_url, **there)
    steps.ok(again.api.post(f"/connections/{connection['id']}/refresh"))
    operate("keys", "rotate", **here)
    steps.ok(again.api.post(f"/connections/{connection['id']}/refresh"))
    found = json.loads(operate("keys", "list", "--json", **here))
    assert service.setting in found["place"]
    old = next(key["fingerprint"] for key in found["keys"] if not key["seals"])
    remove_key(old, **here)
    assert "kms-secret" not in again.log
    assert "hvs.test-token" not in again.log


def test_a_key_file_is_wrapped_and_may_go_and_a_newer_service_takes_over(world, steps):
    server = world.serve()
    connection = steps.connect(world, server, steps.register(world, server))
    server.stop()
    key = world.tmp_path / "data" / "key"
    (old_key,) = FileKeys(key).read()
    first, second = Transit("hvs.first").start(), Transit("hvs.first").start()
    try:
        world.serve(KEYTURN_ENCRYPTION_KEY_SERVICE=first.setting, **first.environment).stop()
        key.unlink()
        both = f"{second.setting},{first.setting}"
        world.serve(KEYTURN_ENCRYPTION_KEY_SERVICE=both, **first.environment).stop()
        first.stop()
        server = world.serve(KEYTURN_ENCRYPTION_KEY_SERVICE=second.setting, **first.environment)
        steps.ok(server.api.post(f"/connections/{connection['id']}/refresh"))
        server.stop()
        with sqlite3.connect(world.tmp_path / "data" / "keyturn.db") as database:
            (stored,) = database.execute("select value from deployment where name = 'wrapped_keyring'").fetchone()
        database.close()
        assert encode_key(old_key) not in stored
        assert json.loads(stored)["fingerprints"] == Keyring([old_key]).fingerprint
        here = {"KEYTURN_DATA_DIR": str(world.tmp_path / "data")}
        assert "E-KEY" in operate("serve", code=1, **here)
        wrong = {**here, "KEYTURN_ENCRYPTION_KEY_SERVICE": second.setting, "KEYTURN_VAULT_TOKEN": "hvs.wrong"}
        assert "permission denied" in operate("serve", code=1, **wrong)
        assert "Name it in KEYTURN_ENCRYPTION_KEY_SERVICE" in operate(
            "serve", code=1, **{**wrong, "KEYTURN_ENCRYPTION_KEY_SERVICE": first.setting}
        )
    finally:
        first.stop()
        second.stop()


def test_a_backup_opens_with_the_key_service_alone(world, steps, service):
    there = {"KEYTURN_ENCRYPTION_KEY_SERVICE": service.setting, **service.environment}
    server = world.serve(**there)
    connection = steps.connect(world, server, steps.register(world, server))
    file = world.tmp_path / "x.backup"
    operate("backup", str(file), KEYTURN_DATA_DIR=str(world.tmp_path / "data"), **there)
    server.stop()
    fresh = {"KEYTURN_DATA_DIR": str(world.tmp_path / "fresh")}
    assert "which is not here" in operate("restore", str(file), "--old-stopped", code=1, **fresh)
    operate("restore", str(file), "--old-stopped", **fresh, **there)
    restored = world.serve(data="fresh", public=server.url, **there)
    steps.ok(restored.api.post(f"/connections/{connection['id']}/refresh"))


@pytest.mark.parametrize("value", ["kms", "aws-kms:", "vault-transit:vault/x", "vault-transit:https://vault/keyturn"])
def test_nonsense_is_said_with_the_form_it_should_have(tmp_path, value):
    said = operate("serve", code=1, KEYTURN_DATA_DIR=str(tmp_path), KEYTURN_ENCRYPTION_KEY_SERVICE=value)
    assert "aws-kms:<key ARN or alias/name>, or vault-transit:https://" in said
