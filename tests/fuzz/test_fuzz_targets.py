"""Damaged input of every kind comes to a sentence or a value, soon and within bounds."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from limits import bounded
from seeds import seeds_of, tokens_of
from targets import TARGETS

MAX_BYTES = 65_536


@st.composite
def inputs(draw: Any, target: str) -> bytes:
    """Damage something that reaches far, in a few places."""
    found = bytearray(draw(st.sampled_from(seeds_of(target))))
    put = st.binary(max_size=12)
    if tokens := tokens_of(target):
        put |= st.sampled_from(tokens)
    for place, cut, new in draw(
        st.lists(st.tuples(st.integers(0, 9_999), st.integers(0, 64), put), max_size=6)
    ):
        at = place * (len(found) + 1) // 10_000
        found[at : at + cut] = new
    return bytes(found[:MAX_BYTES])


@pytest.mark.parametrize("target", TARGETS)
def test_any_input_is_taken_or_refused_in_words(target: str) -> None:
    kind = "fuzz" if settings.get_current_profile_name() == "fuzz" else "fuzz-ci"
    anything = inputs(target)
    if target in ("answer", "workbook"):
        anything |= st.binary(min_size=4, max_size=200)

    @settings(settings.get_profile(kind))
    @given(anything)
    def run(data: bytes) -> None:
        with bounded():
            TARGETS[target](data)

    run()
