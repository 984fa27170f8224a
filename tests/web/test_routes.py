"""What is served, and what is not."""

from __future__ import annotations

import httpx2


def test_r12_nothing_for_debugging_and_no_file_of_the_server_is_served(world):
    server = world.serve()
    with httpx2.Client(base_url=server.url) as stranger:
        for path in (
            "/docs", "/redoc", "/openapi.json", "/debug", "/console", "/_debug", "/__debug__", "/debug/pprof", "/.git/config", "/.env",
            "/static/", "/static/../app.py", "/static/%2e%2e/routes.py", "/static/..%2f..%2fmain.py", "/key", "/keyturn.db",
        ):  # fmt: skip
            assert stranger.get(path).status_code == 404, path
        assert stranger.request("TRACE", "/sign-in").status_code == 405
        broken = stranger.get("/api/v1/tables", headers={"Authorization": "Bearer kt_" + "x" * 40})
        assert "Traceback" not in broken.text
        assert not {"server", "x-powered-by"} & {name.lower() for name in broken.headers}
