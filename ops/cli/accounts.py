"""Choose the account that a command is about: by a definition, or by --account."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ops.cli import screen
from ops.cli.session import Desk, open_desk, read_settings
from worker.errors import RefusedHereError
from worker.settings import Settings

if TYPE_CHECKING:
    from campaigns.definition import Campaign
    from campaigns.problems import RefusedError


def of_definition(main: Settings, definition: Path) -> Settings:
    """Give the settings of the account that a definition names.

    Raises: RefusedError for a definition that can't be read, or whose account the settings lack.
    """
    from campaigns.definition import load_definition

    return of_campaign(main, load_definition(definition), definition)


def of_campaign(main: Settings, campaign: "Campaign", definition: Path) -> Settings:
    """Give the settings of the account that a campaign names. Raises: RefusedError where they lack it."""
    from campaigns.definition import refuse_key

    names = [each.profile for each in main.accounts]
    if campaign.account in (None, *names):
        if campaign.account or main.has_credentials or not names:
            return main.of(campaign.account or "")
        what = f"no account is named, and the main account has no credentials; OUTREACH_ACCOUNTS names {', '.join(names)}"
        raise refuse_key(
            definition, "", what, f'write account = "{names[0]}" at the top, or set TWILIO_ACCOUNT_SID'
        )
    raise _unknown(str(campaign.account), names, definition)


def chosen(main: Settings, profile: str | None) -> Settings:
    """Give the settings of the account that --account names, by default the main one.

    Raises: SettingsError where there is none of this name; RefusedHereError where there is no main account to be meant.
    """
    if profile is None and main.everyone()[0].profile:
        names = ", ".join(each.profile for each in main.accounts)
        raise RefusedHereError(
            "The main account has no credentials, so it must be said which account is meant.",
            f"Give --account NAME: OUTREACH_ACCOUNTS names {names}.",
        )
    if profile is None and main.accounts:
        names = ", ".join(each.profile for each in main.accounts)
        screen.say(f"for the main account; --account NAME is for another one: {names}", "dim")
    return main.of(profile or "")


@contextlib.contextmanager
def open_chosen(profile: str | None) -> Iterator[Desk]:
    """Open the ledger of the account that --account names. Raises: as `chosen`; RedisUnavailableError."""
    main = read_settings()
    account = chosen(main, profile)
    with open_desk(account, main) as desk:
        yield desk


def _unknown(written: str, names: list[str], definition: Path) -> "RefusedError":
    from campaigns.definition import refuse_key
    from campaigns.names import find_near_miss

    there_are = f"names {', '.join(names)}" if names else "is not set"
    what = f'account is "{written}", and OUTREACH_ACCOUNTS {there_are}'
    near = find_near_miss(written, names)
    advice = (
        f'did you mean "{near}"?' if near else f"name {written} there, and set its credentials, or correct it"
    )
    return refuse_key(definition, "account", what, advice)
