"""Object stores as destinations. Requests are made and signed by the library, and sent by whoever makes a `Bucket`:
its `send` is our one door out, so that the guard looks at every address, and nothing here opens a connection.
"""

from __future__ import annotations

from keyturn.destinations.objects.bucket import Bucket, Changed, try_out
from keyturn.destinations.objects.destination import ObjectDestination
from keyturn.destinations.objects.requests import Access
from keyturn.destinations.objects.uploads import abandon, destinations_in

__all__ = ["Access", "Bucket", "Changed", "ObjectDestination", "abandon", "destinations_in", "try_out"]
