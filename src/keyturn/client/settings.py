"""Settings over HTTP (`ws.settings`): what the operator set, read-only, and whether mail arrives."""

from __future__ import annotations

from typing import Any

from keyturn.client.transport import Transport

_ROUTE = "/settings"


class DeploymentSettings:
    """`mail` is the mail server, `operator` each setting with the line that sets it. Workspace Admins."""

    def __init__(self, transport: Transport) -> None:
        self._http = transport

    def __repr__(self) -> str:
        return f"DeploymentSettings({self._http.url})"

    @property
    def found(self) -> dict[str, Any]:
        """The JSON object of the API."""
        return dict(self._http.get(_ROUTE))

    def test_mail(self) -> str:
        """Send a test message to your own address; answers it. Raises what the mail server said."""
        return str(self._http.post(f"{_ROUTE}/mail/test")["sent_to"])
