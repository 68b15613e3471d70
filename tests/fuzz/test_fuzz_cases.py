"""Every input that was once a finding is taken, or refused in words; `tests/data/fuzz/README.md` says what each one did."""

from pathlib import Path

import pytest
from limits import bounded
from seeds import KEPT, cases_of
from targets import TARGETS

CASES = [(target, path) for target in TARGETS for path in cases_of(target)]


@pytest.mark.parametrize(("target", "path"), CASES, ids=[f"{target}-{path.name}" for target, path in CASES])
def test_input_that_was_a_finding_is_none_any_more(target: str, path: Path) -> None:
    data = path.read_bytes()

    with bounded():
        TARGETS[target](data)


def test_every_case_has_its_line() -> None:
    lines = (KEPT / "README.md").read_text(encoding="utf-8").splitlines()

    told = {line.split("`")[1] for line in lines if line.startswith("- `")}

    assert told == {f"{target}/{path.name}" for target, path in CASES}
    assert {path.name for path in KEPT.iterdir() if path.is_dir()} == {target for target, _ in CASES}
