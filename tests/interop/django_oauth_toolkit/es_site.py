"""django-oauth-toolkit as the authorization server and Django REST framework as the API, in one module for interop tests.

DB, CALLBACK and AT_TTL (seconds) come from the environment. `python -m es_site` makes the database.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

DEBUG, SECRET_KEY, ALLOWED_HOSTS, ROOT_URLCONF, USE_TZ = True, "for tests only", ["*"], "site_urls", True
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.environ["DB"], "OPTIONS": {"timeout": 20}}}
INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "oauth2_provider",
    "rest_framework",
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
LOGIN_URL, DEFAULT_AUTO_FIELD, STATIC_URL = "/admin/login/", "django.db.models.BigAutoField", "/s/"
OAUTH2_PROVIDER = {
    "SCOPES": {"read": "Read", "write": "Write"},
    "ACCESS_TOKEN_EXPIRE_SECONDS": int(os.environ.get("AT_TTL", "3600")),
    "REFRESH_TOKEN_EXPIRE_SECONDS": 3600,
    "ROTATE_REFRESH_TOKEN": True,
    "REFRESH_TOKEN_GRACE_PERIOD_SECONDS": 0,
    "REFRESH_TOKEN_REUSE_PROTECTION": True,
    "PKCE_REQUIRED": True,
}
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["oauth2_provider.contrib.rest_framework.OAuth2Authentication"],
}


def seed() -> None:
    """A person, 250 more rows, and the application that a developer would register."""
    import django

    django.setup()
    from django.contrib.auth.models import User
    from django.core.management import call_command
    from oauth2_provider.models import Application

    call_command("migrate", verbosity=0, interactive=False)
    ada = User.objects.create_superuser("ada", "ada@example.test", "ada-password-1")
    rows = [User(username=f"user{n:03d}", last_name=f'Ünï, "{n}"', email=f"u{n}@example.test") for n in range(250)]
    User.objects.bulk_create(rows)
    Application.objects.create(
        name="dot-client",
        client_id="dot-client",
        client_secret="s:e+c/r%41e&t =1",
        client_type="confidential",
        authorization_grant_type="authorization-code",
        user=ada,
        redirect_uris=os.environ["CALLBACK"].replace(",", " "),
    )


if __name__ == "__main__":
    os.environ["DJANGO_SETTINGS_MODULE"] = "es_site"
    sys.path.insert(0, str(Path(__file__).parent))
    seed()
