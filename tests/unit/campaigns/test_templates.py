"""Templates over columns: what is filled, what is refused, and that a cell is never run."""

import pytest
from campaign_builders import SMS, campaign, recipient
from hypothesis import given
from hypothesis import strategies as st

from campaigns.problems import RefusedError
from campaigns.recipients import Recipient, RowError, compile_campaign
from campaigns.template import Template, TemplateError, UnknownNameError

COLUMNS = {"phone": 0, "firstname": 1, "duedate?": 2}


def fill(text: str, *values: str) -> str:
    """Fill a template from values in the order of COLUMNS."""
    return Template(text).bind(COLUMNS).fill(values or ("p", "Ann", "1 May"))


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("", ""),
        ("plain", "plain"),
        ("{{ first_name }}", "Ann"),
        ("{{first_name}}", "Ann"),
        ("{{ FirstName }} {{ First Name }} {{ first-name }}", "Ann Ann Ann"),
        ("due {{ Due date? }}.", "due 1 May."),
        ("{{ phone }}{{ phone }}", "pp"),
        ("{{ first_name | upper }}", "ANN"),
        ("{% if first_name == 'Ann' %}Hi{% else %}Ho{% endif %}", "Hi"),
        ("{{ first_name or 'you' }}", "Ann"),
        ("{# a note #}x", "x"),
        ("a { b } c", "a { b } c"),
        ("{{ '{{' }}", "{{"),
        ("line\n", "line\n"),
        ("{{ first_name }}\n", "Ann\n"),
        ("{{ first_name | upper }}\n", "ANN\n"),
        ("{% for n in [1, 2] %}{{ loop.index }}{% endfor %}", "12"),
    ],
)
def test_template_is_filled(text: str, filled: str) -> None:
    assert fill(text) == filled


@pytest.mark.parametrize(
    "text",
    [
        "{{ frist_name }}",
        "{{ frist_name | upper }}",
        "{% if x %}{% endif %}",
        "{{ range }}",
        "{{ phone or nobody }}",
    ],
)
def test_name_that_is_no_column_is_refused(text: str) -> None:
    with pytest.raises(UnknownNameError):
        Template(text).bind(COLUMNS)


@pytest.mark.parametrize(
    "text",
    [
        "{{ phone }",
        "{{ }}",
        "{{ phone",
        "phone }}",
        "{% if %}",
        "{{ phone | nosuch }}",
        "{{ a b.c( }}",
        "{% phone %}",
    ],
)
def test_broken_template_is_refused_before_any_column_is_known(text: str) -> None:
    with pytest.raises(TemplateError):
        Template(text).check()
    with pytest.raises(TemplateError):
        Template(text).bind(COLUMNS)


@pytest.mark.parametrize(
    "text",
    [
        "{{ first_name.__class__.__mro__ }}",
        "{{ first_name | int // 0 }}",
        "{{ first_name.nothing }}",
        "{{ first_name + 1 }}",
    ],
)
def test_template_that_fails_on_a_row_is_that_rows_fault_and_keeps_no_cell(text: str) -> None:
    with pytest.raises(TemplateError) as caught:
        fill(text, "p", "Secret", "d")
    assert "Secret" not in str(caught.value)


@pytest.mark.parametrize(
    "cell",
    ["{{ 7*7 }}", "{{ phone }}", "{% raw %}", "((due_date))", "<b>x</b>", "${x}", "%(x)s", "{0}", "\\1"],
)
def test_what_a_cell_holds_is_never_run(cell: str) -> None:
    assert fill("Hi {{ first_name }}!", "p", cell, "d") == f"Hi {cell}!"
    assert fill("Hi {{ first_name | trim }}!", "p", cell, "d") == f"Hi {cell}!"


@given(st.text(alphabet=st.sampled_from("{}%# af\n"), max_size=12))
def test_any_text_is_filled_or_refused(text: str) -> None:
    try:
        filler = Template(text).bind({"a": 0, "f": 1, "af": 2})
    except TemplateError:
        return
    filler.fill(("x", "y", "z"))


@given(st.text(max_size=20))
def test_quick_filling_agrees_with_jinja(cell: str) -> None:
    quick = Template("<{{ a }}>").bind({"a": 0})
    slow = Template("<{{ a ~ '' }}>").bind({"a": 0})

    assert quick.program is None
    assert slow.program is not None
    assert quick.fill([cell]) == slow.fill([cell])


def test_every_unknown_name_is_told_with_its_key() -> None:
    with pytest.raises(RefusedError) as caught:
        compile_campaign(campaign(), ["Phone", "Frist Name"], "customers.csv")

    assert [str(problem) for problem in caught.value.problems] == [
        'customers.csv: message.body uses {{ first_name }}, and the file has no such column, did you mean "Frist Name"?',
    ]


def test_default_filter_lets_an_empty_cell_pass() -> None:
    text = SMS.replace("{{ first_name }}", "{{ first_name or 'there' }}")

    found = recipient(text, phone="07900900123", first_name=" ", due_date="1 May")

    assert isinstance(found, Recipient)
    assert found.message.body == "Hi there, due 1 May. Bye"


def test_condition_that_leaves_the_message_empty_is_that_rows_fault() -> None:
    text = SMS.replace("Hi {{ first_name }}, due {{ due_date }}. Bye", "{% if due_date %}due{% endif %}")

    found = recipient(text, phone="07900900123", due_date="")

    assert isinstance(found, RowError)
    assert (found.code, found.sentence) == ("missing_value", "the body is empty")


@pytest.mark.parametrize(
    "text",
    [
        "{% set a = phone %}{{ a }}",
        "{% macro f() %}{% endmacro %}x",
        "{% for a in phone %}{% for b in phone %}x{% endfor %}{% endfor %}",
        "{% include phone %}",
        "{{ phone | center(80) }}",
        "{{ phone | random }}",
        "{{ " + "(" * 5_000 + "1" + ")" * 5_000 + " }}",
        "{{ phone }}" * 2_000,
    ],
)
def test_template_that_could_take_long_is_refused_before_any_row(text: str) -> None:
    with pytest.raises(TemplateError):
        Template(text).check()
    with pytest.raises(TemplateError):
        Template(text).bind(COLUMNS)


@pytest.mark.parametrize(
    "text",
    [
        "{{ 9 ** (9 ** 9) }}",
        "{{ 'x' * 10 ** 6 }}",
        "{{ '%99999d' % 1 }}",
        "{{ first_name | join(first_name) }}",
        "{{ first_name.join(first_name) }}",
        "{{ first_name | replace('A', first_name) }}",
        "{{ first_name.replace('A', first_name) }}",
        "{{ first_name.center(80) }}",
        "{{ (1).to_bytes(80) }}",
        "{{ 1 | round(99, 'ceil') }}",
    ],
)
def test_expression_that_would_make_much_is_that_rows_fault(text: str) -> None:
    with pytest.raises(TemplateError):
        fill(text, "p", "A" * 1_000, "d")


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("{{ first_name | replace('n', 'N') }}", "ANN"),
        ("{{ first_name.replace('n', 'N', 1) }}", "ANn"),
        ("{{ [first_name, phone] | join(', ') }}", "Ann, p"),
        ("{{ ', '.join([first_name, phone]) }}", "Ann, p"),
        ("{{ 2 * 3 ** 2 % 5 }}", "3"),
        ("{{ 1.005 | round(1) }}", "1.0"),
        ("{{ first_name.upper() }}", "ANN"),
    ],
)
def test_what_is_bounded_still_does_what_it_says(text: str, filled: str) -> None:
    assert fill(text) == filled
