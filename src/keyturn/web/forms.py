"""Forms: a settings model's labels and help texts for drawing, and what was typed as the raw value a verb takes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel
from starlette.datastructures import FormData
from starlette.responses import RedirectResponse, Response

from keyturn.errors import Conflict, Invalid, KeyturnError, LimitReached, Unavailable, UpstreamError

# What a person can mend on the same page; everything else has a page of its own.
MENDABLE = (Invalid, Conflict, LimitReached, Unavailable, UpstreamError)


@dataclass(frozen=True, slots=True)
class Label:
    """A field's words."""

    title: str
    help: str


@dataclass(frozen=True, slots=True)
class Form:
    """A form as it is drawn: what is in it, what is wrong with which field, and what concerns no single field."""

    values: Mapping[str, Any] = field(default_factory=dict)
    problems: Mapping[str, str] = field(default_factory=dict)
    sentence: str | None = None
    message_code: str | None = None

    def __repr__(self) -> str:
        return f"Form({', '.join(self.problems)})"

    @property
    def wrong(self) -> bool:
        """Whether there is something to fix."""
        return bool(self.problems) or self.sentence is not None

    def value(self, name: str, default: Any = "") -> Any:
        """What stands in a field."""
        return self.values.get(name, default)


def labels(model: type[BaseModel], prefix: str = "") -> dict[str, Label]:
    """The titles and descriptions of a model's fields, nested models by dotted name."""
    found: dict[str, Label] = {}
    for name, info in model.model_fields.items():
        found[prefix + name] = Label(info.title or name, info.description or "")
        inner = info.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            found |= labels(inner, f"{prefix}{name}.")
    return found


def failed(error: KeyturnError, values: Mapping[str, Any], shown: Iterable[str]) -> Form:
    """The form again, with what was typed and what is wrong. Problems at fields that are not shown go to the top."""
    fields = set(shown)
    problems: dict[str, str] = {}
    rest: list[str] = []
    for item in getattr(error, "problems", ()):
        name = item.at if item.at in fields else _nearest(item.at, fields)
        if name is None:
            rest.append(f"{item.at}: {item.message}")
        else:
            problems.setdefault(name, item.message)
    if not problems and not rest:
        rest = [error.message]
    return Form(values, problems, " ".join(rest) or None, error.message_code)


async def attempt(
    do: Callable[[], Awaitable[str]],
    again: Callable[[KeyturnError, int], Awaitable[Response]],
) -> Response:
    """Run `do`, which answers where to go; what a person can mend is answered by `again(error, status)`."""
    from keyturn.web.errors import STATUS

    try:
        return RedirectResponse(await do(), 303)
    except MENDABLE as error:
        return await again(error, STATUS.get(error.code, 422))


def typed(form: FormData) -> dict[str, str]:
    """What was typed, field by field; line ends as on this system, files refused."""
    return {
        name: value.replace("\r\n", "\n") for name, value in form.items() if isinstance(value, str) and name != "csrf"
    }


def pairs(text: str, *, at: str, separator: str = "=") -> dict[str, str]:
    """`name=value` lines as an object. Raises `Invalid` at `at` for a line without a separator."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        if not line.strip():
            continue
        name, middle, value = line.partition(separator)
        if not middle or not name.strip():
            raise Invalid(f"Write one name{separator}value on each line.", at=at)
        found[name.strip()] = value.strip()
    return found


def lines_of(values: Mapping[str, Any], separator: str = "=") -> str:
    """The other way round."""
    return "\n".join(f"{name}{separator}{value}" for name, value in values.items())


def merged_pairs(new: Mapping[str, str], old: Mapping[str, Any]) -> dict[str, str | None]:
    """New pairs as a merge patch of old ones: names that are gone become null (RFC 7396)."""
    return {**dict.fromkeys(name for name in old if name not in new), **new}


def put(target: dict[str, Any], dotted: str, value: Any) -> None:
    """Set `a.b.c` in nested objects."""
    *parents, last = dotted.split(".")
    for name in parents:
        target = target.setdefault(name, {})
    target[last] = value


def _nearest(at: str, fields: set[str]) -> str | None:
    """The shown field that `at` lies in: `headers.X` is drawn at `headers`."""
    while "." in at:
        at = at.rpartition(".")[0]
        if at in fields:
            return at
    return None
