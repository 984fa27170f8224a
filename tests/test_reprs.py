"""No `repr` shows a secret: every record of the package is filled with canaries under its secret-sounding names."""

from __future__ import annotations

import dataclasses
import importlib
import pkgutil
import re
from collections.abc import Iterator

import pytest
from pydantic import BaseModel

import keyturn
from keyturn import redaction

CANARY = "canary-0f1e2d3c4b5a"
# Beside the names that redaction knows: how this code base calls what must not be seen.
OURS = re.compile(
    r"^(secret|value|verifier|code_verifier|nonce|state|cookie|csrf|link|start_url|browser|key|keys|body)$"
)
# A state of something, a name of a key, a URL that was answered: words, not secrets.
WORDS = {
    ("Event", "state"), ("Grant", "state"), ("Callback", "code"), ("Callback", "state"), ("Variable", "value"),
    ("Step", "code"), ("Step", "state"), ("CheckStep", "state"), ("Verdict", "code"), ("Streamed", "body"), ("Source", "link"), ("Envelope", "keys"), ("Way", "key"), ("Shape", "key"), ("Attempt", "code"),
    ("Incident", "code"), ("Incident", "state"), ("Family", "keys"), ("StoredGrant", "state"), ("GrantSeen", "state"), ("AwsKms", "key"),
}  # fmt: skip


class Anything(str):
    """Stands where a field is of no interest: any text, with any attribute."""

    __slots__ = ()

    def __getattr__(self, name: str) -> str:
        return "x"


def classes() -> Iterator[type]:
    seen = set()
    for module in pkgutil.walk_packages(keyturn.__path__, "keyturn."):
        if ".migrations" in module.name or ".demo" in module.name:
            continue
        for found in vars(importlib.import_module(module.name)).values():
            if not isinstance(found, type) or not found.__module__.startswith("keyturn.") or found in seen:
                continue
            seen.add(found)
            if dataclasses.is_dataclass(found) or issubclass(found, BaseModel):
                yield found


def is_secret(owner: type, name: str, annotation: object) -> bool:
    holds_text = re.search(r"\b(str|bytes)\b", str(annotation)) is not None
    named = OURS.match(name) or redaction.is_secret_name(name) or name.endswith("_token")
    return bool(holds_text and named and (owner.__name__, name) not in WORDS)


def filled(found: type) -> tuple[object, list[str]] | None:
    if issubclass(found, BaseModel):
        names = [name for name, field in found.model_fields.items() if is_secret(found, name, field.annotation)]
        return (found.model_construct(**dict.fromkeys(names, CANARY)), names) if names else None
    fields = dataclasses.fields(found)
    names = [field.name for field in fields if is_secret(found, field.name, field.type)]
    if not names:
        return None
    made = object.__new__(found)
    for field in fields:
        object.__setattr__(made, field.name, CANARY if field.name in names else Anything("https://a.example/x"))
    return made, names


CASES = [(found, *made) for found in classes() if (made := filled(found)) is not None]


@pytest.mark.parametrize(("found", "made", "names"), [pytest.param(*case, id=case[0].__qualname__) for case in CASES])
def test_n1_a_record_with_secrets_does_not_show_them(found, made, names):
    for shown in (repr(made), str(made), f"{made}"):
        assert CANARY not in shown, (found, names)


def test_the_records_that_hold_secrets_are_among_them():
    names = {case[0].__name__ for case in CASES}
    assert {"ClientCredentials", "TokenSet", "OpenedSecret", "AccessToken", "NewOAuthClient", "Attempt"} <= names, names
