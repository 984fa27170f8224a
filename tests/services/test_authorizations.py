"""Beginning sign-ins: as many as a person begins, and no more."""

from __future__ import annotations

import pytest

from keyturn.errors import LimitReached
from keyturn.services import authorizations
from keyturn.storage import authorizations as rows


async def test_r11_one_person_begins_so_many_sign_ins_in_a_minute_and_is_told_when_to_go_on(place):
    client = await place.client()
    connection = await place.connection(client=client)
    theirs = await place.connection(place.li, client, name="theirs")
    for _ in range(authorizations.PACE_MOST):
        await authorizations.begin(place.ana, connection.id)
    with pytest.raises(LimitReached, match="Wait a minute") as refused:
        await authorizations.begin(place.ana, connection.id)
    assert refused.value.retry_after_seconds == 60
    assert place.run(rows.count_begun_anywhere, "ac_ana", place.clock[0] - 60) == authorizations.PACE_MOST
    await authorizations.begin(place.li, theirs.id)  # another person may
    place.clock[0] += 61
    await authorizations.begin(place.ana, connection.id)
