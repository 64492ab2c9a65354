"""The statements that each dialect has words of its own for."""

import pytest
from sqlalchemy.dialects import postgresql, sqlite

from earwitness.store.dialect import _if_new, _in_place
from earwitness.store.tables import probe_states

DIALECTS = {"sqlite": sqlite.dialect(), "postgresql": postgresql.dialect()}


@pytest.mark.parametrize("name", DIALECTS)
def test_each_dialect_says_what_is_done_where_the_key_is_there(name):
    written = [str(make(name, probe_states).compile(dialect=DIALECTS[name])) for make in (_if_new, _in_place)]
    assert written[0].endswith("ON CONFLICT DO NOTHING")
    assert written[1].endswith("ON CONFLICT (probe) DO UPDATE SET document = excluded.document")
