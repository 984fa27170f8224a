"""JSON and YAML of strangers as plain values: not nested so deeply or repeated so often that reading it does harm."""

from __future__ import annotations

import json
from typing import Any

# Deeper than any description of an API; the parser's own stack ends at some ten thousand.
DEEPEST = 100
# With every alias (`*name`, also where it is merged) written out.
MOST_NODES = 2_000_000


def parsed(text: str) -> Any:
    """The value of a JSON or YAML document. Raises `ValueError` for what is neither, or would harm whoever reads it."""
    try:
        return json.loads(text)
    except ValueError:
        pass
    except RecursionError:
        raise ValueError("It is nested too deeply.") from None
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        _check(yaml.parse(text, Loader=loader))
        return yaml.load(text, Loader=loader)  # noqa: S506 - a safe loader
    except (yaml.YAMLError, RecursionError, ArithmeticError) as error:
        raise ValueError("It is neither JSON nor YAML.") from error


def _check(events: Any) -> None:
    """Count what the document would be with every alias written out. Raises `ValueError`."""
    import yaml

    sizes: dict[str, int] = {}
    # What is open: the anchor of each, and how many nodes it has so far.
    opened: list[tuple[str | None, int]] = [(None, 0)]
    for event in events:
        anchor, size = getattr(event, "anchor", None), 0
        if isinstance(event, yaml.CollectionStartEvent):
            opened.append((anchor, 1))
            if anchor is not None:
                sizes.pop(anchor, None)
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, size = opened.pop()
        elif isinstance(event, yaml.AliasEvent):
            if anchor not in sizes:
                raise ValueError("It repeats itself without end.")
            anchor, size = None, sizes[anchor]
        elif isinstance(event, yaml.ScalarEvent):
            size = 1
        if size:
            if anchor is not None:
                sizes[anchor] = size
            opened[-1] = (opened[-1][0], opened[-1][1] + size)
        if len(opened) > DEEPEST or opened[-1][1] > MOST_NODES:
            raise ValueError("It is nested too deeply, or repeats itself too often.")
