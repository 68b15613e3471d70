"""Read every setting, from the environment, `.env` or a mounted secret; nothing else reads them."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from io import StringIO
from pathlib import Path
from typing import Any, Literal

import platformdirs
from dotenv.parser import parse_stream

from worker import setting_values as values
from worker.errors import SettingsError
from worker.setting_values import SecretStr

LogFormat = Literal["console", "json"]
NO_SECRET = SecretStr("")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Hold the settings of this process; what each one means is in `describe_settings`.

    `accounts`: the profiles of further accounts, each a whole `Settings`; `profile`: its name, empty for the main account.
    """

    profile: str = ""
    account_sid: str = ""
    auth_token: SecretStr = NO_SECRET
    api_key: str = ""
    api_secret: SecretStr = NO_SECRET
    region: str = ""
    edge: str = ""
    twilio_base_url: str = ""
    account_interactions_per_s: float = 20.0
    redis_url: SecretStr | None = None
    home: Path
    results_dir: Path | None = None
    settle_s: tuple[float, ...] = (2.0, 5.0, 15.0, 45.0)
    cautious: bool = False
    webhook_url: str = ""
    webhook_keys: SecretStr = NO_SECRET
    concurrency: int | None = None
    log_level: str = "INFO"
    log_format: LogFormat = "console"
    ssl_cert_file: Path | None = None
    https_proxy: SecretStr | None = None
    no_proxy: str = ""
    unknown_names: tuple[str, ...] = ()
    accounts: "tuple[Settings, ...]" = ()

    def of(self, profile: str) -> "Settings":
        """Give the settings of an account by its profile's name; the main one's is empty.

        Raises: SettingsError where there is none of this name.
        """
        found = next((each for each in (self, *self.accounts) if each.profile == profile), None)
        if found is not None:
            return found
        names = ", ".join(each.profile for each in self.accounts)
        raise SettingsError(
            f"There is no account `{profile}` in the settings.",
            f"OUTREACH_ACCOUNTS names {names}; no name means the main account."
            if names
            else "Name it in OUTREACH_ACCOUNTS, and set its credentials.",
        )

    def everyone(self) -> "tuple[Settings, ...]":
        """List the accounts to serve: the main one, where it has credentials or is the only one, and the profiles."""
        return (self, *self.accounts) if self.has_credentials or not self.accounts else self.accounts

    def variable(self, name: str) -> str:
        """Name this account's variable of a setting that each account has for itself."""
        return f"{name}{_ending(self.profile)}"

    @property
    def account(self) -> str:
        """Name the account, or the API key that stands for it; empty without credentials."""
        return self.account_sid or self.api_key

    @property
    def base_url(self) -> str:
        """Give the base URL of a simulator or proxy; empty means Twilio itself."""
        return self.twilio_base_url

    @property
    def account_tag(self) -> str:
        """Give the 8 hex digits that join one account's keys in Redis, and keep a simulator's apart."""
        return hashlib.sha256(f"{self.account}|{self.base_url}".encode()).hexdigest()[:8]

    @property
    def has_credentials(self) -> bool:
        """Tell whether Twilio can be asked at all."""
        by_token = bool(self.account_sid and self.auth_token.get_secret_value())
        return by_token or bool(self.api_key and self.api_secret.get_secret_value())

    @property
    def results_dir_or_default(self) -> Path:
        """Give the folder of the results files for a command; workers write only where it is set."""
        return self.results_dir or Path("results").resolve()

    @property
    def webhook_secrets(self) -> dict[str, str]:
        """Give the shared keys that Twilio signs webhooks with, by their ids."""
        return values.read_pairs(self.webhook_keys.get_secret_value())

    def require_credentials(self) -> None:
        """Raise SettingsError, saying which half is missing, unless Twilio can be asked."""
        if self.has_credentials:
            return
        missing = "TWILIO_AUTH_TOKEN" if self.account_sid and not self.api_key else ""
        missing = missing or ("TWILIO_API_SECRET" if self.api_key else "")
        whose = f" of the account `{self.profile}`" if self.profile else " for Twilio"
        what = f"{self.variable(missing)} is not set" if missing else f"There are no credentials{whose}"
        sid, token, key, secret = map(
            self.variable,
            ("TWILIO_ACCOUNT_SID", "TWILIO_AUTH_TOKEN", "TWILIO_API_KEY", "TWILIO_API_SECRET"),
        )
        raise SettingsError(
            f"{what}.",
            f"Set {sid} and {token}, or {key} and {secret}, in the environment or in .env; `outreach demo` needs none.",
        )


