"""Things found by the name people gave them, with a guess at what was meant when there is none."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

from keyturn.errors import NotFound


def pick(items: Iterable[Mapping[str, Any]], name: str, *, what: str, key: str = "name") -> dict[str, Any]:
    """The item of that name, exactly or but for its case, or of that id. Raises `NotFound` with a suggestion."""
    found = list(items)
    for field in (key, "id"):
        for item in found:
            if item[field] == name:
                return dict(item)
    alike = [item for item in found if item[key].casefold() == name.casefold()]
    if len(alike) == 1:
        return dict(alike[0])
    raise NotFound(f"There is no {what} called {name}.{suggestion(name, [item[key] for item in found])}")


def suggestion(name: str, names: Iterable[str]) -> str:
    """' Did you mean …?', or what there is when little is there, or nothing."""
    known = sorted(set(names))
    by_folded = {item.casefold(): item for item in known}
    close = difflib.get_close_matches(name.casefold(), list(by_folded), n=1, cutoff=0.6)
    if close:
        return f" Did you mean {by_folded[close[0]]}?"
    if known and len(known) <= 5:
        return f" There {'is' if len(known) == 1 else 'are'} {', '.join(known)}."
    return ""
