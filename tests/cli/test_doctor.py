def test_the_doctor_tells_each_check_with_its_fix(keyturn, world):
    ran = keyturn("doctor")
    lines = ran.out.splitlines()
    assert lines[0].startswith(f"✓ Keyturn 0.1.0 at {world.url} (you are ")
    assert f"✓ Public URL is {world.url}, which is how you reached it." in lines
    assert any(line.startswith("! No backup was ever made.") for line in lines)
    assert any(line.startswith("  Fix: Run keyturn backup") for line in lines)
    found = keyturn("doctor", "--json").json
    assert found["ok"] is (ran.code == 0)
    assert {"name", "state", "message", "fix"} == set(found["checks"][0])


def test_the_doctor_fails_where_redirect_uris_would(keyturn, world):
    ran = keyturn("doctor", KEYTURN_URL=world.url.replace("localhost", "127.0.0.1"))
    assert ran.code == 1
    assert f"✗ Public URL is {world.url} but you reached it at http://127.0.0.1" in ran.out
