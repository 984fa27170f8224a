"""The HTTP API under `/api/v1`, one file per noun. Programs only: a session's cookie means nothing here."""
