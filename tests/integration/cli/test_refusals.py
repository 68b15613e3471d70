"""Tell whether every refusal is a sentence on stderr with the exit code that goes with it, and nothing on stdout."""

import pytest
from outreach_command import Outreach

from worker import wiring
from worker.redis_server import redis_url
from worker.settings import load_settings

UNKNOWN = (
    ("status",),
    ("watch",),
    ("explain", "1"),
    ("pause",),
    ("resume",),
    ("cancel", "--yes"),
    ("results",),
    ("retry",),
    ("review",),
)


def refused(outreach: Outreach, *arguments: str, code: int = 2, **environ: str) -> str:
    """Give a command that is to be refused; return what it says."""
    done = outreach(*arguments, code=code, **environ)
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    return " ".join(done.stderr.split())


@pytest.mark.parametrize("command", UNKNOWN, ids=lambda command: command[0])
def test_unknown_campaign_is_refused(outreach: Outreach, command: tuple[str, ...]) -> None:
    name, *rest = command
    said = refused(outreach, name, "no-such-campaign", *rest)

    assert "There is no campaign no-such-campaign." in said
    assert "outreach status" in said


@pytest.mark.parametrize(
    "arguments",
    [
        ("nonsense",),
        ("run",),
        ("run", "--nonsense"),
        ("explain", "some-campaign", "zero"),
        ("explain", "some-campaign", "0"),
        ("review", "some-campaign", "--row", "1"),
        ("review", "some-campaign", "--sent"),
        ("review", "some-campaign", "--row", "1", "--not-sent", "--message-sid", "IM1"),
        ("simulator", "--nonsense"),
    ],
    ids=" ".join,
)
def test_wrong_usage_exits_with_2(outreach: Outreach, arguments: tuple[str, ...]) -> None:
    said = refused(outreach, *arguments)

    assert "usage" in said.lower()


def test_definition_with_an_error_is_refused_with_its_place(outreach: Outreach) -> None:
    outreach.write(3, ('channel = "sms"', 'channel = "smoke"'))

    said = refused(outreach, "run", *outreach.files)

    assert f"{outreach.definition}:2" in said


def test_missing_files_are_refused(outreach: Outreach) -> None:
    outreach.customers.unlink()

    assert "there is no such file" in refused(outreach, "run", *outreach.files)
    assert "there is no such file" in refused(outreach, "check", *outreach.files)


def test_run_without_credentials_is_refused(outreach: Outreach) -> None:
    said = refused(outreach, "run", *outreach.files, TWILIO_ACCOUNT_SID="", TWILIO_AUTH_TOKEN="")

    assert "TWILIO_ACCOUNT_SID" in said


def test_setting_that_is_wrong_is_refused_by_name(outreach: Outreach) -> None:
    said = refused(outreach, "status", OUTREACH_SETTLE_S="soon")

    assert "OUTREACH_SETTLE_S" in said


def test_run_without_twilio_in_reach_exits_with_4(outreach: Outreach) -> None:
    said = refused(outreach, "run", *outreach.files, code=4)

    assert "Twilio cannot be reached" in said
    assert outreach.json("status") == []


def test_run_without_redis_in_reach_exits_with_4(outreach: Outreach) -> None:
    said = refused(outreach, "run", *outreach.files, code=4, OUTREACH_REDIS_URL="redis://127.0.0.1:9/0")

    assert "Redis" in said
    assert "OUTREACH_REDIS_URL" in said


def test_load_without_a_worker_is_refused_on_the_embedded_redis(outreach: Outreach) -> None:
    assert "outreach worker" in refused(outreach, "load", *outreach.files)


def test_fault_of_our_own_is_one_sentence_and_a_traceback_in_a_file(outreach: Outreach) -> None:
    settings = load_settings(outreach.environ, None)
    fields = {"name": "spring", "definition": "{}", "columns": "no JSON", "file_sha256": "0" * 64}
    with redis_url(settings) as url:
        wiring.build(settings, wiring.connect(url)).registry.create("spring-1", fields)
        said = refused(outreach, "status", "spring-1", code=70)

    log = outreach.home / "logs" / "errors.log"
    assert str(log) in said
    assert "JSONDecodeError" in log.read_text()
    assert log.stat().st_mode & 0o077 == 0


def test_results_of_a_half_load_are_refused(outreach: Outreach) -> None:
    settings = load_settings(outreach.environ, None)
    fields = {"name": "spring", "definition": "{}", "columns": "[]", "file_sha256": "0" * 64}
    with redis_url(settings) as url:
        wiring.build(settings, wiring.connect(url)).registry.create("spring-1", fields)

    said = refused(outreach, "results", "spring-1")

    assert "spring-1 is still being loaded" in said
    assert not list(outreach.results.glob("*.csv"))


def test_api_key_that_stands_for_its_account_is_warned_of(outreach: Outreach) -> None:
    key = {"TWILIO_API_KEY": "SK" + "1" * 32, "TWILIO_API_SECRET": "secret"}
    said = refused(
        outreach, "run", *outreach.files, code=4, TWILIO_ACCOUNT_SID="", TWILIO_AUTH_TOKEN="", **key
    )

    assert "with another key the same file would be sent once more" in said


def test_home_that_cannot_be_written_is_refused(outreach: Outreach) -> None:
    outreach.home.mkdir()
    (outreach.home / "logs").write_text("in the way of the folder")

    assert f"OUTREACH_HOME, {outreach.home}, can't be written" in refused(outreach, "status")


def test_worker_without_redis_exits_with_4(outreach: Outreach) -> None:
    outreach.home.mkdir()
    (outreach.home / "redis").write_text("in the way of the folder")

    assert "The embedded Redis cannot use" in refused(outreach, "worker", code=4)


def test_worker_that_cannot_work_ends_and_says_why(outreach: Outreach) -> None:
    bundle = outreach.folder / "authorities.pem"
    bundle.write_text("no certificates")

    done = outreach(
        "worker", code=2, SSL_CERT_FILE=str(bundle), OUTREACH_TWILIO_BASE_URL="https://127.0.0.1:9"
    )

    assert "SSL_CERT_FILE must name a file of certificates" in done.stderr
    assert "Traceback" not in done.stderr


def test_again_and_rebuild_are_told_apart(outreach: Outreach) -> None:
    said = refused(outreach, "run", *outreach.files, "--again", "--rebuild")

    assert "Give one of them" in said
