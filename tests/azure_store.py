"""Somebody's container of Azure Blob Storage at an address: Azurite behind a relay, which can be cut and mended."""

from __future__ import annotations

import base64
import os
import secrets
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
from azure.storage.blob import (
    AccountSasPermissions,
    BlobServiceClient,
    ResourceTypes,
    generate_account_sas,
    generate_container_sas,
)

from keyturn.destinations.objects import AzureAccess, AzureBucket
from object_store import send
from warehouse import Relay

sys.path.insert(0, str(Path(__file__).parents[1] / "tools"))

import azurite

ACCOUNT = "acmelake"
ALL = frozenset({"read", "create", "write", "list", "delete"})
VERSION = "2023-11-03"


def a_key() -> str:
    """A key that is one, of whatever account."""
    return base64.b64encode(secrets.token_bytes(64)).decode()


class AzureServer:
    """Azurite, in a process of its own; one for a session of tests."""

    def __init__(self) -> None:
        if not azurite.is_ready():
            if os.environ.get("CI"):
                pytest.fail("Azurite is missing, and must run in CI: make setup")
            pytest.skip("NOT TESTED: Azure Blob Storage needs Azurite, which make setup gets from npm")
        self.key = a_key()
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.at = free.getsockname()
        command = [azurite.NODE, azurite.FOLDER / "node_modules" / "azurite" / "dist" / "src" / "blob" / "main.js",
                   "--inMemoryPersistence", "--disableTelemetry", "--silent", "--disableProductStyleUrl",
                   "--blobHost", self.at[0], "--blobPort", str(self.at[1])]  # fmt: skip
        environment = {"PATH": os.environ["PATH"], "AZURITE_ACCOUNTS": f"{ACCOUNT}:{self.key}"}
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self._process = subprocess.Popen(command, cwd=azurite.FOLDER, env=environment, **quiet)
        self._wait()
        url = "http://{}:{}/{}".format(*self.at, ACCOUNT)
        self.admin = BlobServiceClient(
            url, credential={"account_name": ACCOUNT, "account_key": self.key}, api_version=VERSION
        )

    def stop(self) -> None:
        self.admin.close()
        self._process.terminate()
        self._process.wait()

    def _wait(self) -> None:
        ends_at = time.monotonic() + 60
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        while self._process.poll() is None and time.monotonic() < ends_at:
            try:
                opener.open("http://{}:{}/".format(*self.at)).close()
            except urllib.error.HTTPError as error:
                error.close()
                return
            except OSError:
                time.sleep(0.05)
            else:
                return
        raise AssertionError("Azurite did not start.")


class AzureStore:
    """A container of its own behind a relay of its own, and a SAS token that may do everything there."""

    scheme, writing = "az", "write"

    def __init__(self, server: AzureServer) -> None:
        self.server = server
        self.relay = Relay(server.at)
        self.bucket = f"lake-{secrets.token_hex(4)}"
        self.admin = server.admin.create_container(self.bucket)
        self.key = server.key
        self.secret = self.sas(*ALL)
        self.wrong_secret = self.sas(*ALL, key=a_key())

    def sas(self, *rights: str, key: str | None = None, minutes: int = 60) -> str:
        """A token for the account's blobs, which may do only that."""
        ends_at = datetime.now(UTC) + timedelta(minutes=minutes)
        return generate_account_sas(
            ACCOUNT, key or self.key, ResourceTypes(container=True, object=True),
            AccountSasPermissions(**dict.fromkeys(rights, True)), ends_at,
        )  # fmt: skip

    def sas_of_the_container(self, rights: str = "rcwdl") -> str:
        """A token for this container alone."""
        ends_at = datetime.now(UTC) + timedelta(minutes=60)
        return generate_container_sas(ACCOUNT, self.bucket, self.key, permission=rights, expiry=ends_at)

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.relay.port}/{ACCOUNT}"

    def settings(self, **changes: Any) -> dict[str, Any]:
        """As the API takes it."""
        return {
            "name": "Lake", "type": "azure", "url": f"az://{self.bucket}/tables", "endpoint": self.endpoint,
            "account": ACCOUNT, "password": self.secret, **changes,
        }  # fmt: skip

    def opened(self, *, without: str | None = None, bucket: str | None = None, **changes: Any) -> AzureBucket:
        """As the services open it; `without` a right."""
        secret = self.secret if without is None else self.sas(*(ALL - {without}))
        values = {"endpoint": self.endpoint, "account": ACCOUNT, "secret": secret, "send": send, **changes}
        return AzureBucket(AzureAccess(container=bucket or self.bucket, **values))

    @property
    def options(self) -> tuple[str, ...]:
        """As the command line takes it."""
        return "--endpoint", self.endpoint, "--account", ACCOUNT

    def secrets(self) -> list[str]:
        """What is to be seen nowhere: tokens, their signatures in both spellings, and the key."""
        sas = [self.secret, self.wrong_secret]
        written = [text.rpartition("sig=")[2].partition("&")[0] for text in sas]
        return [*sas, *written, *(parse_qs(text)["sig"][0] for text in sas), self.key]

    def keys(self) -> list[str]:
        return sorted(self.admin.list_blob_names())

    def read(self, key: str) -> bytes:
        return self.admin.download_blob(key).readall()

    def write(self, key: str, data: bytes) -> None:
        self.admin.upload_blob(key, data, overwrite=True)

    def told(self, key: str) -> tuple[int, str]:
        """(size, the hash in its metadata)."""
        said = self.admin.get_blob_client(key).get_blob_properties()
        return said.size, said.metadata["keyturn_sha256"]

    def uploads(self) -> list[str]:
        """Nothing: blocks that no list names are not called off, count for nothing, and end by themselves."""
        return []

    def staged(self, *keys: str) -> list[str]:
        """What `uploads` has of objects whose upload is under way."""
        assert {*keys} <= {item.name for item in self.admin.list_blobs(include=["uncommittedblobs"])}
        return self.uploads()

    def close(self) -> None:
        self.relay.cut()