@dataclass(frozen=True, slots=True)
class Setting:
    """Describe one setting for people: its variable, meaning, default and an example.

    `of_account`: each profile of an account has its own; `is_handed_on`: where it has none, that of the main account.
    """

    name: str
    field: str
    meaning: str
    example: str
    read: Callable[[str], Any]
    default: str = ""
    is_secret: bool = False
    also: str = ""
    of_account: bool = False
    is_handed_on: bool = False


_MAX_FILE_BYTES = 65_536
_SID = "[0-9a-fA-F]{32}"
_REDIS = ("redis", "rediss", "unix")
_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")

_TABLE = (
    Setting("TWILIO_ACCOUNT_SID", "account_sid", "The account.", "AC" + "0" * 32, values.shaped("AC" + _SID, "AC and 32 hex digits"), of_account=True),
    Setting("TWILIO_AUTH_TOKEN", "auth_token", "Its token.", "…", SecretStr, is_secret=True, of_account=True),
    Setting("TWILIO_API_KEY", "api_key", "An API key, in place of the account's token.", "SK" + "0" * 32, values.shaped("SK" + _SID, "SK and 32 hex digits"), of_account=True),
    Setting("TWILIO_API_SECRET", "api_secret", "The API key's secret.", "…", SecretStr, is_secret=True, of_account=True),
    Setting("TWILIO_REGION", "region", "Twilio's region.", "ie1", values.shaped("[a-z0-9-]+", "a region like ie1"), "us1", of_account=True),
    Setting("TWILIO_EDGE", "edge", "Twilio's edge location.", "dublin", values.shaped("[a-z0-9-]+", "an edge like dublin"), "chosen by Twilio", of_account=True),
    Setting("OUTREACH_TWILIO_BASE_URL", "twilio_base_url", "A simulator or proxy in Twilio's place.", "http://127.0.0.1:8080", values.url("http", "https", example="http://127.0.0.1:8080"), "Twilio itself", of_account=True, is_handed_on=True),
    Setting("OUTREACH_ACCOUNT_INTERACTIONS_PER_S", "account_interactions_per_s", "Interactions a second that Twilio allows the account, over all campaigns and workers.", "20", values.number_per_s, "20", of_account=True),
    Setting("OUTREACH_REDIS_URL", "redis_url", "The Redis to keep campaigns in.", "redis://:password@127.0.0.1:6379/0", values.secret_url(*_REDIS, example="redis://127.0.0.1:6379/0"), "an embedded, durable one under OUTREACH_HOME", is_secret=True, of_account=True, is_handed_on=True),
    Setting("OUTREACH_ACCOUNTS", "accounts", "Further accounts, by names of your own with commas between; the settings of `acme` are TWILIO_ACCOUNT_SID__ACME and so on.", "acme,globex-uk", values.profile_names, "none"),
    Setting("OUTREACH_HOME", "home", "The folder of this installation's state.", "/var/lib/outreach", values.folder, "the platform's data directory"),
    Setting("OUTREACH_RESULTS_DIR", "results_dir", "The folder of the results files; a worker writes them only where it is set.", "results", values.folder, "./results"),
    Setting("OUTREACH_SETTLE_S", "settle_s", "When a row in doubt is looked up, in seconds after the doubt arose.", "2,5,15,45", values.settle_times_s, "2,5,15,45"),
    Setting("OUTREACH_CAUTIOUS", "cautious", "Whether each row is looked up at Twilio before anything is sent for it: yes or no. An older ledger brings this about by itself.", "yes", values.yes_or_no, "no"),
    Setting("OUTREACH_WEBHOOK_URL", "webhook_url", "Where Twilio finds `outreach webhooks serve`, as it is seen from outside.", "https://outreach.example/twilio", values.address_of_webhooks, "none: only polled"),
    Setting("OUTREACH_WEBHOOK_KEYS", "webhook_keys", "Shared keys of webhooks that Twilio signs with SHA-256, as id=secret, several with commas between; others are signed with the account's token.", "webhooks_sharedkey_1=…", values.secret_pairs, "none", is_secret=True, of_account=True),
    Setting("OUTREACH_CONCURRENCY", "concurrency", "How many rows a worker has in hand at once, and its Celery threads.", "64", values.thread_count, "what the pace asks for"),
    Setting("OUTREACH_LOG_LEVEL", "log_level", "The least of what is logged: DEBUG, INFO, WARNING or ERROR.", "INFO", values.one_of(*_LEVELS, fold=str.upper), "INFO"),
    Setting("OUTREACH_LOG_FORMAT", "log_format", "How logs are written: console or json.", "console", values.one_of("console", "json", fold=str.lower), "console"),
    Setting("SSL_CERT_FILE", "ssl_cert_file", "Certificate authorities to trust, as a PEM file.", "/etc/ssl/certs/ca-certificates.crt", values.existing_file, "those bundled with Python", also="ssl_cert_file"),
    Setting("HTTPS_PROXY", "https_proxy", "The proxy on the way to Twilio.", "http://proxy.example:3128", values.secret_url("http", "https", example="http://proxy.example:3128"), "none", is_secret=True, also="https_proxy"),
    Setting("NO_PROXY", "no_proxy", "Hosts to reach without the proxy.", "localhost,127.0.0.1", str, "none", also="no_proxy"),
)  # fmt: skip

