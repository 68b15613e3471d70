"""What phonenumbers knows of each country's numbers, made ready for asking a million times."""

import re
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import phonenumbers
from phonenumbers import PhoneMetadata

_TYPES = (
    "fixed_line",
    "mobile",
    "toll_free",
    "premium_rate",
    "shared_cost",
    "voip",
    "personal_number",
    "pager",
    "uan",
    "voicemail",
)


@dataclass(frozen=True)
class NumberingPlan:
    """One country calling code."""

    code: str
    region: str

    @cached_property
    def _metadata(self) -> Any:
        return _metadata_of(self.code, self.region)

    @cached_property
    def lengths(self) -> frozenset[int]:
        """Return how many digits a number may have after the country code, by the code's main region."""
        main = phonenumbers.region_code_for_country_code(int(self.code))
        return frozenset(_metadata_of(self.code, main).general_desc.possible_length)

    @cached_property
    def national_prefix(self) -> str:
        """Return the trunk digit dialled inside the country, such as 0; empty where there is none."""
        return self._metadata.national_prefix or ""

    @cached_property
    def trunk(self) -> re.Pattern[str] | None:
        """Return what may stand before a national number when it is dialled, the trunk digit among others."""
        pattern = self._metadata.national_prefix_for_parsing
        return re.compile(pattern) if pattern else None

    @cached_property
    def _general(self) -> re.Pattern[str]:
        return re.compile(self._metadata.general_desc.national_number_pattern or "(?!)")

    @cached_property
    def _assigned(self) -> re.Pattern[str]:
        patterns: dict[str, None] = {}
        for region in phonenumbers.region_codes_for_country_code(int(self.code)):
            metadata = _metadata_of(self.code, region)
            for kind in _TYPES:
                description = getattr(metadata, kind)
                if description is not None and description.national_number_pattern:
                    patterns[description.national_number_pattern] = None
        return re.compile("|".join(f"(?:{pattern})" for pattern in patterns) or "(?!)")

    def is_assigned(self, national: str) -> bool:
        """Tell whether `national` lies in a range that the library knows to be in use."""
        return self._assigned.fullmatch(national) is not None

    def find_dialled(self, digits: str) -> str | None:
        """Find the number meant by `digits` as dialled inside the country, where that is beyond question."""
        prefix = self.national_prefix
        if prefix and digits.startswith(prefix):
            national = digits[len(prefix) :]
            is_clear = (
                not self._general.fullmatch(digits) and self._metadata.national_prefix_transform_rule is None
            )
        else:
            national = digits
            is_clear = self.trunk is None or not self.trunk.match(digits)
        if is_clear and len(national) in self.lengths and self.is_assigned(national):
            return f"+{self.code}{national}"
        return None


def _metadata_of(code: str, region: str) -> Any:
    if region == "001":
        return PhoneMetadata.metadata_for_nongeo_region(int(code))
    return PhoneMetadata.metadata_for_region(region)


@cache
def plans_by_code() -> dict[str, NumberingPlan]:
    """Return every country calling code's plan."""
    return {
        str(code): NumberingPlan(str(code), regions[0])
        for code, regions in phonenumbers.COUNTRY_CODE_TO_REGION_CODE.items()
    }


@cache
def plan_of_region(region: str) -> NumberingPlan:
    """Return the plan that national numbers of `region` are read by."""
    return NumberingPlan(str(phonenumbers.country_code_for_region(region)), region)


def find_plan(digits: str) -> NumberingPlan | None:
    """Find the plan of an international number by its first digits."""
    plans = plans_by_code()
    return plans.get(digits[:1]) or plans.get(digits[:2]) or plans.get(digits[:3])


def known_regions() -> frozenset[str]:
    """Return the two-letter regions that have numbers."""
    return frozenset(phonenumbers.SUPPORTED_REGIONS)
