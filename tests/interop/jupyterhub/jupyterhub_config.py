# JupyterHub on loopback for interop tests: 121 users, one service that signs people in.
import os

c = get_config()  # noqa: F821 - given by JupyterHub
public, hub, proxy = os.environ["PORTS"].split(",")
c.JupyterHub.bind_url = f"http://127.0.0.1:{public}"
c.JupyterHub.hub_ip, c.JupyterHub.hub_port = "127.0.0.1", int(hub)
c.ConfigurableHTTPProxy.api_url = f"http://127.0.0.1:{proxy}"
c.JupyterHub.authenticator_class = "dummy"
c.DummyAuthenticator.password = "ada-password-1"
c.Authenticator.allow_all = True
c.Authenticator.admin_users = {"ada"}
c.Authenticator.allowed_users = {f"user{number:03}" for number in range(120)} | {"ada"}
c.JupyterHub.db_url = "sqlite:///jupyterhub.sqlite"
c.JupyterHub.oauth_token_expires_in = int(os.environ["AT_TTL"])
c.JupyterHub.services = [
    {
        "name": "es",
        "oauth_client_id": "service-es",
        "api_token": "jupyter-secret-0123456789",
        "oauth_redirect_uri": os.environ["CALLBACK"],
        "oauth_no_confirm": False,
        "oauth_client_allowed_scopes": ["admin:users", "list:users", "read:users", "access:services", "inherit"],
    }
]
c.JupyterHub.load_roles = [{"name": "user", "scopes": ["self", "access:services"]}]