_OWN_FIELDS = {row.field for row in _TABLE if row.of_account and not row.is_handed_on}
"""What a profile never has from the main account."""


def describe_settings() -> tuple[Setting, ...]:
    """List every setting, in the order of the reference."""
    return _TABLE


def example_env() -> str:
    """Write `.env.example`: every setting with its meaning, commented out."""
    head = (
        "# Copy to .env and fill in; the environment wins over this file. Each NAME also reads NAME_FILE.\n"
    )
    entries = (
        f"\n# {row.meaning}{f' Default: {row.default}.' if row.default else ''}\n# {row.name}={row.example}\n"
        for row in _TABLE
    )
    return head + "".join(entries)


def load_settings(environ: Mapping[str, str], dotenv: Path | None) -> Settings:
    """Read the settings from `environ`, then from the file `dotenv` where it exists.

    The environment wins over the file. An empty value is no value. In either place NAME_FILE is the path
    of a file that holds NAME's value, less its last line break.

    Raises: SettingsError, naming the variable, what is wrong with it and what to write.
    """
    sources = (environ, _read_dotenv(dotenv))
    fields = _read_all(_TABLE, sources)
    fields.setdefault("home", platformdirs.user_data_path("outreach", appauthor=False))
    names = fields.pop("accounts", ())
    unknown = tuple(name for source in sources for name in _unknown(source, names))
    main = Settings(**fields, unknown_names=unknown)
    shared = {name: value for name, value in fields.items() if name not in _OWN_FIELDS}
    accounts = tuple(
        Settings(**shared | _read_all(_settings_of(name), sources), profile=name) for name in names
    )
    _refuse_confusion((main, *accounts))
    return replace(main, accounts=accounts)


def make_home(home: Path) -> Path:
    """Create OUTREACH_HOME, readable by its owner only; a folder that is there already keeps its rights.

    Raises: SettingsError if it can't be created.
    """
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsError(
            f"OUTREACH_HOME, {home}, can't be created: {_reason(error)}.",
            "Write a folder that this user may create.",
        ) from error
    return home


def _ending(profile: str) -> str:
    """Give what a profile's variables end with: its name in capitals."""
    return f"__{profile.upper().replace('-', '_')}" if profile else ""


def _settings_of(profile: str) -> tuple[Setting, ...]:
    """List the settings of a profile, under the names of its variables."""
    end = _ending(profile)
    return tuple(replace(row, name=f"{row.name}{end}", also="") for row in _TABLE if row.of_account)


