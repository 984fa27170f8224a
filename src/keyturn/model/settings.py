"""The operator's settings as a Workspace Admin sees them: read-only, with the line that sets each, without secrets."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class OperatorSetting:
    """One setting of the process. `value` is what is set, secrets left out; None: the default."""

    name: str
    meaning: str
    value: str | None = field(repr=False)

    @property
    def line(self) -> str:
        """What the operator writes to set it."""
        return f"{self.name}={self.value or '…'}"
