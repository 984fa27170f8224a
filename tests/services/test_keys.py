"""An old key goes only when nothing needs it any more."""

from __future__ import annotations

from dataclasses import replace

import pytest

from keyturn.encryption import AssociatedData, FileKeys, Keyring, encode_key, new_key
from keyturn.errors import Conflict
from keyturn.services import keys, spills


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