def _refuse_confusion(everyone: tuple[Settings, ...]) -> None:
    """Refuse a profile that can't be told from another account in Redis, or that is of no account at all."""
    seen: dict[str, str] = {}
    for one in everyone:
        if one.profile:
            one.require_credentials()
        if not one.account:
            continue
        other = seen.setdefault(one.account_tag, one.profile)
        if other != one.profile:
            raise SettingsError(
                f"The account `{one.profile}` is the same as {f'`{other}`' if other else 'the main one'}.",
                "Keep one of them, so that one pace and one do-not-contact list hold for it.",
            )


def _read_all(table: tuple[Setting, ...], sources: tuple[Mapping[str, str], ...]) -> dict[str, Any]:
    """Read what is set of a table's settings, by their fields; the first source that has one wins."""
    fields: dict[str, Any] = {}
    for setting in table:
        found = (_find(setting, source) for source in sources)
        text = next((text for text in found if text is not None), "")
        if text:
            fields[setting.field] = _read(setting, text)
    return fields


def _read(setting: Setting, text: str) -> Any:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise SettingsError(
            f"{setting.name} holds bytes that are not UTF-8.", "Write it again, as UTF-8."
        ) from None
    try:
        return setting.read(text)
    except values.UnusableError as error:
        shown = "" if setting.is_secret else f", now `{text}`,"
        raise SettingsError(f"{setting.name}{shown} {error.what}.", error.advice) from None


def _find(setting: Setting, source: Mapping[str, str]) -> str | None:
    # The lower-case spelling goes first, as it does in curl and in Python's own urllib.
    names = (setting.also, setting.name) if setting.also else (setting.name,)
    direct = next((source[name].strip() for name in names if name in source), None)
    path = source.get(f"{setting.name}_FILE", "").strip()
    if direct and path:
        raise SettingsError(
            f"{setting.name} and {setting.name}_FILE are both set.",
            "Keep one of them, so that it is clear which holds.",
        )
    return _read_secret(setting, Path(path)) if path else direct


def _read_secret(setting: Setting, path: Path) -> str:
    try:
        return _read_text(path.expanduser()).removesuffix("\n").removesuffix("\r")
    except (OSError, ValueError, RuntimeError) as error:
        raise SettingsError(
            f"{setting.name}_FILE names {path}, which can't be read: {_reason(error)}.",
            f"Write the path of a readable text file, or set {setting.name} itself.",
        ) from error


def _read_dotenv(dotenv: Path | None) -> dict[str, str]:
    # Not `dotenv_values`: it skips what it can't parse, and puts os.environ into `${…}`, so that a password with a dollar changes.
    if dotenv is None or not dotenv.exists():
        return {}
    try:
        bindings = list(parse_stream(StringIO(_read_text(dotenv))))
    except (OSError, ValueError) as error:
        raise SettingsError(
            f"{dotenv} can't be read: {_reason(error)}.", "Make it a readable UTF-8 file."
        ) from error
    for binding in bindings:
        if binding.error:
            raise SettingsError(
                f"{dotenv}, line {binding.original.line}, can't be understood.", "Write NAME=value."
            )
    return {binding.key: binding.value or "" for binding in bindings if binding.key}


def _read_text(path: Path) -> str:
    with path.open("rb") as stream:
        content = stream.read(_MAX_FILE_BYTES + 1)
    if len(content) > _MAX_FILE_BYTES:
        raise ValueError(f"it is larger than {_MAX_FILE_BYTES >> 10} KB")
    return content.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")


def _unknown(source: Mapping[str, str], profiles: tuple[str, ...]) -> tuple[str, ...]:
    tables = (_TABLE, *(_settings_of(profile) for profile in profiles))
    known = {name for table in tables for row in table for name in (row.name, f"{row.name}_FILE")}
    of_accounts = {row.name for row in _TABLE if row.of_account}
    return tuple(
        sorted(
            name
            for name in source
            if name not in known
            and (name.startswith("OUTREACH_") or ("__" in name and name.partition("__")[0] in of_accounts))
        )
    )


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return "it is not UTF-8 text" if isinstance(error, UnicodeError) else str(error)
