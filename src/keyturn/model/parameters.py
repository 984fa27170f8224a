"""What a table asks for each time it is read: parameters with types and defaults, and values given for them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from keyturn.errors import Invalid, Problem
from keyturn.model.validation import CleanText, Settings, wrong
from keyturn.rest.fillings import Values, is_known

_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}", re.ASCII)
# What the surfaces call their own arguments of a read.
TAKEN = frozenset({"limit", "columns", "since", "allow_incomplete", "format", "part", "last_run", "today", "now"})


def _name(value: str) -> str:
    if not _NAME.fullmatch(value):
        raise wrong("Use letters, digits and _, starting with a letter.")
    if value in TAKEN:
        raise wrong(f"{value} means something already. Choose another name.")
    return value


class ParameterSettings(Settings):
    """One value that is asked for each time; without a default it must be given."""

    name: Annotated[CleanText, AfterValidator(_name)]
    type: Literal["text", "integer", "number", "date", "boolean"] = "text"
    default: str | int | float | bool | None = None
    description: Annotated[CleanText, Field(max_length=300)] = ""

    @model_validator(mode="after")
    def _default_fits(self) -> ParameterSettings:
        if self.default is not None:
            moment = isinstance(self.default, str) and is_known(self.default)
            try:
                typed(self, Values(0.0).of(str(self.default), at="default") if moment else self.default)
            except ValueError as error:
                raise wrong(str(error), at="default") from None
        return self


Parameters = Annotated[tuple[ParameterSettings, ...], Field(max_length=50)]


def typed(parameter: ParameterSettings, value: Any) -> Any:
    """A value of the parameter's type, also from text. Raises ValueError with a sentence."""
    text = str(value).strip()
    if len(text) > 2000 or not text.isprintable():
        raise ValueError("This is too long, or holds a character that cannot be typed.")
    try:
        if parameter.type == "integer" and not isinstance(value, bool | float):
            return int(text)
        if parameter.type == "number" and not isinstance(value, bool):
            number = float(text)
            if number - number == 0:  # neither infinite nor no number
                return int(text) if text.lstrip("+-").isdigit() else number
        if parameter.type == "date":
            return date.fromisoformat(text).isoformat()
    except ValueError:
        pass
    if parameter.type == "boolean" and text.lower() in {"true", "false"}:
        return text.lower() == "true"
    if parameter.type == "text":
        return text
    raise ValueError(_EXPECTED[parameter.type])


_EXPECTED = {
    "integer": "Enter a whole number.",
    "number": "Enter a number.",
    "date": "Enter a day, for example 2026-01-31.",
    "boolean": "Enter true or false.",
}


def given(parameters: Sequence[ParameterSettings], values: Mapping[str, Any], *, now: float) -> dict[str, Any]:
    """Every parameter with its value: as given, else its default, which may be a moment such as `today-7d`.

    Raises `Invalid` naming what is missing, of another type, or not asked for.
    """
    known = {parameter.name: parameter for parameter in parameters}
    problems = [Problem(f"param.{name}", _not_asked(name, known)) for name in values if name not in known]
    found: dict[str, Any] = {}
    for name, parameter in known.items():
        value = values.get(name, parameter.default)
        if value is None:
            problems.append(Problem(f"param.{name}", "This table asks for it each time. Give it a value."))
            continue
        if isinstance(value, str) and is_known(value):
            value = Values(now).of(value, at=f"param.{name}")
        try:
            found[name] = typed(parameter, value)
        except ValueError as error:
            problems.append(Problem(f"param.{name}", str(error)))
    if problems:
        raise Invalid(problems=tuple(problems))
    return found


def _not_asked(name: str, known: Mapping[str, Any]) -> str:
    asks = f"It asks for {', '.join(known)}." if known else "It asks for nothing."
    return f"This table does not ask for {name[:60]}. {asks}"
