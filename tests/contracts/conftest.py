"""One Keyturn and one REST API of our own making, read over API, command line, client and pages."""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from page_surface import PageSurface
from pages import Person
from surfaces import Api, Failed, Surface, serving
from world import TOKEN, World


@pytest.fixture(scope="session")
def rest_api() -> Iterator[Api]:
    with serving() as api:
        yield api


@pytest.fixture(scope="session")
def reading_server(tmp_path_factory, rest_api) -> Iterator[Any]:
    class End:
        port = int(rest_api.url.rpartition(":")[2])

    started = World(tmp_path_factory.mktemp("reading"), End())
    try:
        yield started.serve()
    finally:
        started.close()


@pytest.fixture
def api(rest_api) -> Api:
    rest_api.answers.clear()
    rest_api.asked.clear()
    return rest_api


_names = iter(range(10_000))


@pytest.fixture
def connection(reading_server, api) -> str:
    """A connection of this test's own to the API."""
    name = f"c{next(_names)}"
    body = {"name": name, "base_url": api.url, "auth": {"type": "none"}, "access": "only_me"}
    assert reading_server.api.post("/connections", json=body).status_code == 201
    return name


@pytest.fixture(scope="session")
def person(reading_server) -> Iterator[Person]:
    """Somebody signed in at the pages."""
    found = Person(reading_server.url)
    yield found
    found.http.close()


@pytest.fixture(params=["api", "cli", "client", "page"])
def surface_at(request, reading_server, tmp_path, monkeypatch, capsys) -> Iterator[Any]:
    """A function of a server that gives one of the four ways to use it."""
    from keyturn.cli.app import run

    os.environ.setdefault("NO_COLOR", "1")
    people = []

    def at(server: Any) -> Surface:
        def ran(*words: str) -> Any:
            for name, value in {"KEYTURN_URL": server.url, "KEYTURN_TOKEN": TOKEN, "TZ": "UTC"}.items():
                monkeypatch.setenv(name, value)
            monkeypatch.setattr(sys, "stdin", io.StringIO(""))
            capsys.readouterr()
            code = run([*words, "--json"])
            out, err = capsys.readouterr()
            if code:
                raise Failed(err, json.loads(err)["error"].get("message_code"))
            return json.loads(out)

        if request.param != "page":
            return Surface(request.param, server.api, server.url, ran, tmp_path)
        found = PageSurface("page", server.api, server.url, ran, tmp_path)
        if server is reading_server:
            found.person = request.getfixturevalue("person")
        else:
            found.person = Person(server.url)
            people.append(found.person)
        return found

    yield at
    for person in people:
        person.http.close()


@pytest.fixture
def surface(surface_at, reading_server) -> Surface:
    """Each test that asks for it runs over all four."""
    return surface_at(reading_server)
