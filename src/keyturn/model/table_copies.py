"""What is asked for when a table's settings go to another connection."""

from __future__ import annotations

from pydantic import Field

from keyturn.model.connections import Name
from keyturn.model.validation import Settings


class CopySettings(Settings):
    """Where the copy goes, and what it is called there."""

    connection_id: str = Field(
        title="Connection", description="Where the copy reads.", json_schema_extra={"missing": "Choose a connection."}
    )
    name: Name | None = Field(default=None, title="Table name", description="Empty: as it is called now.")
