"""The one door out: deadlines, size limits, and a guard that looks at the address actually connected to.

Token, metadata, revocation and data calls all go through here; nothing else opens a connection to other hosts.
Mail goes out beside it (`mail`), to the one server that the operator named.
It must not know OAuth or tables.
"""

from __future__ import annotations

from keyturn.egress.door import Egress, EgressSettings, Streamed
from keyturn.egress.guard import AllowList, addresses_of, check_literal, is_public
from keyturn.egress.mail import Mailer, MailSettings
from keyturn.egress.trust import authorities_file

__all__ = [
    "AllowList",
    "Egress",
    "EgressSettings",
    "MailSettings",
    "Mailer",
    "Streamed",
    "addresses_of",
    "authorities_file",
    "check_literal",
    "is_public",
]
