"""The message dictionary: every `E-` sentence once, used alike by web, command line, client and docs.

Shape: what happened. How to fix it. `say` fills the blanks; what people press is drawn by each surface.
"""

from __future__ import annotations

from keyturn import redaction

MESSAGES: dict[str, str] = {
    "E-REDIRECT": "{system} does not know our Redirect URI. In its developer console add exactly {redirect_uri}, "
    "save, wait a minute, try again.",
    "E-CLIENT": "{system} refused our Client ID or Client Secret ({error}). {tried} "
    "A Workspace Admin should replace the secret.",
    "E-SIGNATURE": "{system} refused our signature ({error}): it does not know our key yet. Let it read {jwks_uri}, or "
    "paste the newest key from there into its console, then try again.",
    "E-SECRETEXPIRED": "The Client Secret expired on {day}. Create a new one in {system} and paste it here; "
    "{connections} will recover by themselves.",
    "E-CLOCK": "This server’s clock is {minutes} minutes off from {system}. Turn on time sync (NTP) on the server; "
    "we allow for it meanwhile.",
    "E-GRANT": "{system} no longer accepts this sign-in ({error}): access was revoked, the password changed, "
    "or it was unused too long. Reconnect{as_account}.",
    "E-7DAYS": "The sign-in lasted exactly 7 days, which is what Google does while an app is in Testing. Publish the "
    "app in Google Cloud › Audience, then reconnect.",
    "E-NOREFRESH": "{system} gave no refresh token, so this stops at {stops_at}. Add access_type=offline and "
    "prompt=consent (Google) or the scope offline_access (Microsoft and many others), then reconnect.",
    "E-SCOPE": "You asked for {missing} but {system} granted only {granted}. Reconnect and leave every box ticked, "
    "or ask its admin.",
    "E-ADMIN": "Your organisation requires an admin to approve this app. Send this link to an admin of {system}’s "
    "tenant.",
    "E-TESTUSER": "Google blocks people who are not on the app’s test list. Add {account} under Audience › Test users, "
    "or publish the app.",
    "E-DENIED": "Access was not granted. If that was a mistake, try again and choose Allow.",
    "E-STATE": "This sign-in was started in another window or took over 10 minutes. Nothing is wrong; start it again.",
    "E-POPUP": "Your browser blocked the sign-in window.",
    "E-OTHERUSER": "This connection was {before}; you signed in as {now}. Tables will show {now}’s data.",
    "E-UNITS": "{ms} ms is {seconds} seconds. Did you mean {meant_ms} ms ({meant})?",
    "E-NOTJSON": "The Token URL answered with a web page, not a token. Check that it is the Token URL, "
    "not the sign-in page.",
    "E-NOTDATA": "This is a web page, not data. Wrong path, or a sign-in page?",
    "E-FORBIDDEN": "{system} answered 403: this account may not read {path}. Ask for the permission or scope; "
    "reconnecting will not help by itself.",
    "E-REJECTED": "{system} answered 401 at {path}: it takes no token for it, not even one that was just renewed "
    "(invalid_token). Try again in a minute; if it stays so, ask whether this account and these scopes may read it.",
    "E-NOTFOUND": "404 at {path}. Check the path; the connection itself works.",
    "E-RATE": "{system} asked us to wait {seconds} s (429). We are waiting; nothing is lost.",
    "E-TIMEOUT": "{system} did not answer within {seconds} s. Raise Timeout for this table or ask for smaller pages.",
    "E-LOOP": "Page {page} is identical to page {before}, so we stopped. {rows} rows were kept and marked "
    "Incomplete; check Pages.",
    "E-MAYBE-MORE": "We got exactly {rows} rows and no paging is set, so there are probably more.",
    "E-TLS": "We could not verify {host}’s certificate ({reason}). If its authority is your own, the operator adds it "
    "with KEYTURN_CA_FILE.",
    "E-BLOCKED": "{host} points to a private address and is blocked. The operator can allow this host with "
    "KEYTURN_ALLOWED_PRIVATE_HOSTS.",
    "E-HOST": "{system} says that its API is at {host}, which is not among the API hosts of this client, so nothing "
    "was sent there. If it is right, a Workspace Admin adds it to the client’s API hosts.",
    "E-DNS": "We could not find {host}. Check the spelling of the URL.",
    "E-KEY": "Stored secrets were encrypted with key {stored} but the server started with {given}. Put the old key "
    "back in {place} or use your recovery key; nothing was changed.",
    "E-ROLE": "Only Workspace Admins can do this. Yours: {admins}.",
    "E-SCHEMA": "Column {column} changed at row {row}: {kind} does not fit {type}. The table has learned it; "
    "read again, nothing was dropped.",
    "E-TOOBIG": "{host} answered more than {most} MB at once, the most we read. Ask for smaller pages, or check the "
    "address.",
    "E-SUNSET": "{system} says this endpoint will be switched off on {date}. Plan a move to the new version; "
    "nothing breaks today.",
    "E-NOSECRET": "This workspace has no secret called {name}, which {at} of this table names. A Workspace Admin saves "
    "it under Workspace settings, or with: keyturn secrets set {name} --host {host}",
    "E-SECRETHOST": "The secret {name} may not be sent to {host}, so nothing was sent. If the host is right, a "
    "Workspace Admin saves the secret again with it among its API hosts.",
    "E-IMPORTSIZE": "This import would take {size}, more than the {most} that one import may take in this workspace. "
    "Read fewer rows or columns, or a Workspace Admin raises Largest import in Settings › Files of imports.",
    "E-STORAGE": "With this import the files of this workspace would take {size}, more than the {most} that all of "
    "them may take. A Workspace Admin raises the limit, or keeps files for less long, in Settings › Files of imports.",
    "E-REMOVED": "{file} was removed on {day}: this workspace does not keep files for ever. Import {table} again to "
    "have one, or ask a Workspace Admin to keep them longer.",
    "E-ENDPOINTS": "{connection} has {count} endpoint{s}, and a connection of this workspace may have {most}. Delete "
    "one, or ask a Workspace Admin to raise Endpoints per connection in Settings.",
    "E-UPSTREAM": "{system} is having trouble ({status}). We try again by ourselves; you need not do anything.",
    "E-TOKEN": "{system} refused the token request ({error}). Check the OAuth 2.0 client, then try again.",
}


def say(code: str, **values: object) -> str:
    """The sentence of `code` with its blanks filled; values are cleaned of secrets and control characters."""
    return MESSAGES[code].format(**{name: redaction.text(value, limit=300) for name, value in values.items()})
