"""Somebody's object store at an address: moto's S3 server behind a relay, which can be cut and mended."""

from __future__ import annotations

import http.client
import json
import secrets
import socket
import subprocess
import sys
import time
import urllib.request
from typing import Any
from urllib.parse import urlsplit

from botocore.config import Config
from botocore.session import Session

from keyturn.destinations.objects import S3Access, S3Bucket
from keyturn.errors import UpstreamError
from keyturn.wire import Headers, Request, Response
from warehouse import Relay

REGION = "eu-central-1"


def send(request: Request) -> Response:
    """A door without a guard."""
    parts = urlsplit(request.url)
    there = http.client.HTTPConnection(parts.netloc, timeout=30)
    try:
        there.request(request.method, f"{parts.path}?{parts.query}", request.body, dict(request.headers.items))
        answer = there.getresponse()
        return Response(answer.status, Headers.of(answer.getheaders()), answer.read(), request.url, 0.0)
    except (OSError, http.client.HTTPException):
        raise UpstreamError("127.0.0.1 is not reachable.", message_code="E-UPSTREAM", sent=False) from None
    finally:
        there.close()


class StoreServer:
    """A server that checks signatures and rights, in a process of its own: moto keeps what it has by process."""

    def __init__(self) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.at = free.getsockname()
        command = [sys.executable, "-m", "moto.server", "-H", self.at[0], "-p", str(self.at[1])]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self._wait()
        self.admin = self._client("s3", *self.user("*"))

    def user(self, *rights: str) -> tuple[str, str]:
        """A key and its secret, which may do only that."""
        self._call("reset-auth", b"inf")
        name = f"user-{secrets.token_hex(4)}"
        iam = self._client("iam", "root", "root")
        iam.create_user(UserName=name)
        words = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": list(rights), "Resource": "*"}]}
        iam.put_user_policy(UserName=name, PolicyName="rights", PolicyDocument=json.dumps(words))
        key = iam.create_access_key(UserName=name)["AccessKey"]
        self._call("reset-auth", b"0")
        return key["AccessKeyId"], key["SecretAccessKey"]

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait()

    def _wait(self) -> None:
        ends_at = time.monotonic() + 60
        while self._process.poll() is None and time.monotonic() < ends_at:
            try:
                self._call("reset", b"")
            except OSError:
                time.sleep(0.05)
            else:
                return
        raise AssertionError("The object store did not start.")

    def _client(self, service: str, key_id: str, secret: str) -> Any:
        return Session().create_client(
            service, region_name=REGION, endpoint_url="http://{}:{}".format(*self.at), aws_access_key_id=key_id,
            aws_secret_access_key=secret, config=Config(s3={"addressing_style": "path"}, proxies={}),
        )  # fmt: skip

    def _call(self, what: str, data: bytes) -> None:
        url = "http://{}:{}/moto-api/{}".format(*self.at, what)
        asked = urllib.request.Request(url, data, {"Content-Type": "text/plain"}, method="POST")
        urllib.request.build_opener(urllib.request.ProxyHandler({})).open(asked).close()


class ObjectStore:
    """A bucket of its own behind a relay of its own, and a key that may do everything there."""

    scheme, writing = "s3", "putobject"
    wrong_secret = "canary-wrong-secret-access-key-58"

    def __init__(self, server: StoreServer) -> None:
        self._server, self.admin = server, server.admin
        self.relay = Relay(server.at)
        self.bucket = f"lake-{secrets.token_hex(4)}"
        where = {"LocationConstraint": REGION}
        self.admin.create_bucket(Bucket=self.bucket, CreateBucketConfiguration=where)
        self.key_id, self.secret = self.user("s3:*")

    def user(self, *rights: str) -> tuple[str, str]:
        """A further key and its secret, which may do only that."""
        return self._server.user(*rights)

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.relay.port}"

    def opened(self, *, without: str | None = None, bucket: str | None = None, **changes: Any) -> S3Bucket:
        """As the services open it; `without` a right."""
        rights = [
            f"s3:{name}" for name in ("GetObject", "ListBucket", "PutObject", "AbortMultipartUpload", "DeleteObject")
        ]
        key = (self.key_id, self.secret)
        if without is not None:
            key = self.user(*(right for right in rights if without not in right.lower()))
        values = {"endpoint": self.endpoint, "region": REGION, "send": send, **changes}
        return S3Bucket(
            S3Access(bucket=bucket or self.bucket, **{**dict(zip(("key_id", "secret"), key, strict=True)), **values})
        )

    def write(self, key: str, data: bytes) -> None:
        self.admin.put_object(Bucket=self.bucket, Key=key, Body=data)

    def told(self, key: str) -> tuple[int, str]:
        """(size, the hash in its metadata)."""
        said = self.admin.head_object(Bucket=self.bucket, Key=key)
        return said["ContentLength"], said["Metadata"]["keyturn-sha256"]

    def settings(self, **changes: Any) -> dict[str, Any]:
        """As the API takes it."""
        return {
            "name": "Lake", "type": "s3", "url": f"s3://{self.bucket}/tables", "endpoint": self.endpoint,
            "region": REGION, "access_key_id": self.key_id, "password": self.secret, **changes,
        }  # fmt: skip

    @property
    def options(self) -> tuple[str, ...]:
        """As the command line takes it."""
        return "--endpoint", self.endpoint, "--region", REGION, "--access-key-id", self.key_id

    def secrets(self) -> list[str]:
        """What is to be seen nowhere."""
        return [self.secret, self.wrong_secret]

    def keys(self) -> list[str]:
        found = self.admin.list_objects_v2(Bucket=self.bucket)
        return [item["Key"] for item in found.get("Contents", ())]

    def read(self, key: str) -> bytes:
        return self.admin.get_object(Bucket=self.bucket, Key=key)["Body"].read()

    def uploads(self) -> list[str]:
        """Multipart uploads that were begun and neither ended nor called off."""
        return [item["Key"] for item in self.admin.list_multipart_uploads(Bucket=self.bucket).get("Uploads", ())]

    def staged(self, *keys: str) -> list[str]:
        """What `uploads` has of objects whose upload is under way."""
        return [*keys]

    def close(self) -> None:
        self.relay.cut()
