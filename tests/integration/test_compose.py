"""Tell whether docker-compose.yml is valid, and its services' very commands carry a campaign, without Docker."""

import json
import re
import shutil
import signal
import socket
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import redis
import yaml
from free_port import free_port
from outreach_command import COMMAND, Outreach, wait_until

from worker.redis_binary import find_server

PROJECT = Path(__file__).resolve().parents[2]
COMPOSE = yaml.safe_load((PROJECT / "docker-compose.yml").read_text())
DOCKERFILE = (PROJECT / "ops" / "deploy" / "Dockerfile").read_text()
PASSWORD = "a-password"


def test_file_is_valid_by_the_compose_specification() -> None:
    schema = json.loads((PROJECT / "tests" / "data" / "compose-spec.json").read_text())

    jsonschema.Draft7Validator(schema).validate(COMPOSE)


def test_schema_refuses_what_is_wrong() -> None:
    schema = json.loads((PROJECT / "tests" / "data" / "compose-spec.json").read_text())
    wrong = {**COMPOSE, "services": {"redis": {"imagine": "redis"}}}

    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft7Validator(schema).validate(wrong)


def test_redis_keeps_every_change_and_forgets_nothing() -> None:
    words = COMPOSE["services"]["redis"]["command"]

    options = dict(zip(words[1::2], words[2::2], strict=True))

    assert words[0] == "redis-server"
    assert options == {
        "--appendonly": "yes",
        "--appendfsync": "always",
        "--save": "",
        "--maxmemory-policy": "noeviction",
        "--hash-max-listpack-value": "1024",
        "--requirepass": options["--requirepass"],
    }
    assert options["--requirepass"].startswith("${REDIS_PASSWORD:?")


def test_file_asks_for_no_variable_without_a_word_about_it() -> None:
    asked = set(re.findall(r"\$\{(\w+)", (PROJECT / "docker-compose.yml").read_text()))

    assert asked == {"REDIS_PASSWORD"}


def test_image_copies_what_is_there_and_runs_as_nobody_in_particular() -> None:
    copied = [
        word
        for line in re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, re.MULTILINE)
        for word in line.split()[:-1]
    ]

    assert copied
    assert all((PROJECT / path).exists() for path in copied)
    assert "--require-hashes -r requirements.txt" in DOCKERFILE
    assert "requirements-dev" not in DOCKERFILE
    assert DOCKERFILE.index("USER outreach") < DOCKERFILE.index("ENTRYPOINT")
    ignored = (PROJECT / ".dockerignore").read_text()
    assert all(f"!{path}\n" in ignored for path in copied)


def test_installed_package_carries_its_data_files(tmp_path: Path) -> None:
    source = tmp_path / "source"
    for name in ("campaigns", "worker", "ops"):
        shutil.copytree(PROJECT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(PROJECT / name, source / name)

    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "-q",
        "--no-deps",
        "--no-build-isolation",
        "-w",
        tmp_path,
        source,
    ]
    subprocess.run(command, check=True, capture_output=True)

    (wheel,) = tmp_path.glob("*.whl")
    packed = set(zipfile.ZipFile(wheel).namelist())
    data = {
        str(path.relative_to(source))
        for suffix in ("lua", "toml", "csv", "html")
        for name in ("campaigns", "worker", "ops")
        for path in (source / name).rglob(f"*.{suffix}")
    }
    assert len(data) > 20
    assert data <= packed


def test_services_commands_carry_a_campaign(tmp_path: Path) -> None:
    services = COMPOSE["services"]
    redis_port, twilio_port = free_port(), free_port()
    outreach = Outreach(tmp_path, f"http://127.0.0.1:{twilio_port}")
    outreach.write(5)
    outreach.environ |= _environment(services["worker"], redis_port)
    outreach.environ["OUTREACH_RESULTS_DIR"] = str(outreach.results)
    with ExitStack() as stack:
        stack.enter_context(
            _running(_redis_command(services["redis"], redis_port, tmp_path), outreach.environ)
        )
        _wait_for_redis(services["redis"], redis_port)
        arguments = _at(services["simulator"]["command"], twilio_port)
        stack.enter_context(_running([*COMMAND, *arguments], outreach.environ))
        wait_until(lambda: _listens(twilio_port))
        for name in ("worker", "beat"):
            stack.enter_context(_running([*COMMAND, *services[name]["command"]], outreach.environ))
        webhook_port = free_port()
        arguments = _at(services["webhooks"]["command"], webhook_port)
        hearing = outreach.environ | {"OUTREACH_WEBHOOK_URL": "https://outreach.example"}
        stack.enter_context(_running([*COMMAND, *arguments], hearing))
        for name in ("beat", "webhooks"):
            assert _environment(services[name], redis_port).items() <= outreach.environ.items()

        campaign_id = outreach("load", *outreach.files).stdout.strip()
        watched = outreach("watch", campaign_id)
        wait_until(lambda: outreach.json("schedule", "list")["beat"])
        wait_until(lambda: _listens(webhook_port))

    assert f"{campaign_id}: finished, 5 accepted" in watched.stdout


def _redis_command(service: dict[str, Any], port: int, folder: Path) -> list[str]:
    """Give the service's command, with what the container gives it: a program, a folder and a port of its own."""
    words = [_interpolate(word) for word in service["command"]]
    return [str(find_server()), *words[1:], "--dir", str(folder), "--port", str(port), "--bind", "127.0.0.1"]


def _environment(service: dict[str, Any], redis_port: int) -> dict[str, str]:
    environment = {name: _interpolate(value) for name, value in service["environment"].items()}
    url = environment["OUTREACH_REDIS_URL"]
    assert "@redis:6379/" in url
    return environment | {"OUTREACH_REDIS_URL": url.replace("@redis:6379/", f"@127.0.0.1:{redis_port}/")}


def _wait_for_redis(service: dict[str, Any], port: int) -> None:
    assert service["healthcheck"]["test"] == ["CMD", "redis-cli", "ping"]
    assert _interpolate(service["environment"]["REDISCLI_AUTH"]) == PASSWORD

    def answers() -> bool:
        try:
            with redis.Redis(port=port, password=PASSWORD) as client:
                return bool(client.ping())
        except redis.ConnectionError:
            return False

    wait_until(answers)
    with redis.Redis(port=port) as stranger, pytest.raises(redis.AuthenticationError):
        stranger.ping()


def _interpolate(text: str) -> str:
    return re.sub(r"\$\{REDIS_PASSWORD(:\?[^}]*)?\}", PASSWORD, text)


def _at(arguments: list[str], port: int) -> list[str]:
    """Give a service's arguments with this machine's own address and a free port in place of the container's."""
    assert arguments[-4:-1] == ["--host", "0.0.0.0", "--port"]
    return [*arguments[:-4], "--host", "127.0.0.1", "--port", str(port)]


@contextmanager
def _running(command: list[str], environ: dict[str, str]) -> Iterator[None]:
    process = subprocess.Popen(
        command, env=environ, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
