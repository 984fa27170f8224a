# Typed into Review Board's own shell: 250 people and our OAuth application.
import os

from django.contrib.auth.models import User
from reviewboard.oauth.models import Application

ada = User.objects.get(username="ada")
User.objects.bulk_create([User(username=f"user{n:03}", last_name=f"Ünï {n}", is_active=True) for n in range(250)])
kind = {"client_type": "confidential", "authorization_grant_type": "authorization-code", "enabled": True}
app = Application(name="es", client_id="rb-client", user=ada, redirect_uris=os.environ["CALLBACK"], **kind)
app.client_secret = "rb-secret"
app.save()
