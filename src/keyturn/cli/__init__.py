"""The user's verbs on the command line: a client of the HTTP API, never a back door. One file a noun."""
