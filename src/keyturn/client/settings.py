"""Settings over HTTP (`ws.settings`): what the operator set, read-only, whether mail arrives, and files of imports."""

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

    @property
    def files(self) -> dict[str, Any]:
        """How long files of imports stay on the server, how large they may be (0: no limit), and what is `used`."""
        return dict(self._http.get(f"{_ROUTE}/files"))

    def change_files(self, **limits: Any) -> dict[str, Any]:
        """Change some of `keep_days`, `keep_newest`, `max_import_bytes`, `max_total_bytes`; sizes also as "500 MB".

        Raises `Invalid`.
        """
        return dict(self._http.patch(f"{_ROUTE}/files", limits))

    def test_mail(self) -> str:
        """Send a test message to your own address; answers it. Raises what the mail server said."""
        return str(self._http.post(f"{_ROUTE}/mail/test")["sent_to"])
