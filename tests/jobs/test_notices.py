"""What sends and looks by itself: it stops when asked, and a database that is away is no end."""

from __future__ import annotations

import asyncio

from keyturn.errors import Unavailable
from keyturn.jobs.notices import Notifier


class Away:
    """A database that is not there, and is asked again."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()

    async def read(self, *arguments: object) -> object:
        self.asked.set()
        raise Unavailable("The database is not reachable.")


class Scene:
    def __init__(self) -> None:
        self.database = Away()


async def test_it_goes_on_without_a_database_until_it_is_stopped():
    scene = Scene()
    notifier = Notifier(scene)
    running = asyncio.create_task(notifier.run())
    await scene.database.asked.wait()
    scene.database.asked.clear()
    await scene.database.asked.wait()
    await notifier.stop()
    await running
