"""The library's client for one container of Azure, with nothing of its surroundings: requests go through our door.

It reads no file, no variable and no metadata server: the account's key, or a SAS token, is given.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from keyturn.destinations.objects.door import Door, Send
from keyturn.errors import Unavailable
from keyturn.model.object_stores import is_sas

# What the service is asked to speak, whatever the library has by now.
_VERSION = "2023-11-03"


@dataclass(frozen=True, slots=True)
class Access:
    """Where to, as whom: `endpoint` is the account's, `secret` its key or a SAS token. `send` is the door out."""

    endpoint: str
    account: str
    container: str
    secret: str = field(repr=False)
    send: Send = field(repr=False)

    @property
    def who(self) -> str:
        """Whose right it is, for people."""
        return f"{self.account}’s {'SAS token' if is_sas(self.secret) else 'key'}"


def client_of(access: Access) -> Any:
    """A client of the library. Raises `Unavailable` without the extra."""
    try:
        from azure.core.credentials import AzureNamedKeyCredential, AzureSasCredential
        from azure.storage.blob import ContainerClient
    except ImportError:
        raise Unavailable("Azure Blob Storage needs the extra: install keyturn[azure] on the server.") from None
    from keyturn.destinations.objects.azure.transport import DoorTransport

    key = AzureNamedKeyCredential(access.account, access.secret)
    return ContainerClient(
        access.endpoint,
        access.container,
        credential=AzureSasCredential(access.secret) if is_sas(access.secret) else key,
        transport=DoorTransport(Door(access.send)),
        api_version=_VERSION,
        # The door tries again, and leads to no other address than the one it was given.
        retry_total=0,
        permit_redirects=False,
    )
