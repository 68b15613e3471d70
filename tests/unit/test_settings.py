"""Tell whether settings are read from where they should be, and refused in words."""

from pathlib import Path

import pytest

from worker.errors import SettingsError
from worker.settings import Setting, describe_settings, example_env, load_settings, make_home

ACCOUNT = {"TWILIO_ACCOUNT_SID": "AC" + "1" * 32, "TWILIO_AUTH_TOKEN": "a-token"}


def test_nothing_set_gives_the_defaults_of_the_reference() -> None:
    settings = load_settings({}, None)

    assert settings.account_interactions_per_s == 20.0
    assert settings.settle_s == (2.0, 5.0, 15.0, 45.0)
    assert settings.base_url == ""
    assert settings.redis_url is None
    assert settings.home.name == "outreach"
    assert settings.results_dir is None
    assert settings.results_dir_or_default == Path("results").resolve()
    assert not settings.has_credentials


def test_environment_wins_over_the_file(tmp_path: Path) -> None:
    dotenv = tmp_path / ".env"
    dotenv.write_text(
        "OUTREACH_CONCURRENCY=5\nexport OUTREACH_LOG_LEVEL='debug' # loud\nOUTREACH_SETTLE_S=1,2\n"
    )

    settings = load_settings({"OUTREACH_CONCURRENCY": "7", "OUTREACH_SETTLE_S": ""}, dotenv)

    assert settings.concurrency == 7
    assert settings.log_level == "DEBUG"
    assert settings.settle_s == (2.0, 5.0, 15.0, 45.0), "an empty value in the environment unsets the file's"


def test_dollars_in_the_file_are_left_alone(tmp_path: Path) -> None:
    dotenv = tmp_path / ".env"
    dotenv.write_text("TWILIO_AUTH_TOKEN=a${HOME}b\n")

    assert load_settings({}, dotenv).auth_token.get_secret_value() == "a${HOME}b"


def test_line_of_the_file_that_is_no_setting_is_named(tmp_path: Path) -> None:
    dotenv = tmp_path / ".env"
    dotenv.write_text("OUTREACH_CONCURRENCY=5\n'broken\n")

    with pytest.raises(SettingsError, match="line 2, can't be understood"):
        load_settings({}, dotenv)


def test_missing_file_is_no_fault(tmp_path: Path) -> None:
    assert load_settings({}, tmp_path / ".env").concurrency is None


@pytest.mark.parametrize("ending", ["", "\n", "\r\n"])
def test_mounted_secret_is_read_without_its_line_break(tmp_path: Path, ending: str) -> None:
    secret = tmp_path / "token"
    secret.write_bytes(f"to ken{ending}".encode())

    settings = load_settings({"TWILIO_AUTH_TOKEN_FILE": str(secret)}, None)

    assert settings.auth_token.get_secret_value() == "to ken"


@pytest.mark.parametrize("setting", describe_settings(), ids=lambda setting: setting.name)
def test_every_name_reads_a_file_too(tmp_path: Path, setting: Setting) -> None:
    name = setting.name
    secret = tmp_path / "value"
    example = str(secret) if name == "SSL_CERT_FILE" else setting.example
    secret.write_text(example)

    by_file = load_settings({f"{name}_FILE": str(secret)}, None)

    assert by_file == load_settings({name: example}, None)


def test_unreadable_secret_names_its_variable(tmp_path: Path) -> None:
    with pytest.raises(
        SettingsError, match=r"TWILIO_API_SECRET_FILE names .*, which can't be read: no such file"
    ):
        load_settings({"TWILIO_API_SECRET_FILE": str(tmp_path / "absent")}, None)


def test_secret_given_in_two_ways_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="both set"):
        load_settings({"TWILIO_API_KEY": "SK" + "1" * 32, "TWILIO_API_KEY_FILE": str(tmp_path)}, None)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("TWILIO_ACCOUNT_SID", "AC123"),
        ("TWILIO_API_KEY", "AC" + "1" * 32),
        ("TWILIO_REGION", "ie1.twilio.com/"),
        ("OUTREACH_TWILIO_BASE_URL", "localhost:8080"),
        ("OUTREACH_TWILIO_BASE_URL", "http://[::1"),
        ("OUTREACH_ACCOUNT_INTERACTIONS_PER_S", "0"),
        ("OUTREACH_ACCOUNT_INTERACTIONS_PER_S", "nan"),
        ("OUTREACH_ACCOUNT_INTERACTIONS_PER_S", "twenty"),
        ("OUTREACH_REDIS_URL", "http://localhost"),
        ("OUTREACH_REDIS_URL", "unix://"),
        ("OUTREACH_HOME", __file__),
        ("OUTREACH_SETTLE_S", "5,2"),
        ("OUTREACH_SETTLE_S", "5"),
        ("OUTREACH_SETTLE_S", "2,,5"),
        ("OUTREACH_SETTLE_S", "2,inf"),
        ("OUTREACH_CAUTIOUS", "perhaps"),
        ("OUTREACH_WEBHOOK_URL", "outreach.example/twilio"),
        ("OUTREACH_WEBHOOK_URL", "https://ann:secret@outreach.example/"),
        ("OUTREACH_WEBHOOK_URL", "https://outreach.example/#twilio"),
        ("OUTREACH_WEBHOOK_KEYS", "key-1"),
        ("OUTREACH_WEBHOOK_KEYS", "key-1=,"),
        ("OUTREACH_CONCURRENCY", "0"),
        ("OUTREACH_CONCURRENCY", "1.5"),
        ("OUTREACH_LOG_LEVEL", "loud"),
        ("OUTREACH_LOG_FORMAT", "xml"),
        ("SSL_CERT_FILE", "/nowhere/at/all.pem"),
        ("HTTPS_PROXY", "proxy:3128"),
    ],
)
def test_impossible_value_is_refused_by_name_with_what_to_write(name: str, text: str) -> None:
    with pytest.raises(SettingsError) as refused:
        load_settings({name: text}, None)

    assert refused.value.sentence.startswith(name)
    assert refused.value.advice.startswith("Write ")
    assert refused.value.exit_code == 2


