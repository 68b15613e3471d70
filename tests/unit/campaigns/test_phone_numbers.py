"""Phone numbers as they are written, and what is made of them; never one of another country."""

import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaigns.numbering import known_regions, plan_of_region, plans_by_code
from campaigns.phone import find_phone_doubt, normalise_phone
from campaigns.row_error import RowError

BRITISH = "+447900900123"
AMERICAN = "+12025550104"


def fault(text: str, region: str | None = "GB") -> RowError:
    """Return what is wrong with a number that must be refused."""
    found = normalise_phone(text, region)
    assert isinstance(found, RowError), found
    return found


@pytest.mark.parametrize(
    "text",
    [
        BRITISH,
        "07900900123",
        "7900900123",
        "07900 900123",
        "0044 7900 900123",
        "00447900900123",
        "+44 (0)7900 900123",
        "+44(0)7900900123",
        "(+44) 7900 900123",
        "0044 (0) 7900 900123",
        "+44-7900-900-123",
        "07900.900.123",
        "07900/900123",
        "tel:+447900900123",
        "'+447900900123",
        "\ufeff\u200b07900\u00a0900123\u200d",
        "\t07900900123\r\n",
        "０７９００９００１２３",
        "＋447900900123",
        "٠٧٩٠٠٩٠٠١٢٣",
        "+44 07900 900123",
    ],
)
def test_every_writing_of_a_british_number_is_one_number(text: str) -> None:
    assert normalise_phone(text, "GB") == BRITISH


@pytest.mark.parametrize(
    "text",
    [
        AMERICAN,
        "202-555-0104",
        "(202) 555-0104",
        "1-202-555-0104",
        "12025550104",
        "+1 202 555 0104",
        "0012025550104",
        "+0012025550104",
        "011 1 202 555 0104",
        "+1\u2011202\u2011555\u20110104",
        "+1\u2013202\u2014555\u22120104",
    ],
)
def test_every_writing_of_an_american_number_is_one_number(text: str) -> None:
    assert normalise_phone(text, "US") == AMERICAN


@pytest.mark.parametrize("text", [BRITISH, "+44 7900 900123", "+44 (0)7900 900123", "tel:+447900900123"])
def test_international_number_needs_no_region(text: str) -> None:
    assert normalise_phone(text, None) == BRITISH


@pytest.mark.parametrize(
    ("text", "region", "words"),
    [
        ("4.47E+11", "GB", "rounded"),
        ("4,47E+11", "GB", "rounded"),
        ("4.479009e+11", None, "rounded"),
        ("447900900123.0", "GB", "decimal"),
        ("07890x32109", "GB", "extension"),
        ("079OO900123", "GB", "letters"),
        ("call me", "GB", "letters"),
        ("07900900123, 07900900124", "GB", "more than one"),
        ("07900900123 or 07900900124", "GB", "more than one"),
        ("07900900123/07900900124", "GB", "more than one"),
        ("+447900900123 +447900900124", "GB", "more than one"),
        ("07900900123\n07900900124", "GB", "more than one"),
        ("07900900123 07900900124", "GB", "more than one"),
        ("=A1", "GB", "formula"),
        ("NULL", "GB", "where a number should"),
        ("#N/A", "GB", "where a number should"),
        ("########", "GB", "where a number should"),
        ("+999123456789", "GB", "no country code"),
        ("+07900900123", "GB", "no country code"),
        ("0790", "GB", "too short"),
        ("+4479009001234", "GB", "too long: 11 digits after +44 (GB), where there are 7, 9 or 10"),
        ("+1202555010", None, "too short: 9 digits after +1 (US), where there are 10"),
        ("+4479009001234567890", None, "too long"),
        ("😀", "GB", "no digits"),
        ('07";DROP TABLE;"', "GB", "letters"),
        ("0790*900123", "GB", '"*"'),
        ("07900900123 ext 5", "GB", "extension"),
        ("00447900900123", None, "begins with 00"),
    ],
)
def test_bad_number_is_refused_with_its_own_sentence(text: str, region: str | None, words: str) -> None:
    found = fault(text, region)

    assert words in found.sentence
    assert found.advice
    assert found.code == "bad_number"


