"""Tell whether settings are read from where they should be, and refused in words."""

from pathlib import Path

import pytest

from worker.errors import SettingsError
from worker.settings import Setting, describe_settings, example_env, load_settings, make_home

ACCOUNT = {"TWILIO_ACCOUNT_SID": "AC" + "1" * 32, "TWILIO_AUTH_TOKEN": "a-token"}
CREDENTIALS = {
    "TWILIO_ACCOUNT_SID__ACME": "AC" + "2" * 32,
    "TWILIO_AUTH_TOKEN__ACME": "acme-token",
    "TWILIO_API_KEY__GLOBEX_UK": "SK" + "3" * 32,
    "TWILIO_API_SECRET__GLOBEX_UK": "globex-secret",
}
PROFILES = CREDENTIALS | {"OUTREACH_ACCOUNTS": "acme, globex-uk"}


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

    by_file = load_settings(CREDENTIALS | {f"{name}_FILE": str(secret)}, None)

    assert by_file == load_settings(CREDENTIALS | {name: example}, None)


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
        ("OUTREACH_ACCOUNTS", "Acme"),
        ("OUTREACH_ACCOUNTS", "acme,,globex"),
        ("OUTREACH_ACCOUNTS", "acme,acme"),
        ("OUTREACH_ACCOUNTS", "a" * 25),
        ("OUTREACH_ACCOUNTS", "file"),
        ("OUTREACH_ACCOUNTS", "acme,acme-file"),
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


def test_profile_has_settings_of_its_own(tmp_path: Path) -> None:
    secret = tmp_path / "token"
    secret.write_text("token-in-a-file\n")
    dotenv = tmp_path / ".env"
    dotenv.write_text("OUTREACH_WEBHOOK_KEYS__ACME=key-1=hush\nTWILIO_REGION__GLOBEX_UK=ie1\n")
    environ = ACCOUNT | PROFILES
    del environ["TWILIO_AUTH_TOKEN__ACME"]
    environ["TWILIO_AUTH_TOKEN__ACME_FILE"] = str(secret)
    environ["OUTREACH_REDIS_URL__ACME"] = "redis://127.0.0.1:2"
    environ["OUTREACH_ACCOUNT_INTERACTIONS_PER_S__GLOBEX_UK"] = "40"

    settings = load_settings(environ, dotenv)

    assert [one.profile for one in settings.accounts] == ["acme", "globex-uk"]
    acme, globex = settings.of("acme"), settings.of("globex-uk")
    assert (acme.account, acme.auth_token.get_secret_value()) == ("AC" + "2" * 32, "token-in-a-file")
    assert acme.webhook_secrets == {"key-1": "hush"}
    assert acme.redis_url is not None
    assert (globex.account, globex.region, globex.account_interactions_per_s) == ("SK" + "3" * 32, "ie1", 40)
    assert settings.of("").account == ACCOUNT["TWILIO_ACCOUNT_SID"]
    assert len({one.account_tag for one in settings.everyone()}) == 3
    assert settings.unknown_names == ()


def test_profile_has_of_the_main_account_where_things_are_and_nothing_that_is_its_own(tmp_path: Path) -> None:
    main = {
        "TWILIO_REGION": "ie1",
        "TWILIO_EDGE": "dublin",
        "OUTREACH_ACCOUNT_INTERACTIONS_PER_S": "40",
        "OUTREACH_WEBHOOK_KEYS": "key-1=hush",
        "OUTREACH_TWILIO_BASE_URL": "http://127.0.0.1:1",
        "OUTREACH_REDIS_URL": "redis://127.0.0.1:2",
        "OUTREACH_HOME": str(tmp_path),
        "OUTREACH_SETTLE_S": "1,2",
    }

    settings = load_settings(ACCOUNT | PROFILES | main, None)

    acme = settings.of("acme")
    handed_on = (acme.base_url, acme.redis_url, acme.home, acme.settle_s)
    assert handed_on == (settings.base_url, settings.redis_url, tmp_path, (1.0, 2.0))
    assert (acme.region, acme.edge, acme.account_interactions_per_s, acme.webhook_secrets) == ("", "", 20, {})


def test_main_account_without_credentials_is_not_served_beside_profiles() -> None:
    assert [one.profile for one in load_settings(PROFILES, None).everyone()] == ["acme", "globex-uk"]
    assert [one.profile for one in load_settings(ACCOUNT | PROFILES, None).everyone()] == [
        "",
        "acme",
        "globex-uk",
    ]
    assert [one.profile for one in load_settings({}, None).everyone()] == [""]


@pytest.mark.parametrize(
    ("environ", "advice"), [(PROFILES, "names acme, globex-uk;"), (ACCOUNT, "in OUTREACH_ACCOUNTS")]
)
def test_account_that_is_not_named_is_refused_with_those_there_are(
    environ: dict[str, str], advice: str
) -> None:
    with pytest.raises(SettingsError, match="There is no account `initech`") as refused:
        load_settings(environ, None).of("initech")

    assert advice in refused.value.advice


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"TWILIO_ACCOUNT_SID": "AC" + "2" * 32}, "`acme` is the same as the main one"),
        (
            {"TWILIO_API_KEY__GLOBEX_UK": "", "TWILIO_ACCOUNT_SID__GLOBEX_UK": "AC" + "2" * 32}
            | {"TWILIO_AUTH_TOKEN__GLOBEX_UK": "t"},
            "`globex-uk` is the same as `acme`",
        ),
        ({"TWILIO_AUTH_TOKEN__ACME": ""}, "TWILIO_AUTH_TOKEN__ACME is not set"),
        ({"TWILIO_API_SECRET__GLOBEX_UK": ""}, "TWILIO_API_SECRET__GLOBEX_UK is not set"),
        ({"OUTREACH_ACCOUNTS": "acme,initech"}, "no credentials of the account `initech`"),
        ({"TWILIO_ACCOUNT_SID__ACME": "AC12"}, "TWILIO_ACCOUNT_SID__ACME, now `AC12`, is not AC and 32"),
    ],
)
def test_accounts_that_cannot_be_served_are_refused(change: dict[str, str], said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        load_settings(ACCOUNT | PROFILES | change, None)


def test_same_account_at_a_simulator_of_its_own_is_another_one() -> None:
    other_place = {"OUTREACH_TWILIO_BASE_URL__ACME": "http://127.0.0.1:1"}
    same_sid = {"TWILIO_ACCOUNT_SID__ACME": ACCOUNT["TWILIO_ACCOUNT_SID"]}

    settings = load_settings(ACCOUNT | PROFILES | same_sid | other_place, None)

    assert settings.of("acme").account == settings.account
    assert settings.of("acme").account_tag != settings.account_tag


def test_setting_of_an_account_that_is_not_named_is_noticed() -> None:
    wrong = dict.fromkeys(("TWILIO_AUTH_TOKEN__INITECH", "TWILIO_EDGE__acme", "OUTREACH_HOME__ACME"), "x")

    settings = load_settings(
        PROFILES | wrong | {"TWILIO_REGION__ACME_FILE": "", "TWILIO_WHAT__EVER": "x"}, None
    )

    assert settings.unknown_names == tuple(sorted(wrong))


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
