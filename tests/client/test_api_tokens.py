MADE = {"id": "at_1", "name": "ci", "permissions": ["tables:read"], "expires_at": None, "token": "kt_" + "n" * 40}


def test_a_new_token_can_be_taken_but_is_not_shown_by_accident(fake, ws):
    fake.on("POST", "/tokens", MADE, status=201)
    made = ws.tokens.create("ci", ["tables:read"], expires_in_days=None)
    assert made["token"] == MADE["token"]
    assert MADE["token"] not in repr(made)
    assert MADE["token"] not in str(made)
    assert fake.asked[-1].json == {"name": "ci", "permissions": ["tables:read"], "expires_in_days": None}


def test_without_permissions_the_server_chooses_the_usual_ones(fake, ws):
    fake.on("POST", "/tokens", MADE, status=201)
    ws.tokens.create("ci")
    assert fake.asked[-1].json == {"name": "ci", "expires_in_days": 90}


def test_a_token_is_revoked_by_name_or_id(fake, ws):
    fake.on("GET", "/tokens", {"data": [MADE], "next_cursor": None})
    fake.on("DELETE", "/tokens/at_1", None)
    ws.tokens.revoke("ci")
    ws.tokens.revoke("at_1")
    assert [asked.path for asked in fake.asked if asked.method == "DELETE"] == ["/api/v1/tokens/at_1"] * 2