def test_national_number_without_a_region_is_refused_and_explained() -> None:
    found = fault("07900900123", None)

    assert "does not say its country" in found.sentence
    assert "default_region" in found.advice


@pytest.mark.parametrize(
    ("text", "region", "hint"),
    [
        ("447900900123", None, BRITISH),
        ("447900900123", "GB", BRITISH),
        ("44 7900 900123", "GB", BRITISH),
        ("447900900123", "US", BRITISH),
        ("12025550104", None, AMERICAN),
        ("12025550104", "GB", AMERICAN),
        ("4915123456789", "US", "+4915123456789"),
    ],
)
def test_number_that_lost_its_plus_is_explained_and_not_glued(
    text: str, region: str | None, hint: str
) -> None:
    found = fault(text, region)

    assert found.code == "plus_missing"
    assert hint in found.sentence
    assert "without its plus" in found.sentence


@pytest.mark.parametrize(
    ("text", "region"),
    [
        ("079009001234", "GB"),
        ("2125550123", None),
        ("7205550123", None),
        ("77234567890", "GB"),
        ("202555010", "US"),
    ],
)
def test_number_is_never_moved_to_another_country(text: str, region: str | None) -> None:
    fault(text, region)


def test_bare_number_of_the_region_is_taken_with_a_doubt() -> None:
    assert normalise_phone("7205550123", "GB") == "+447205550123"

    doubt = find_phone_doubt("7205550123", "+447205550123", "GB")

    assert doubt is not None
    assert "lacks its leading 0" in doubt.sentence


def test_possible_number_of_an_unknown_range_is_taken_with_a_doubt() -> None:
    assert normalise_phone("+12015550", None) != "+12015550"
    assert normalise_phone("+11015550123", None) == "+11015550123"

    doubt = find_phone_doubt("+11015550123", "+11015550123", None)

    assert doubt is not None
    assert doubt.code == "unknown_range"
    assert find_phone_doubt(AMERICAN, AMERICAN, None) is None


REGIONS = st.sampled_from(sorted(known_regions()))
DIGITS = st.text("0123456789", min_size=4, max_size=14)


@given(st.sampled_from(sorted(plans_by_code())), DIGITS)
def test_quick_reading_agrees_with_the_library(code: str, digits: str) -> None:
    text = f"+{code}{digits}"
    found = normalise_phone(text, None)

    try:
        number = phonenumbers.parse(text)
    except phonenumbers.NumberParseException:
        assert isinstance(found, RowError)
        return
    reason = phonenumbers.is_possible_number_with_reason(number)
    if reason == phonenumbers.ValidationResult.IS_POSSIBLE:
        assert found == phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    else:
        assert isinstance(found, RowError)


@given(REGIONS, DIGITS)
def test_number_that_is_read_as_national_is_what_the_library_reads(region: str, digits: str) -> None:
    found = plan_of_region(region).find_dialled(digits)
    if found is None:
        return

    assert found == phonenumbers.format_number(
        phonenumbers.parse(digits, region), phonenumbers.PhoneNumberFormat.E164
    )


@given(REGIONS, st.integers(0, 9))
def test_doubt_agrees_with_the_library_on_real_ranges(region: str, last: int) -> None:
    example = phonenumbers.example_number(region)
    if example is None:
        return
    text = phonenumbers.format_number(example, phonenumbers.PhoneNumberFormat.E164)[:-1] + str(last)
    found = normalise_phone(text, None)
    if isinstance(found, RowError):
        return

    assert (find_phone_doubt(text, found, None) is None) == phonenumbers.is_valid_number(
        phonenumbers.parse(found)
    )


@given(
    st.one_of(st.text(max_size=20), st.from_regex(r"[+0-9 ().\-']{6,18}", fullmatch=True)),
    st.one_of(st.none(), REGIONS),
)
def test_reading_a_number_twice_changes_nothing(text: str, region: str | None) -> None:
    once = normalise_phone(text, region)

    if isinstance(once, str):
        assert normalise_phone(once, region) == once
        assert normalise_phone(once, None) == once
