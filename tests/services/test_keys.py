"""An old key goes only when nothing needs it any more."""

from __future__ import annotations

from dataclasses import replace

import pytest

from keyturn.encryption import AssociatedData, FileKeys, Keyring, encode_key, key_id_of, new_key
from keyturn.errors import Conflict
from keyturn.services import keys, spills, stored_secrets
from keyturn.storage import client_secrets, replicas, sealed


async def test_a_key_that_opens_an_answer_in_a_file_stays(place, tmp_path):
    file, (old, new) = tmp_path / "keys", (new_key(), new_key())
    file.write_text(f"{encode_key(new)},{encode_key(old)}")
    source = FileKeys(file)
    scene = replace(place.ana, keyring=Keyring.of(source))
    was = Keyring([old])
    sealed = was.seal("an answer", ad=AssociatedData("ws_1", "grants", "gr_1", "access"))
    spills.put(tmp_path, "ra_1", {"grant_id": "gr_1", "values": {"access_sealed": sealed, "refresh_sealed": None}})
    with pytest.raises(Conflict, match=r"still opens 1 answers that wait for the database in .*answers"):
        await keys.remove(scene, source, was.fingerprint)
    spills.remove(tmp_path, "ra_1")
    await keys.remove(scene, source, was.fingerprint)
    assert source.read() == (new,)


async def test_what_a_stalled_process_stores_after_its_key_was_taken_away_is_wrapped_anew(place, tmp_path):
    file = tmp_path / "keys"
    file.write_text(encode_key(new_key()))
    source = FileKeys(file)
    deployment = replace(place.ana.deployment, data_dir=tmp_path)
    stalled = replace(place.ana, keyring=Keyring.of(source), deployment=deployment)
    client = await replace(place, ana=stalled).client()
    operator = replace(stalled, keyring=Keyring.of(source), deployment=replace(deployment, owner="operator"))
    rows = sealed.Place("oauth_client_secrets", "secret_sealed")
    [under_way] = place.run(sealed.others_anywhere, rows, "0" * 8, after=None, limit=9)
    damaged = under_way.value[:40] + bytes([under_way.value[40] ^ 1]) + under_way.value[41:]
    spilled = {"access_sealed": under_way.value, "refresh_sealed": damaged, "dpop_key_sealed": None}
    await keys.rotate(operator, source, lambda _: None)
    await keys.remove(operator, source, stalled.keyring.fingerprint)
    [stored] = place.run(sealed.others_anywhere, rows, "0" * 8, after=None, limit=9)
    place.run(sealed.replace_anywhere, rows, [(stored, under_way.value)])  # its transaction ends only now
    spills.put(tmp_path, "ra_1", {"attempt_id": "ra_1", "values": spilled})
    assert await keys.missing_keys(place.database, operator.keyring) == [key_id_of(under_way.value)]
    assert stalled.keyring.look_again()
    assert await keys.wrap_stragglers(stalled) == 1
    assert await keys.missing_keys(place.database, operator.keyring) == []
    secrets = place.run(client_secrets.all_of_client, "ws_1", client.id)
    assert [one.value for one in stored_secrets.opened(operator, secrets, client.settings)] == ["a client secret"]
    [answer] = spills.read_all(tmp_path)
    assert key_id_of(answer["values"]["access_sealed"]) == operator.keyring.fingerprint
    assert answer["values"]["refresh_sealed"] == damaged
    assert await keys.wrap_stragglers(stalled) == 0


async def test_a_replica_that_died_is_not_waited_for_and_one_that_lives_keeps_its_key(place, tmp_path):
    file = tmp_path / "keys"
    file.write_text(encode_key(new_key()))
    source = FileKeys(file)
    scene = replace(place.ana, keyring=Keyring.of(source))
    old = scene.keyring.fingerprint
    place.run(replicas.beat, "dead", "1", (old,))
    place.run(lambda tx: tx.execute(replicas.replicas.update().values(seen_at=replicas.replicas.c.seen_at - 21)))
    await keys.rotate(scene, source, lambda _: None)
    place.run(replicas.beat, "alive", "1", (old,))
    with pytest.raises(Conflict, match=f"alive still seals with key {old}"):
        await keys.remove(scene, source, old)
    place.run(replicas.leave, "alive")
    await keys.remove(scene, source, old)
