"""JSON is read and written as Python's own `json` does, only faster."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker import json_text
from worker.gateway import caller

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda each: st.lists(each) | st.dictionaries(st.text(st.characters()), each),
)


def read(loads, text):
    try:
        return repr(loads(text))
    except (ValueError, RecursionError):
        return "nothing"


@given(VALUES, st.booleans())
def test_values_are_read_as_json_reads_them(value, ascii_only):
    text = json.dumps(value, ensure_ascii=ascii_only)

    assert read(json_text.loads, text) == read(json.loads, text)


@given(st.text('{}[]",:-+.eE019\\u/d8tfn \n\t\x00\x7f\u00a0\ufeff\ud800'))
@pytest.mark.parametrize(
    "around", ["{}", "[{}]", '"{}"', "1{}", "NaN{}", '{{"a":1,"a":{}}}', "[" * 300 + "{}" + "]" * 300]
)
def test_what_is_no_json_is_none_here_either(around, text):
    text = around.format(text)

    assert read(json_text.loads, text) == read(json.loads, text)


@pytest.mark.parametrize(
    "text", ["1" * 4_300, "1" * 5_000, "1e400", "-0", "-0.0", "-Infinity", "[" * 9_000, '{"a":1,"a":2}']
)
def test_odd_numbers_and_nests_are_read_as_json_reads_them(text):
    assert read(json_text.loads, text) == read(json.loads, text)


@given(st.dictionaries(st.text(st.characters()), st.text(st.characters()) | st.integers() | st.none()))
def test_what_is_written_says_the_same(value):
    written = json_text.dumps({"attributes": value})

    assert json.loads(written) == {"attributes": value}
    assert written.encode("utf-8"), "half a character would stop its form"


def test_json_is_written_without_spaces_and_with_its_letters():
    assert json_text.dumps({"a": ["\u00e9", 1]}) == '{"a":["\u00e9",1]}'


def test_sdk_reads_its_answers_the_fast_way():
    assert caller.page.json is caller.version.json is json_text
