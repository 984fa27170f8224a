from __future__ import annotations

import tomllib

from hypothesis import given
from hypothesis import strategies as st

from keyturn.client import toml

scalars = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.text()
values = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=12)
sections = st.dictionaries(
    st.text(), st.dictionaries(st.text(), st.dictionaries(st.text(), values), max_size=3), max_size=3
)


@given(sections)
def test_what_is_written_is_read_again(document):
    written = toml.dumps(document)
    kept = {
        noun: {name: {k: v for k, v in fields.items() if v is not None} for name, fields in section.items()}
        for noun, section in document.items()
        if section
    }
    assert toml.plain(tomllib.loads(written)) == kept


def test_it_reads_well():
    text = toml.dumps(
        {"version": 1, "clients": {"Acme CRM": {"client_id": "x", "advanced": {"token": {"auth": "post"}}}}}
    )
    assert text == 'version = 1\n\n[clients."Acme CRM"]\nclient_id = "x"\nadvanced = {token = {auth = "post"}}\n'
