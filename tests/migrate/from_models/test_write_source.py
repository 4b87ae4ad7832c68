"""Every text is written as a Python literal with the same value."""

from __future__ import annotations

import ast

from hypothesis import example, given, settings
from hypothesis import strategies as st

from usage_store.migrate.from_models.write_source import _literal

TEXT = st.characters(exclude_characters="\0", exclude_categories=["Cs"])  # characters that SQL can contain


@settings(max_examples=50)
@example('\'"""')
@example("'\\\"")
@given(st.text(alphabet="\"'\\\n\r\t a{}%é") | st.text(TEXT, min_size=80, max_size=300))
def test_any_text_is_written_as_a_literal_of_it(value: str) -> None:
    assert ast.literal_eval(_literal(value)) == value
