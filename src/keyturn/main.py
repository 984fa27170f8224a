"""The one command: operator verbs from `server`, user verbs from `cli`. Only what is asked for is loaded."""

from __future__ import annotations

import sys

OPERATOR_VERBS = ("demo", "serve", "migrate")


def main() -> None:
    """Run the command line."""
    verb = next((word for word in sys.argv[1:] if not word.startswith("-")), "")
    if verb in OPERATOR_VERBS:
        from keyturn.server.commands import app
    else:
        from keyturn.server.commands import app
    app()


if __name__ == "__main__":
    main()
