import pytest

from keyturn import errors
from keyturn.client.problems import error_of, error_of_status
from keyturn.errors import Problem


@pytest.mark.parametrize("code", sorted(errors.by_code()))
def test_every_code_comes_back_as_its_own_class_with_the_servers_sentence(code):
    found = error_of({"code": code, "detail": "What happened.", "message_code": "E-X", "request_id": "r1"})
    assert type(found) is errors.by_code()[code]
    assert (found.message, found.message_code, found.details["request_id"]) == ("What happened.", "E-X", "r1")


def test_an_unknown_code_is_still_an_error_of_ours():
    assert type(error_of({"code": "from_the_future", "detail": "x"})) is errors.KeyturnError


def test_fields_come_along():
    body = {"code": "invalid", "detail": "d", "errors": [{"at": "token_url", "message": "Use https."}]}
    assert error_of(body).problems == (Problem("token_url", "Use https."),)


def test_a_conflict_names_its_field():
    body = {"code": "conflict", "detail": "acme is taken.", "errors": [{"at": "name", "message": "acme is taken."}]}
    assert error_of(body).problems == (Problem("name", "acme is taken."),)


def test_waiting_times_come_along():
    assert error_of({"code": "limit_reached", "detail": "d", "retry_after": 43}).retry_after_seconds == 43
    assert error_of({"code": "unavailable", "detail": "d", "retry_after": "soon"}).retry_after_seconds == 1


def test_reconnect_needed_says_where_to_go():
    body = {"code": "reconnect_needed", "detail": "d", "connection": "acme", "reconnect_url": "https://x/connections/1"}
    found = error_of(body)
    assert found.connection == "acme"
    assert found.fix == "keyturn connections connect acme, or open https://x/connections/1"


def test_members_that_clash_with_our_own_arguments_do_no_harm():
    found = error_of({"code": "upstream", "detail": "d", "sent": "maybe", "at": "x", "with-dash": 1, "status": 502})
    assert found.sent is None
    assert found.details == {}


def test_the_error_of_an_import_is_understood_too():
    assert error_of({"code": "upstream", "message": "It failed."}).message == "It failed."


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, errors.Unauthenticated),
        (403, errors.Forbidden),
        (404, errors.NotFound),
        (429, errors.LimitReached),
        (502, errors.Unavailable),
        (418, errors.KeyturnError),
    ],
)
def test_an_answer_in_other_words_is_sorted_by_its_status(status, kind):
    found = error_of_status(status, "https://data.example.com")
    assert type(found) is kind
    assert "https://data.example.com" in found.message


def test_a_kind_within_a_class_does_not_take_its_place():
    class TooLong(errors.Invalid):
        pass

    assert errors.by_code()["invalid"] is errors.Invalid, TooLong
