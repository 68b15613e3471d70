"""Knows the public holidays of a country, or of a part of one (`US`, `US-CA`)."""

from datetime import date
from functools import cache, lru_cache
from typing import TYPE_CHECKING

from campaigns.names import find_near_miss
from campaigns.row_error import quote

if TYPE_CHECKING:
    import holidays

NUMBER_HOLIDAYS = "number"


def is_holiday(region: str, day: date) -> bool:
    """Tell whether `day` is a public holiday in `region`, as `canonical_region` gives it."""
    return day in _holidays_of(region, day.year)


@lru_cache(maxsize=1024)
def canonical_region(text: str) -> str | None:
    """Give the code of a country, and of a part of it, as the holidays are filed under; None if there are none."""
    country, dash, part = text.strip().partition("-")
    if (country := country.upper()) not in _countries():
        return None
    if not dash:
        return country
    parts = {known.casefold(): known for known in _class_of(country).subdivisions}
    known = parts.get(part.casefold())
    return f"{country}-{known}" if known else None


def find_holidays_fault(text: str) -> tuple[str, str] | None:
    """Find what is wrong with a text that should name a country, or a part of one; with what to write instead."""
    if canonical_region(text) is not None:
        return None
    country, dash, part = text.strip().partition("-")
    if dash and (country := country.upper()) in _countries():
        parts = _class_of(country).subdivisions
        known = {code: code for code in parts} | _class_of(country).subdivisions_aliases
        if near := find_near_miss(part, known):
            advice = f"did you mean {quote(f'{country}-{known[near]}')}?"
        else:
            advice = f"the parts are {', '.join(parts[:60])}" if parts else f"write {quote(country)}"
        return f"{quote(text)} is no part of {country} of which holidays are known", advice
    near = find_near_miss(text, _names())
    advice = f"did you mean {quote(_names()[near])}?" if near else 'write a code such as "US" or "US-CA"'
    return f"{quote(text)} is no country of which holidays are known", advice


@lru_cache(maxsize=2048)
def country_of_number(number: str) -> str | None:
    """Give the country of a phone number in E.164, where its holidays are known."""
    # Late: its tables take a tenth of a second to read, and few campaigns need them.
    from phonenumbers import NumberParseException, parse, region_code_for_number

    try:
        country = region_code_for_number(parse(number))
    except NumberParseException:
        return None
    return canonical_region(country) if country else None


# A year is worked out when a day of it is asked for; a file with a country in each row asks for a few hundred at most.
@lru_cache(maxsize=2048)
def _holidays_of(region: str, year: int) -> frozenset[date]:
    country, _, part = region.partition("-")
    return frozenset(_class_of(country)(subdiv=part or None, years=year, expand=False))


@cache
def _countries() -> frozenset[str]:
    return frozenset(code for codes in _registry().values() for code in codes[1:] if len(code) == 2)


@cache
def _names() -> dict[str, str]:
    """Give the two-letter code of everything that a country may be called by."""
    return {
        name: codes[1]
        for module, codes in _registry().items()
        for name in (module.replace("_", " "), *codes[1:])
    }


def _registry() -> dict[str, tuple[str, ...]]:
    # Late: the package takes a fifth of a second to read, and few campaigns need it.
    from holidays.registry import COUNTRIES

    return dict(COUNTRIES)


def _class_of(country: str) -> "type[holidays.HolidayBase]":
    import holidays

    found: type[holidays.HolidayBase] = getattr(holidays, country)
    return found
