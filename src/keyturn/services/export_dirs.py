"""Folders that imports write into: which of the operator’s are away just now, and sentences that do not tell paths."""

from __future__ import annotations

import asyncio
import os
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from keyturn.services.context import Context, Deployment

_WAIT_SECONDS = 1.0
# A disk of the network that hangs holds whoever looks at it: one thread at most.
_threads = ThreadPoolExecutor(1, thread_name_prefix="export-dirs")
_looking: dict[tuple[Path, ...], Future[list[Path]]] = {}


async def away(deployment: Deployment) -> list[Path]:
    """Those that are not there, or cannot be written; all of them when that is not known within a second."""
    folders = deployment.export_dirs
    if not folders:
        return []
    look = _looking.get(folders)
    if look is None or look.done():
        look = _looking[folders] = _threads.submit(_away, folders)
    done, _ = await asyncio.wait({asyncio.wrap_future(look)}, timeout=_WAIT_SECONDS)
    return done.pop().result() if done else list(folders)


def without_folders(ctx: Context, sentence: str) -> str:
    """A sentence of the system or a library about a file, with its name below the folder that imports write into."""
    here = ctx.deployment
    roots = {here.files_dir(ctx.workspace_id), *here.export_dirs, here.data_dir}
    names = {str(path) for root in roots for path in (root, root.absolute(), root.resolve())}
    for name in sorted(names, key=len, reverse=True):
        sentence = sentence.replace(f"{name}/", "").replace(name, Path(name).name)
    return sentence


def _away(folders: tuple[Path, ...]) -> list[Path]:
    return [folder for folder in folders if not (folder.is_dir() and os.access(folder, os.W_OK))]
