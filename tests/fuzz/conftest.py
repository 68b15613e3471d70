"""How much the fuzz tests try: the same few inputs each time in CI, many new ones with `--hypothesis-profile=fuzz`."""

from collections.abc import Iterator

import pytest
import targets
from hypothesis import HealthCheck, settings

_ALWAYS = {
    "deadline": None,
    "suppress_health_check": [
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
        HealthCheck.large_base_example,
    ],
}
settings.register_profile("fuzz-ci", derandomize=True, database=None, max_examples=150, **_ALWAYS)
settings.register_profile("fuzz", max_examples=1_000, **_ALWAYS)


@pytest.fixture(scope="session", autouse=True)
def _tidy() -> Iterator[None]:
    yield
    targets.close()
