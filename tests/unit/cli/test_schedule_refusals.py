"""Tell whether a schedule that can't be is refused in words, with exit code 2, before anything is opened."""

from pathlib import Path

import pytest
from outreach_command import DEFINITION
from typer.testing import CliRunner

from ops.cli.app import app


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"NAME": "Evening!"}, 'error: "Evening!" can\'t be a name.'),
        ({"--cron": "0 18 * * weekdays"}, 'character 10: "weekdays" is no day of the week'),
        ({"--timezone": "Europe/Berln"}, "Did you mean Europe/Berlin?"),
        ({"--misfire": "later"}, "Write catch_up or skip."),
        ({"CAMPAIGN": "elsewhere.toml"}, "there is no such file"),
        ({"CAMPAIGN": "broken.toml"}, "broken.toml:2"),
    ],
)
def test_schedule_that_cannot_be_is_refused(
    changes: dict[str, str], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("spring.toml").write_text(DEFINITION)
    Path("broken.toml").write_text(DEFINITION.replace('"sms"', '"smoke"'))
    given = {"NAME": "evening", "CAMPAIGN": "spring.toml", "CSV": "*.csv", "--cron": "0 18 * * *", **changes}
    options = [word for name, value in given.items() if name.startswith("--") for word in (name, value)]

    done = CliRunner().invoke(app, ["schedule", "add", given["NAME"], given["CAMPAIGN"], "*.csv", *options])

    assert done.exit_code == 2
    assert words in " ".join(done.output.split())
