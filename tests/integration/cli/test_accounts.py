"""Tell whether commands find the account that they are about: by a definition, a campaign's id, a schedule's name or --account."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from outreach_command import Outreach
from quick_command import QuickCommands
from redis_process import RedisProcess
from zygote import Zygote

from worker import wiring
from worker.pipeline.bench import Workbench
from worker.pipeline.intake import take_in
from worker.redis_server import redis_url
from worker.settings import load_settings

NOBODY = "redis://127.0.0.1:9/0"
ACCOUNTS = {
    "OUTREACH_ACCOUNTS": "acme,globex-uk",
    "TWILIO_ACCOUNT_SID__ACME": "AC" + "2" * 32,
    "TWILIO_AUTH_TOKEN__ACME": "acmes-token",
    "TWILIO_ACCOUNT_SID__GLOBEX_UK": "AC" + "3" * 32,
    "TWILIO_AUTH_TOKEN__GLOBEX_UK": "globexs-token",
}
DAILY = ("--cron", "0 18 * * *")


@pytest.fixture
def outreach(tmp_path: Path) -> Iterator[Outreach]:
    """Return an installation with three accounts, and nobody in Twilio's place."""
    (folder := tmp_path / "outreach").mkdir()
    installation = Outreach(folder, "http://127.0.0.1:9", **ACCOUNTS)
    installation.write()
    yield installation
    installation.close()


@pytest.fixture
def give(outreach: Outreach, zygote: Zygote) -> Iterator[QuickCommands]:
    """Give commands of the installation, one after the other."""
    with QuickCommands(outreach, zygote) as commands:
        yield commands


@contextmanager
def bench_of(outreach: Outreach, profile: str) -> Iterator[Workbench]:
    """Open an account's ledger beside the commands."""
    account = load_settings(outreach.environ, None).of(profile)
    with redis_url(account) as url:
        yield wiring.build(account, wiring.connect(url))


def load(outreach: Outreach, profile: str) -> str:
    """Take the campaign of three customers in for an account, without asking Twilio; its id."""
    named = f'name = "spring"\naccount = "{profile}"' if profile else 'name = "spring"'
    outreach.write(3, ('name = "spring"', named))
    with bench_of(outreach, profile) as bench:
        return take_in(
            bench.ledger, bench.registry, bench.settings, outreach.definition, outreach.customers
        ).campaign_id


def test_account_that_there_is_none_of_is_refused_with_its_place(
    give: QuickCommands, outreach: Outreach
) -> None:
    outreach.write(3, ('name = "spring"', 'name = "spring"\naccount = "globex"'))

    said = [give(command, *outreach.files, code=2) for command in ("check", "run", "load")]
    said.append(give("schedule", "add", "evening", *outreach.files, *DAILY, code=2))

    what = 'account is "globex", and OUTREACH_ACCOUNTS names acme, globex-uk, did you mean "globex-uk"?'
    assert set(said) == {f"{outreach.definition}:2: {what}\n"}


def test_campaigns_are_found_in_whatever_account_and_listed_with_it(
    give: QuickCommands, outreach: Outreach
) -> None:
    main, acme, globex = (load(outreach, profile) for profile in ("", "acme", "globex-uk"))

    table = give("status")
    paused = json.loads(give("pause", acme, "--json"))
    told, latest = give("status", globex), give("results")
    unknown = give("status", "spring-0", code=2)

    assert len({main, acme, globex}) == 3
    assert sorted(line.split()[:3] for line in table.splitlines() if "spring" in line) == sorted(
        [[globex, "globex-uk", "running"], [acme, "acme", "running"], [main, "(main)", "running"]]
    )
    assert (paused["id"], paused["account"], paused["state"]) == (acme, "acme", "paused")
    assert "account:     globex-uk" in told
    assert globex in latest
    assert "There is no campaign spring-0." in unknown


def test_redis_of_an_account_matters_only_to_what_may_be_there(
    give: QuickCommands, outreach: Outreach, tmp_path: Path
) -> None:
    redis = RedisProcess(tmp_path / "redis")
    try:
        outreach.environ["OUTREACH_REDIS_URL__ACME"] = redis.url
        acme, globex = load(outreach, "acme"), load(outreach, "globex-uk")
        before = json.loads(give("status", "--json"))
    finally:
        redis.kill()

    missing, elsewhere = give("status", acme, code=4), give("status", globex)
    listed, latest = give("status", code=4), give("results")

    assert {one["id"]: one["account"] for one in before} == {globex: "globex-uk", acme: "acme"}
    assert f"{acme} is not among the campaigns of the other accounts; account acme can't be asked" in missing
    assert "Check OUTREACH_REDIS_URL__ACME" in missing
    assert "account:     globex-uk" in elsewhere
    assert globex in listed
    assert "Account acme can't be asked: Redis does not answer" in listed
    assert "account acme can't be asked" in latest
    assert globex in latest


def test_do_not_contact_list_is_the_accounts_own(give: QuickCommands) -> None:
    give("suppress", "add", "+12025550101", "--account", "acme")

    of_acme = give("suppress", "list", "--account", "acme")
    of_main = give("suppress", "list")
    of_nobody = give("suppress", "list", "--account", "initech", code=2)

    assert "+12025550101" in of_acme
    assert "Nobody is on the do-not-contact list." in of_main
    assert "for the main account; --account NAME is for another one: acme, globex-uk" in of_main
    assert "There is no account `initech` in the settings." in of_nobody


def test_schedules_of_all_accounts_are_listed_and_told_apart(give: QuickCommands, outreach: Outreach) -> None:
    for account in ("acme", "globex-uk"):
        outreach.write(3, ('name = "spring"', f'name = "spring"\naccount = "{account}"'))
        give("schedule", "add", "evening", *outreach.files, *DAILY)
    give("schedule", "add", "morning", *outreach.files, *DAILY)

    listed = json.loads(give("schedule", "list", "--json"))
    either = give("schedule", "remove", "evening", code=2)
    give("schedule", "remove", "evening", "--account", "acme")
    give("schedule", "remove", "evening")
    left = give("schedule", "list")

    assert [(one["name"], one["account"]) for one in listed["entries"]] == [
        ("evening", "acme"),
        ("evening", "globex-uk"),
        ("morning", "globex-uk"),
    ]
    assert "in several accounts: account acme, account globex-uk. Give --account NAME." in either
    assert "evening" not in left
    assert "For account globex-uk: No worker is running" in left


def test_doctor_looks_at_every_account(give: QuickCommands, outreach: Outreach) -> None:
    outreach.environ["OUTREACH_REDIS_URL__ACME"] = NOBODY

    said = give("doctor", "--json", code=4)

    findings = json.loads(said)
    found = {(one["account"], one["name"], one["verdict"]) for one in findings}
    assert {(None, "redis", "well"), ("acme", "redis", "wrong")} <= found
    assert not {one for one in found if one[:2] == ("globex-uk", "redis")}, "it is the main one's"
    assert {one[0] for one in found if one[1:] == ("twilio", "wrong")} == {None, "acme", "globex-uk"}
    assert not [value for name, value in ACCOUNTS.items() if name.startswith("TWILIO") and value in said]
