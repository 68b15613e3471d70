"""Which account a definition or --account means, and what is said where it means none."""

from pathlib import Path

import pytest

from campaigns.problems import RefusedError
from ops.cli.accounts import chosen, of_definition
from worker.errors import OutreachError
from worker.settings import Settings, load_settings

EXAMPLE = Path(__file__).parents[3] / "campaigns/examples/renewal-reminder/campaign.toml"
MAIN = {"TWILIO_ACCOUNT_SID": "AC" + "1" * 32, "TWILIO_AUTH_TOKEN": "t"}
ACME = {
    "OUTREACH_ACCOUNTS": "acme",
    "TWILIO_ACCOUNT_SID__ACME": "AC" + "2" * 32,
    "TWILIO_AUTH_TOKEN__ACME": "t",
}


def settings(**environ: str) -> Settings:
    return load_settings({"OUTREACH_HOME": "/nowhere", **environ}, None)


def definition(folder: Path, account: str) -> Path:
    """Write a definition that names an account, or none."""
    path = folder / "campaign.toml"
    named = f'account = "{account}"\n' if account else ""
    path.write_text(f"# Ours.\n{named}{EXAMPLE.read_text()}")
    return path


@pytest.mark.parametrize("account", ["", "acme"])
def test_account_of_a_definition_is_the_one_that_it_names(tmp_path: Path, account: str) -> None:
    found = of_definition(settings(**MAIN, **ACME), definition(tmp_path, account))

    assert found.profile == account


def test_definition_without_an_account_needs_no_credentials_to_be_read(tmp_path: Path) -> None:
    assert of_definition(settings(), definition(tmp_path, "")).profile == ""


@pytest.mark.parametrize(
    ("account", "environ", "said"),
    [
        (
            "initech",
            {**MAIN, **ACME},
            ':2: account is "initech", and OUTREACH_ACCOUNTS names acme, name initech there, '
            "and set its credentials, or correct it",
        ),
        ("acne", {**MAIN, **ACME}, ', did you mean "acme"?'),
        ("acme", MAIN, ':2: account is "acme", and OUTREACH_ACCOUNTS is not set, name acme there'),
        (
            "",
            ACME,
            ": no account is named, and the main account has no credentials; OUTREACH_ACCOUNTS names acme, "
            'write account = "acme" at the top, or set TWILIO_ACCOUNT_SID',
        ),
    ],
)
def test_definition_whose_account_the_settings_lack_is_refused(
    tmp_path: Path, account: str, environ: dict[str, str], said: str
) -> None:
    path = definition(tmp_path, account)

    with pytest.raises(RefusedError) as caught:
        of_definition(settings(**environ), path)

    (problem,) = caught.value.problems
    assert str(problem).startswith(str(path))
    assert said in str(problem)


@pytest.mark.parametrize(("profile", "means"), [(None, ""), ("acme", "acme")])
def test_account_is_chosen_by_its_option(profile: str | None, means: str) -> None:
    assert chosen(settings(**MAIN, **ACME), profile).profile == means


@pytest.mark.parametrize(
    ("profile", "environ", "said"),
    [
        (None, ACME, "Give --account NAME: OUTREACH_ACCOUNTS names acme."),
        ("initech", {**MAIN, **ACME}, "There is no account `initech` in the settings."),
    ],
)
def test_account_that_cannot_be_meant_is_refused(
    profile: str | None, environ: dict[str, str], said: str
) -> None:
    with pytest.raises(OutreachError) as caught:
        chosen(settings(**environ), profile)

    assert said in str(caught.value)
