"""What happens around imports under fire: tokens that end, limits, errors, disks and databases that are away."""

from __future__ import annotations

import contextlib
import errno
import random
import resource
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from crashes import Fire
    from warehouse import Relay

# An API that rejects the token it has just given out means the permission.
_TOKENS_LIVE_SECONDS = 5.0


def tokens_end(fire: Fire, chance: random.Random) -> None:
    """Every access token is over, and those to come live a few seconds. Not one that was made a moment ago."""
    demo = fire.world.end_system.demo
    demo.faults.access_token_seconds = chance.randrange(6, 12)
    if time.monotonic() - fire.tokens_ended_at > _TOKENS_LIVE_SECONDS:
        demo.expire_access_tokens()
        fire.tokens_ended_at = time.monotonic()


def limit_hit(fire: Fire, chance: random.Random) -> None:
    """The next calls are told to wait."""
    fire.world.end_system.demo.faults.api_429s = chance.randrange(1, 4)


def errors(fire: Fire, chance: random.Random) -> None:
    """The next calls fail."""
    fire.world.end_system.demo.faults.api_500s = chance.randrange(1, 4)


def folder_away(fire: Fire, chance: random.Random) -> None:
    """The destination's folder is not there for a while, as one of the network."""
    away = fire.folder.with_name(f"{fire.folder.name}-away")
    fire.folder.rename(away)
    time.sleep(chance.uniform(0.2, 1.5))
    away.rename(fire.folder)


def stalled(fire: Fire, chance: random.Random) -> None:
    """A process stands still for longer than its leases last, and wakes up when others have its imports."""
    at = chance.randrange(len(fire.servers))
    with fire.harming[at]:
        process = fire.servers[at].process
        process.send_signal(signal.SIGSTOP)
        time.sleep(chance.uniform(9.0, 12.0))
        process.send_signal(signal.SIGCONT)


class Cut:
    """A database behind a relay is not there for a while."""

    def __init__(self, relay: Relay, name: str) -> None:
        self._relay, self.__name__ = relay, name

    def __call__(self, fire: Fire, chance: random.Random) -> None:
        self._relay.cut()
        time.sleep(chance.uniform(0.2, 3.0))
        self._relay.mend()


class SmallDisk:
    """A file system of its own at `path`, which can be full. Where none may be mounted, files may not grow."""

    __name__ = "disk_full"

    def __init__(self, path: Path, *, mebibytes: int = 64) -> None:
        self.path = path
        path.mkdir(parents=True, exist_ok=True)
        command = ["mount", "-t", "tmpfs", "-o", f"size={mebibytes}m", "tmpfs", str(path)]
        self.is_mounted = subprocess.run(command, check=False, capture_output=True).returncode == 0

    def __call__(self, fire: Fire, chance: random.Random) -> None:
        with self.full(*(server.process.pid for server in fire.servers)):
            time.sleep(chance.uniform(0.3, 2.0))

    @contextlib.contextmanager
    def full(self, *pids: int) -> Iterator[None]:
        """Not a byte fits; without a mount, the files of these processes alone cannot grow."""
        if not self.is_mounted:
            with _files_limited(pids):
                yield
            return
        filler = self.path / "filler"
        try:
            with filler.open("wb", buffering=0) as file:
                for size in (1 << 20, 1 << 12):
                    with contextlib.suppress(OSError):
                        while file.write(bytes(size)) == size:
                            pass
            yield
        finally:
            filler.unlink(missing_ok=True)

    def close(self) -> None:
        if self.is_mounted:
            subprocess.run(["umount", "-l", str(self.path)], check=False)


@contextlib.contextmanager
def _files_limited(pids: tuple[int, ...]) -> Iterator[None]:
    for pid in pids:
        _limit(pid, 0)
    try:
        yield
    finally:
        for pid in pids:
            _limit(pid, resource.RLIM_INFINITY)


def _limit(pid: int, most: int) -> None:
    try:
        _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (most if most != resource.RLIM_INFINITY else hard, hard))
    except OSError as error:
        if error.errno != errno.ESRCH:  # killed just now
            raise


@pytest.fixture
def small_disk(tmp_path) -> Iterator[SmallDisk]:
    """Ask for it before `world`, so that it outlives every process."""
    made = SmallDisk(tmp_path / "lake")
    yield made
    made.close()
