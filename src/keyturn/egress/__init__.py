"""The one door out: deadlines, size limits, and a guard that looks at the address actually connected to.

Token, metadata, revocation and data calls all go through here; nothing else opens a connection to other hosts.
Mail goes out beside it (`mail`), to the one server that the operator named.
It must not know OAuth or tables.
"""

from __future__ import annotations

from keyturn.egress.door import Egress, EgressSettings, Streamed
from keyturn.egress.guard import AllowList, check_literal, is_public
from keyturn.egress.mail import Mailer, MailSettings

__all__ = ["AllowList", "Egress", "EgressSettings", "MailSettings", "Mailer", "Streamed", "check_literal", "is_public"]
