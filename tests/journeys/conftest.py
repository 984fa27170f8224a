"""What journeys into object stores share: a server that may reach the `store` of their module, and a table of it."""

from __future__ import annotations

import pytest

from destination_fires import allowed
from world import connect, orders, register


@pytest.fixture
def server(world, store):
    """A server that may reach the store."""
    return world.serve(KEYTURN_ALLOWED_PRIVATE_HOSTS=allowed(world, store))


@pytest.fixture
def table(world, server):
    """A table on a connection of its own there."""
    return orders(server, connect(world, server, register(world, server)))
