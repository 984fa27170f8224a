"""What an operator can have done, by name: each takes the ground, arguments and a way to speak, and answers JSON."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from keyturn.server.ground import Ground
from keyturn.services import backups, keys

Say = Callable[[str], None]
Operation = Callable[[Ground, Mapping[str, Any], Say], Awaitable[dict[str, Any]]]


async def list_keys(ground: Ground, arguments: Mapping[str, Any], say: Say) -> dict[str, Any]:  # noqa: ARG001
    """Every key that is held or needed, and the processes that serve."""
    found = await keys.uses(ground.scene)
    replicas = await keys.replicas(ground.scene.database)
    return {
        "place": ground.source.place,
        "keys": [asdict(use) for use in found],
        "replicas": [asdict(replica) for replica in replicas],
    }


async def rotate_keys(ground: Ground, arguments: Mapping[str, Any], say: Say) -> dict[str, Any]:  # noqa: ARG001
    """A new key, and everything wrapped by it."""
    return asdict(await keys.rotate(ground.scene, ground.source, say))


async def remove_key(ground: Ground, arguments: Mapping[str, Any], say: Say) -> dict[str, Any]:  # noqa: ARG001
    """An old key away for good."""
    await keys.remove(ground.scene, ground.source, str(arguments["fingerprint"]))
    return {"removed": arguments["fingerprint"]}


async def make_backup(ground: Ground, arguments: Mapping[str, Any], say: Say) -> dict[str, Any]:  # noqa: ARG001
    """A sealed backup into a file."""
    return asdict(await backups.make(ground.scene, Path(arguments["path"])))


VERBS: dict[str, Operation] = {
    "backup": make_backup,
    "keys.list": list_keys,
    "keys.rotate": rotate_keys,
    "keys.remove": remove_key,
}
