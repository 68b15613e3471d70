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
        "{% macro f() %}{% endmacro %}x",
        "{% for a in phone %}{% for b in phone %}x{% endfor %}{% endfor %}",
        "{% include phone %}",
        "{% set a %}{% for b in phone %}{{ b }}{% endfor %}{% endset %}",
        "{% filter upper %}{% for b in phone %}{{ b }}{% endfor %}{% endfilter %}",
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
        "{{ '%99999d' | format(1) }}",
        "{{ '%*d' | format(99999, 1) }}",
        "{{ '%------------------------------99999d' % 1 }}",
        "{{ '%(a(b)c)99999d' % {'a(b)c': 1} }}",
        "{{ '%.99999f' | format(1) }}",
        "{{ first_name % phone }}",
        "{{ '{:99999}'.format(1) }}",
        "{{ '{:{}}'.format(1, 99999) if 1 }}",
        "{{ '{a[}]:99999}'.format(a={'}': 1}) }}",
        "{{ '{0}{0}{0}{0}{0}{0}{0}{0}{0}{0}'.format(first_name ~ first_name ~ first_name ~ first_name ~ first_name ~ first_name ~ first_name ~ first_name ~ first_name ~ first_name) }}",
        "{% set a = first_name %}" + "{% set a = a ~ a %}" * 40 + "{{ a | length }}",
        "{% set a = first_name %}" + "{% set a %}{{ a }}{{ a }}{% endset %}" * 40 + "{{ a | length }}",
        "{% set a = [first_name] %}" + "{% set a = [a, a] %}" * 40 + "{{ a }}",
        "{% with a = first_name %}" + "{% with a = a ~ a %}" * 15 + "{{ a | length }}" + "{% endwith %}" * 16,
        "{% for a in first_name %}{{ first_name }}{% endfor %}",
        "{% for a in first_name %}{% if first_name | upper == 'B' %}x{% endif %}{% endfor %}",
        "{{ first_name | map('replace', '', first_name) | list | length }}",
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
        ("{{ [first_name, phone] | map('upper') | join(', ') }}", "ANN, P"),
        (
            "{% for a in first_name %}{{ loop.index }}/{{ loop.length }}{{ a }} {% endfor %}",
            "1/3A 2/3n 3/3n ",
        ),
        ("{% for a in '' %}x{% else %}none{% endfor %}", "none"),
        ("{{ 1.005 | round(1) }}", "1.0"),
        ("{{ first_name.upper() }}", "ANN"),
        ("{{ '%.2f' | format('3.456' | float) }}", "3.46"),
        ("{{ '%(n)s: %(p)05.1f' | format(n=first_name, p=3.14) }}", "Ann: 003.1"),
        ("{{ 'Hi %s, %d%%' % (first_name, 7) }}", "Hi Ann, 7%"),
        ("{{ '{:,.2f} {n}'.format(1234.5, n=first_name) }}", "1,234.50 Ann"),
        ("{% set name = first_name | upper %}Hi {{ name }}", "Hi ANN"),
        ("{% set first_name = first_name | upper %}Hi {{ first_name }}", "Hi ANN"),
        ("{% set name %}Dr {{ first_name }}{% endset %}{{ name }}", "Dr Ann"),
        ("{% set name | upper %}Dr {{ first_name }}{% endset %}{{ name }}", "DR ANN"),
        ("{% set plans = {'p': 'Gold'} %}{{ plans[phone] }}", "Gold"),
        ("{% set a, b = (phone ~ ' x').split(' ') %}{{ b }} {{ a }}", "x p"),
        ("{% with name = first_name | upper %}{{ name }}{% endwith %}", "ANN"),
    ],
)
def test_what_is_bounded_still_does_what_it_says(text: str, filled: str) -> None:
    assert fill(text) == filled


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "{% macro f() %}{% endmacro %}",
            "the template uses {% macro %}, which is not offered here, write text",
        ),
        ("{{ phone | center(9) }}", 'the template uses the filter "center", which is not offered here'),
        (
            "{{ phone | centre }}",
            "the template cannot be read: No filter named 'centre', use one that Jinja has",
        ),
    ],
)
def test_template_is_refused_with_what_to_do(text: str, sentence: str) -> None:
    with pytest.raises(TemplateError) as caught:
        Template(text).check()
    assert str(caught.value).startswith(sentence)


def test_row_that_makes_too_much_says_so() -> None:
    with pytest.raises(TemplateError, match="this row: it would make more than 100,000 characters, shorten"):
        fill("{% for a in first_name %}{{ first_name }}{% endfor %}", "p", "A" * 1_000, "d")
