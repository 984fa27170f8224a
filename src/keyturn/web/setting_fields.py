"""Form fields made from a settings model: each setting has one, drawn by its type and named by its dotted name.

Only the words of choices are added here; titles, descriptions and what is allowed are the model's.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from keyturn.errors import Invalid
from keyturn.web.forms import Label, lines_of, pairs

Kind = Literal["choice", "text", "lines", "numbers", "pairs", "value", "values"]
_HELP: dict[Kind, str] = {
    "lines": "One a line.",
    "values": "One a line.",
    "pairs": "One name=value a line.",
    "numbers": "Spaces between them.",
}
_NOTHING: dict[Kind, Any] = {"pairs": {}, "lines": [], "numbers": [], "values": []}
_YES = {"false": "No", "true": "Yes"}


@dataclass(frozen=True, slots=True)
class SettingField:
    """One field: how it is drawn and, for a choice, the words of its options.

    `group` is the section of the settings it belongs to. `part` is the dotted name of the optional settings it is one
    of: they are there together or not at all. In an `exact` one, spaces at the ends and nothing at all are meant.
    """

    name: str
    kind: Kind
    label: Label
    group: str
    options: Mapping[str, str]
    part: str | None = None
    exact: bool = False

    def read(self, text: str) -> Any:
        """What was typed as the setting's raw value; None when nothing was. Raises `Invalid` at its name."""
        if self.exact:
            return text
        if not text.strip() and self.kind != "choice":
            return _NOTHING.get(self.kind)
        if self.kind == "pairs":
            return pairs(text, at=self.name)
        if self.kind == "lines":
            return [line.strip() for line in text.splitlines() if line.strip()]
        if self.kind == "values":
            return [_scalar(line) for line in text.splitlines() if line.strip()]
        if self.kind == "numbers":
            return [self._number(word) for word in text.replace(",", " ").split()]
        # A space may be the value itself.
        return _scalar(text) if self.kind == "value" else text if self.kind == "choice" else text.strip()

    def write(self, value: Any) -> str:
        """The other way round."""
        if self.kind == "pairs":
            return lines_of({name: item or "" for name, item in (value or {}).items()})
        if self.kind in {"lines", "values"}:
            return "\n".join(map(_spoken, value or ()))
        if self.kind == "numbers":
            return " ".join(map(str, value or ()))
        return "" if value is None else _spoken(value)

    def _number(self, word: str) -> int:
        if not word.isdecimal():
            raise Invalid("Write whole numbers, for example 401.", at=self.name)
        return int(word)


def fields_of(model: type[BaseModel], prefix: str, words: Mapping[str, Mapping[str, str]]) -> Iterator[SettingField]:
    """The fields of a model's settings below `prefix`, in their order; not of maps of settings (variables).

    `words` are the options' words of a choice by its dotted name; without any, its values speak for themselves.
    """
    for own, info in model.model_fields.items():
        kind, inner, _ = _drawn(info.annotation)
        name = f"{prefix}.{own}"
        if inner is not None:
            yield from _inside(inner, name, name, words)
        elif kind is not None and own != "version":
            yield _field(name, info, prefix, words)


def _inside(
    model: type[BaseModel],
    prefix: str,
    group: str,
    words: Mapping[str, Mapping[str, str]],
    above: str | None = None,
    part: str | None = None,
) -> Iterator[SettingField]:
    for own, info in model.model_fields.items():
        name = f"{prefix}.{info.alias or own}"
        kind, inner, _ = _drawn(info.annotation)
        if inner is not None:
            yield from _inside(inner, name, group, words, info.title, name if kind == "value" else part)
        elif kind is not None:
            yield _field(name, info, group, words, above, part)


def _field(
    name: str,
    info: FieldInfo,
    group: str,
    words: Mapping[str, Mapping[str, str]],
    above: str | None = None,
    part: str | None = None,
) -> SettingField:
    kind, _, options = _drawn(info.annotation)
    title = info.title or name
    told = " ".join(filter(None, (info.description, _HELP.get(kind or "text"))))
    usual = info.default if isinstance(info.default, str) else ""
    exact = kind == "text" and usual != usual.strip()
    label = Label(f"{above}: {title.lower()}" if above else title, told)
    return SettingField(name, kind or "text", label, group, words.get(name, options), part, exact)


def _drawn(annotation: Any) -> tuple[Kind | None, type[BaseModel] | None, dict[str, str]]:
    """How a type is drawn: the kind; the model inside, with `value` as kind when it may be absent; the options."""
    origin, inside = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _drawn(inside[0])
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return None, annotation, {}
    if annotation is bool:
        return "choice", None, dict(_YES)
    if origin is Literal:
        return "choice", None, {str(value): str(value) for value in inside}
    if origin is tuple:
        return ("numbers" if inside[0] is int else "values" if _is_scalar(inside[0]) else "lines"), None, {}
    if origin is dict:
        holds_models = isinstance(inside[1], type) and issubclass(inside[1], BaseModel)
        return (None if holds_models else "pairs"), None, {}
    if _is_scalar(annotation):
        return "value", None, {}
    if origin in {Union, UnionType}:
        kind, inner, options = _drawn(next(item for item in inside if item is not type(None)))
        return ("value" if inner is not None else kind), inner, options
    return "text", None, {}


def _is_scalar(annotation: Any) -> bool:
    return get_origin(annotation) in {Union, UnionType} and {str, bool} <= set(get_args(annotation))


def _scalar(text: str) -> Any:
    """`true`, `null` and numbers as such, anything else as text."""
    try:
        found = json.loads(text)
    except ValueError:
        return text.strip()
    return text.strip() if isinstance(found, dict | list) else found


def _spoken(value: Any) -> str:
    if isinstance(value, str):
        # A text that would be read as something else stands in quotes.
        return value if isinstance(_scalar(value), str) and not value.startswith('"') else json.dumps(value)
    return json.dumps(value)
