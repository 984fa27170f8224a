"""Somebody with a browser who opens a connect link, for tests that call verbs without a server."""

from __future__ import annotations

import secrets
from urllib.parse import parse_qsl, urlsplit

import httpx2

from keyturn.services import confirmations, sign_ins

LIVE = {"token": {"auth": "post"}, "allowed_hosts": ["acme.example"]}


async def theirs(place, gossip, **advanced):
    """An OAuth client of an end system that is there."""
    told = {**LIVE, "revocation_url": gossip.url + "/revoke", **advanced}
    return await place.client(
        authorization_url=gossip.url + "/authorize", token_url=gossip.url + "/token", advanced=told
    )


class Visitor:
    """A browser that opens a link, and may come back from the end system."""

    def __init__(self, place, url: str) -> None:
        self.place, self.link, self.browser = place, url.rpartition("/")[2], secrets.token_urlsafe(8)

    async def go(self) -> str:
        return await confirmations.proceed(self.place.ana, self.link, browser=self.browser, account_id=None)

    async def come_back(self, url: str) -> sign_ins.Outcome:
        async with httpx2.AsyncClient() as person:
            back = urlsplit((await person.get(url)).headers["location"])
        slug = back.path.rpartition("/")[2]
        done = await sign_ins.complete(self.place.ana, slug, parse_qsl(back.query), browser=self.browser)
        return await sign_ins.outcome(self.place.ana, done)
