"""Object stores as destinations. Requests are made and signed by each store's library, and sent by whoever makes a
`Bucket`: its `send` is our one door out, so that the guard looks at every address, and nothing here opens a connection.
"""

from __future__ import annotations

from keyturn.destinations.objects.azure.bucket import AzureBucket
from keyturn.destinations.objects.azure.requests import Access as AzureAccess
from keyturn.destinations.objects.bucket import Bucket, Changed, try_out
from keyturn.destinations.objects.destination import ObjectDestination
from keyturn.destinations.objects.gcs.bucket import GcsBucket
from keyturn.destinations.objects.gcs.requests import Access as GcsAccess
from keyturn.destinations.objects.s3.bucket import S3Bucket
from keyturn.destinations.objects.s3.requests import Access as S3Access
from keyturn.destinations.objects.uploads import abandon, destinations_in

__all__ = [
    "AzureAccess",
    "AzureBucket",
    "Bucket",
    "Changed",
    "GcsAccess",
    "GcsBucket",
    "ObjectDestination",
    "S3Access",
    "S3Bucket",
    "abandon",
    "destinations_in",
    "try_out",
]
