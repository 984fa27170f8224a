import pytest

from keyturn.client.names import pick, suggestion
from keyturn.errors import NotFound

THINGS = [{"id": "1", "name": "Acme CRM"}, {"id": "2", "name": "Ads"}, {"id": "3", "name": "ads"}]


@pytest.mark.parametrize(("asked", "found"), [("Acme CRM", "1"), ("acme crm", "1"), ("2", "2"), ("ads", "3")])
def test_a_thing_is_found_by_name_by_id_and_without_regard_to_case(asked, found):
    assert pick(THINGS, asked, what="client")["id"] == found


@pytest.mark.parametrize("asked", ["ADS", "nothing", ""])
def test_what_is_not_there_or_not_clear_is_not_found(asked):
    with pytest.raises(NotFound):
        pick(THINGS, asked, what="client")


def test_a_slip_of_the_finger_is_answered_with_what_was_meant():
    with pytest.raises(NotFound, match=r"no OAuth 2.0 client called Amce CRM\. Did you mean Acme CRM\?"):
        pick(THINGS, "Amce CRM", what="OAuth 2.0 client")


def test_a_few_names_are_listed_and_many_are_not():
    assert suggestion("zzz", ["a", "b"]) == " There are a, b."
    assert suggestion("zzz", ["a"]) == " There is a."
    assert suggestion("zzz", [str(i) for i in range(10)]) == ""
    assert suggestion("zzz", []) == ""