def test_secrets_show_neither_in_errors_nor_in_the_representation() -> None:
    with pytest.raises(SettingsError) as refused:
        load_settings({"OUTREACH_REDIS_URL": "http://:hush@localhost"}, None)
    settings = load_settings(ACCOUNT | {"OUTREACH_REDIS_URL": "redis://:hush@localhost"}, None)

    assert "hush" not in str(refused.value)
    assert "hush" not in repr(settings)
    assert "a-token" not in repr(settings)


def test_shared_keys_of_webhooks_are_told_apart_and_secret() -> None:
    settings = load_settings({"OUTREACH_WEBHOOK_KEYS": "key-1=hush=, key-2=quiet"}, None)

    assert settings.webhook_secrets == {"key-1": "hush=", "key-2": "quiet"}
    assert "hush" not in repr(settings)


def test_address_of_webhooks_is_kept_to_the_letter() -> None:
    url = "https://outreach.example/twilio/?a=1"

    assert load_settings({"OUTREACH_WEBHOOK_URL": url}, None).webhook_url == url


def test_api_key_stands_for_the_account() -> None:
    settings = load_settings({"TWILIO_API_KEY": "SK" + "2" * 32, "TWILIO_API_SECRET": "s"}, None)

    assert settings.has_credentials
    assert settings.account == "SK" + "2" * 32


def test_account_tag_tells_a_simulator_from_twilio() -> None:
    real = load_settings(ACCOUNT, None)
    simulated = load_settings(ACCOUNT | {"OUTREACH_TWILIO_BASE_URL": "http://127.0.0.1:1/"}, None)

    assert len(real.account_tag) == 8
    assert real.account_tag != simulated.account_tag
    assert simulated.base_url == "http://127.0.0.1:1"


@pytest.mark.parametrize(
    ("environ", "missing"),
    [
        ({}, "no credentials"),
        ({"TWILIO_ACCOUNT_SID": "AC" + "1" * 32}, "TWILIO_AUTH_TOKEN is not set"),
        ({"TWILIO_API_KEY": "SK" + "1" * 32}, "TWILIO_API_SECRET is not set"),
    ],
)
def test_missing_credentials_are_named(environ: dict[str, str], missing: str) -> None:
    with pytest.raises(SettingsError, match=missing):
        load_settings(environ, None).require_credentials()


def test_lower_case_proxy_goes_first_as_in_curl() -> None:
    settings = load_settings(
        {"HTTPS_PROXY": "http://upper:1", "https_proxy": "http://lower:1", "no_proxy": "a,b"}, None
    )

    assert settings.https_proxy is not None
    assert settings.https_proxy.get_secret_value() == "http://lower:1"
    assert settings.no_proxy == "a,b"


def test_misspelt_setting_is_noticed() -> None:
    settings = load_settings({"OUTREACH_CONCURENCY": "3", "OUTREACH_HOME_FILE": ""}, None)

    assert settings.unknown_names == ("OUTREACH_CONCURENCY",)


def test_example_file_names_every_setting_and_is_up_to_date() -> None:
    written = (Path(__file__).parents[2] / ".env.example").read_text(encoding="utf-8")

    assert all(f"# {setting.name}=" in written for setting in describe_settings())
    assert written == example_env(), (
        "write it again: python -c 'from worker.settings import example_env; print(example_env(), end=str())' > .env.example"
    )


def test_home_is_made_for_its_owner_only(tmp_path: Path) -> None:
    home = make_home(tmp_path / "deep" / "home")

    assert home.stat().st_mode & 0o777 == 0o700


def test_home_that_is_there_keeps_its_rights(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)

    make_home(tmp_path)

    assert tmp_path.stat().st_mode & 0o777 == 0o755


def test_home_that_cannot_be_made_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(SettingsError, match=r"can't be created: not a directory\. Write a folder"):
        make_home(tmp_path / "file" / "home")
