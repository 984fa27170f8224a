"""The one command: user verbs from `cli`, operator verbs from `server`. Only what is asked for is loaded."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import sys

import typer

# Start-up makes many objects that stay: looking through them again and again is a tenth of its time.
gc.set_threshold(50_000)

OPERATOR_VERBS: dict[str, str] = {
    "backup": "Write everything into one sealed file, while everything runs.",
    "demo": "Keyturn and the demo end system side by side: the main job, performed before your eyes.",
    "restore": "Fill a fresh deployment with a backup.",
    "serve": "Serve the web UI, the HTTP API and the worker. Settings come from the environment (KEYTURN_…).",
    "worker": "Run imports beside the servers of the same PostgreSQL, without serving pages.",
    "keys": "Encryption keys: list, rotate, remove, recover.",
    "simulate": "Proofs to repeat: refreshing under fire.",
    "migrate": "Bring the database to this version's schema and stop.",
}


# Most ways to manage memory keep what a thread gave back for that thread, and the threads of fifty imports would keep
# several hundred megabytes. So there is one way for all, that of the system, and few heaps.
_M_ARENA_MAX, _HEAPS = -8, 2  # mallopt(3), glibc


def main() -> None:
    """Run the command line and leave with its exit code."""
    if sys.argv[1:2] and sys.argv[1] in OPERATOR_VERBS:
        _operate(sys.argv[1:])
        return
    from keyturn.cli import app as command_line

    for verb, sentence in OPERATOR_VERBS.items():
        _list(command_line.app, verb, sentence)
    sys.exit(command_line.run())


def _operate(arguments: list[str]) -> None:
    _keep_few_heaps()
    from keyturn.server.commands import app as operator

    operator(args=arguments, prog_name="keyturn")


def _keep_few_heaps() -> None:
    """Before Arrow is loaded, and before there are threads. What the operator's environment says goes first."""
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    if "MALLOC_ARENA_MAX" not in os.environ:
        with contextlib.suppress(OSError, AttributeError):  # another C library has one heap, or ways of its own
            ctypes.CDLL(None).mallopt(_M_ARENA_MAX, _HEAPS)


def _list(app: typer.Typer, verb: str, sentence: str) -> None:
    """Name an operator verb in the help without loading it: its own options are known to the server's code."""

    def operate(context: typer.Context) -> None:
        _operate([verb, *context.args])

    anything = {"ignore_unknown_options": True, "allow_extra_args": True}
    register = app.command(
        verb, help=sentence, rich_help_panel="Operator", add_help_option=False, context_settings=anything
    )
    register(operate)


if __name__ == "__main__":
    main()
