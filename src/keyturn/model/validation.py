"""From a pydantic model and raw input to a settings value, or `Invalid` with a sentence for each wrong field."""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, ValidationError
from pydantic_core import PydanticCustomError

from keyturn.errors import Invalid, Problem

M = TypeVar("M", bound=BaseModel)


class Settings(BaseModel):
    """Base of everything people fill in: frozen, unknown fields refused by name, secrets never in `repr`."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, str_max_length=20_000)


def wrong(message: str, *, at: str | None = None) -> PydanticCustomError:
    """The error to raise in a validator: `message` reaches the person as it is; `at` names the field if it is another.

    The message travels in the context, since braces in it would be read as blanks of a template.
    """
    return PydanticCustomError("keyturn", "{message}", {"message": message, "at": at})


def _clean(value: str) -> str:
    bad = next((c for c in value if unicodedata.category(c) in {"Cc", "Cs"}), None)
    if bad is not None:
        raise wrong(f"This holds a character that cannot be typed (U+{ord(bad):04X}). Remove it.")
    return value


def _strip(value: Any) -> Any:
    return value.strip() if isinstance(value, str) else value


CleanText = Annotated[str, BeforeValidator(_strip), AfterValidator(_clean)]
"""Text without control characters, trimmed at both ends."""

SecretText = Annotated[str, AfterValidator(_clean)]
"""Text without control characters, kept as it is: a secret may begin with a space only if its owner says so."""


def parse(model: type[M], raw: Mapping[str, Any] | Any, *, at: str = "") -> M:
    """Validate `raw` as `model`. Raises `Invalid` with every problem, `at` being prefixed to each path."""
    if not isinstance(raw, Mapping):
        raise Invalid("Send a JSON object.", at=at or "body")
    try:
        return model.model_validate(dict(raw))
    except ValidationError as error:
        raise Invalid(problems=problems_of(error, model, at=at)) from None


def stored(model: type[M], values: Any) -> M:
    """Settings as they stand in the database. What a newer release added to them is passed over."""
    return model.model_validate(values, extra="ignore")


def unreadable(
    model: type[BaseModel], values: Any, error: ValidationError
) -> tuple[Mapping[str, Any], tuple[Problem, ...]]:
    """Settings that `stored` refused with `error`: as they stand in the database, and what is wrong with them."""
    if not isinstance(values, Mapping):
        return {}, (Problem("settings", "They are no object."),)
    return values, problems_of(error, model)


def merged(model: type[M], current: M, patch: Mapping[str, Any] | Any) -> M:
    """JSON merge patch (RFC 7396) of `current` by `patch`, validated as `model`."""
    if not isinstance(patch, Mapping):
        raise Invalid("Send a JSON object.", at="body")
    return parse(model, merge_patch(current.model_dump(mode="json", by_alias=True), patch))


def merge_patch(target: Any, patch: Any) -> Any:
    """RFC 7396 §2: null removes, objects merge, everything else replaces."""
    if not isinstance(patch, Mapping):
        return patch
    result = dict(target) if isinstance(target, Mapping) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merge_patch(result.get(name), value)
    return result


def problems_of(error: ValidationError, model: type[BaseModel], *, at: str = "") -> tuple[Problem, ...]:
    """Pydantic's errors as our problems: dotted path, one sentence each, the input never quoted."""
    found: dict[str, Problem] = {}
    for item in error.errors(include_url=False, include_input=False, include_context=True):
        path = _path(at, item["loc"], item.get("ctx", {}).get("at"))
        found.setdefault(path, Problem(path, _sentence(dict(item), model)))
    return tuple(found.values())


# Pydantic names the chosen member of a union in the path; people never typed that part.
_UNIONS = frozenset({"auth", "pagination"})


def _path(at: str, loc: tuple[int | str, ...], named: str | None) -> str:
    parts = [part for before, part in zip(("", *loc), loc, strict=False) if before not in _UNIONS]
    return ".".join(str(part) for part in (at, *parts, named or "") if part != "")


def _sentence(item: dict[str, Any], model: type[BaseModel]) -> str:
    kind, loc = item["type"], item["loc"]
    if kind == "keyturn":
        return item["msg"]
    if kind == "extra_forbidden":
        close = difflib.get_close_matches(str(loc[-1]), list(model.model_fields), n=1) if len(loc) == 1 else []
        hint = f" Did you mean {close[0]}?" if close else " Remove it."
        return f"We do not know the field {loc[-1]}.{hint}"
    if kind in {"missing", "too_short"}:
        field = model.model_fields.get(str(loc[0])) if len(loc) == 1 else None
        extra = field.json_schema_extra if field is not None else None
        return str(extra["missing"]) if isinstance(extra, dict) and "missing" in extra else "This is required."
    if kind in {"string_too_long", "too_long"}:
        return f"At most {item['ctx'].get('max_length')} characters or items."
    if kind in _PLAIN:
        return _PLAIN[kind]
    if kind == "literal_error":
        return f"Choose one of {item['ctx']['expected']}."
    if kind == "union_tag_invalid":
        return f"We do not know this type. Types are {item['ctx']['expected_tags']}."
    return item["msg"].removeprefix("Value error, ").rstrip(".") + "."


_PLAIN = {
    "string_type": "Send text.",
    "bool_type": "Send true or false.",
    "int_type": "Send a whole number.",
    "int_from_float": "Send a whole number.",
    "int_parsing": "Send a whole number.",
    "dict_type": "Send an object.",
    "mapping_type": "Send an object.",
    "model_type": "Send an object.",
    "model_attributes_type": "Send an object.",
    "tuple_type": "Send a list.",
    "list_type": "Send a list.",
    "union_tag_not_found": "Say which type it is.",
}
