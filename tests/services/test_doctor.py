"""The doctor: each check passes where all is well, and says what to do where it is not."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa

from keyturn.egress import AllowList, Egress, EgressSettings
from keyturn.encryption import Keyring
from keyturn.errors import Forbidden, Invalid
from keyturn.services import backups, doctor, keys
from keyturn.storage import token_hosts

NAMES = [
    "version",
    "public_url",
    "clock",
    "key",
    "database",
    "reader",
    "private_hosts",
    "egress",
    "disk",
    "backup",
    "recovery_key",
]
URL = "https://data.example.com"


@pytest.fixture
async def ctx(place):
    place.clock[0] = time.time()
    await keys.check_at_start(place.database, place.ana.keyring, place="here")
    return place.ana


async def found(ctx, name: str, **asked) -> tuple[str, str, str | None]:
    checks = {check.name: check for check in await doctor.examine(ctx, **asked)}
    check = checks[name]
    assert (check.fix is not None) == (check.state != "ok"), "a fix for each trouble, and none without"
    return check.state, check.sentence, check.fix


async def test_every_check_is_there_and_a_fresh_deployment_lacks_only_its_backup_and_recovery_key(ctx):
    checks = await doctor.examine(ctx, reached_at=URL, their_clock=time.time())
    assert [check.name for check in checks] == NAMES
    assert {check.name for check in checks if check.state != "ok"} <= {"backup", "recovery_key", "disk"}


async def test_only_a_workspace_admin_may_ask(place):
    with pytest.raises(Forbidden):
        await doctor.examine(place.li)


async def test_another_address_than_public_url_would_break_redirect_uris(ctx):
    state, sentence, fix = await found(ctx, "public_url", reached_at="http://data.example.com/x?code=1")
    assert (state, fix) == ("fail", f"Start with KEYTURN_PUBLIC_URL=http://data.example.com, or use {URL}.")
    assert sentence == f"Public URL is {URL} but you reached it at http://data.example.com. Redirect URIs would fail."


async def test_an_address_that_is_none_is_refused(ctx):
    with pytest.raises(Invalid):
        await doctor.examine(ctx, reached_at="http://[")


async def test_plain_http_off_this_machine_is_spoken_of(ctx):
    plain = replace(ctx, deployment=replace(ctx.deployment, public_url="http://data.example.com"))
    assert (await found(plain, "public_url"))[0] == "warn"
    local = replace(ctx, deployment=replace(ctx.deployment, public_url="http://localhost:8080"))
    assert (await found(local, "public_url"))[0] == "ok"


@pytest.mark.parametrize(("off", "state"), [(0, "ok"), (30, "warn"), (600, "fail")])
async def test_a_clock_that_is_off_is_said(place, ctx, off, state):
    assert (await found(ctx, "clock", their_clock=time.time() + off))[0] == state
    place.clock[0] += off
    assert (await found(ctx, "clock"))[0] == state, "against the database’s clock"


async def test_an_authorization_server_whose_clock_is_off_is_named(place, ctx):
    place.run(token_hosts.saw_clock, ctx.workspace_id, "https://acme.example", 400.0)
    state, sentence, _ = await found(ctx, "clock")
    assert (state, "https://acme.example’s" in sentence) == ("fail", True)


async def test_a_key_that_stored_data_needs_and_is_not_here_is_named(ctx):
    other = replace(ctx, keyring=Keyring([b"x" * 32]))
    state, sentence, fix = await found(other, "key")
    assert state == "fail"
    assert ctx.keyring.fingerprint in sentence
    assert "keyturn keys recover" in fix


async def test_a_schema_of_another_version_is_said(place, ctx):
    place.run(lambda tx: tx.execute(sa.text("update alembic_version set version_num = '0001'")))
    state, sentence, fix = await found(ctx, "database")
    assert (state, "schema 0001" in sentence, "keyturn migrate" in fix) == ("fail", True, True)


@pytest.mark.parametrize(("allowed", "state"), [("", "ok"), ("crm.internal:8443", "ok"), ("10.0.0.0/8", "warn")])
async def test_private_hosts_are_listed_and_whole_networks_questioned(ctx, allowed, state):
    egress = Egress(EgressSettings(allowed=AllowList.parse(allowed)))
    found_state, sentence, _ = await found(replace(ctx, egress=egress), "private_hosts")
    assert found_state == state
    assert allowed in sentence


async def test_authorities_that_cannot_be_read_are_said(ctx, tmp_path):
    egress = Egress(EgressSettings(ca_file=tmp_path / "gone.pem"))
    state, sentence, fix = await found(replace(ctx, egress=egress), "egress")
    assert (state, "gone.pem" in sentence, "KEYTURN_CA_FILE" in fix) == ("fail", True, True)


async def test_a_full_disk_is_said_before_it_is_full(ctx, monkeypatch):
    usage = type("usage", (), {"free": 100 << 20})
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda _: usage)
    assert (await found(ctx, "disk"))[:2] == ("fail", "0.1 GB are free in the data folder.")
    missing = replace(ctx, deployment=replace(ctx.deployment, data_dir=Path("/nowhere")))
    assert "cannot be written" in (await found(missing, "disk"))[1]


async def test_a_backup_grows_old(place, ctx, tmp_path):
    assert (await found(ctx, "backup"))[1] == "No backup was ever made."
    await backups.make(ctx, tmp_path / "a.backup")
    assert (await found(ctx, "backup"))[0] == "ok"
    place.clock[0] += 9 * 86400
    assert (await found(ctx, "backup"))[:2] == ("warn", "Backup is 9 days old.")
