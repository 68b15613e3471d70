"""Tell whether the help names every command, fits a terminal and gives examples."""

import pytest
from typer.testing import CliRunner

from ops.cli.app import app

COMMANDS = "check run load status watch explain results retry review pause resume cancel worker beat simulator doctor demo"


GROUPS = {
    "suppress": ("add", "remove", "import", "export", "list", "hash"),
    "schedule": ("add", "list", "remove", "run-now"),
    "webhooks": ("serve", "set-up", "status"),
}


def say_help(*arguments: str) -> str:
    done = CliRunner().invoke(
        app, [*arguments, "--help"], env={"COLUMNS": "80", "NO_COLOR": "1", "TERM": "dumb"}
    )
    assert done.exit_code == 0
    return done.stdout


def test_help_lists_every_command_and_exit_code_within_80_columns() -> None:
    said = say_help()

    assert all(f"│ {name} " in said for name in (*COMMANDS.split(), *GROUPS))
    assert "Exit codes: 0 all well" in said
    assert max(map(len, said.splitlines())) <= 80


@pytest.mark.parametrize("command", sorted(set(COMMANDS.split()) - {"simulator"}))
def test_help_of_a_command_gives_an_example_of_it(command: str) -> None:
    assert f"Example: outreach {command}" in say_help(command)


@pytest.mark.parametrize(("group", "name"), [(group, name) for group in GROUPS for name in GROUPS[group]])
def test_help_of_a_groups_command_gives_an_example_of_it(group: str, name: str) -> None:
    assert f"│ {name} " in say_help(group)
    assert f"Example: outreach {group} {name}" in say_help(group, name)
