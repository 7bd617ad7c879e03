"""Does the program have everything that compose.yaml and the Dockerfile name? No Docker engine is asked."""

import importlib.util
import json
import os
import re
import subprocess
import sys
import tomllib
from dataclasses import fields
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from adapters.http.health import ready
from adapters.nats.names import addresses
from domain.access import Scope
from infra.accounts import rights
from infra.app import QUEUES
from infra.deploy import files, healthy
from infra.deploy.secrets import CHANGE, filled
from infra.embedded.binaries import nats_server
from infra.settings import Settings, load

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "infra/deploy"
COMPOSE = (ROOT / "compose.yaml").read_text()
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load(COMPOSE)["services"]
OURS = {name: service for name, service in SERVICES.items() if service["image"].startswith("postcommit:")}
DOCKERFILE = (DEPLOY / "Dockerfile").read_text()
EXAMPLE = (ROOT / ".env.example").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
IMAGES = {"postgres": "postgres:18", "mailpit": "axllent/mailpit:v1.27"} | dict.fromkeys(
    ("nats", "nats-1", "nats-2", "nats-3"), "nats:2.15-alpine"
)
VARIABLE = re.compile(r"\$\{(\w+)(?::([-?])([^}]*))?\}")


def variables(text: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in text.splitlines() if line and not line.startswith("#"))


def given(value: Any) -> str:
    """A text of compose.yaml as it is with the example's variables, filled in."""
    return VARIABLE.sub(lambda found: FILLED.get(found[1], found[3] if found[2] == "-" else ""), str(value))


FILLED = variables(filled(EXAMPLE))


# compose.yaml


def test_every_role_of_the_program_is_a_service_and_nothing_else_of_ours_is() -> None:
    assert set(OURS) == {"migrate", "keys", "api", "relay", "worker", "reader"}
    assert {name: service["image"] for name, service in SERVICES.items() if name not in OURS} == IMAGES
    assert {service["image"] for service in OURS.values()} == {f"postcommit:{PROJECT['project']['version']}"}


@pytest.mark.parametrize("name", OURS)
def test_every_command_exists(name: str) -> None:
    service = OURS[name]
    if shell := service.get("entrypoint"):
        [command] = re.findall(r"\| postcommit ([a-z ]+) --keep$", shell[-1])  # a key that was rotated stays so
        words = command.split()
    else:
        words = service["command"]
    told = subprocess.run([sys.executable, "-m", "infra.cli", *words, "--help"], capture_output=True, text=True)
    assert told.returncode == 0 and f"Usage: postcommit {' '.join(words)}" in told.stdout, told.stdout + told.stderr


@pytest.mark.parametrize("name", OURS)
def test_every_setting_is_taken(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    environ = {key: given(value) for key, value in OURS[name]["environment"].items()}
    settings = load(environ)
    assert capsys.readouterr().err == "", "there is no unknown setting"
    database = urlsplit(settings.postgres)
    assert (database.username, database.hostname, database.port) == ("postcommit", "postgres", 5432)
    if name not in ("migrate", "keys"):
        nodes = [urlsplit(one) for one in addresses(settings.nats)]
        assert [(node.username, node.hostname, node.port) for node in nodes] == [
            (name, host, 4222) for host in ("nats-1", "nats-2", "nats-3")
        ]
        assert {node.password for node in nodes} == {FILLED[files.password_of(name)]}


def test_the_keys_are_one_for_each_scope() -> None:
    assert set(json.loads(given(OURS["keys"]["environment"]["KEYS"]))) == set(Scope)


@pytest.mark.parametrize("name", SERVICES)
def test_no_service_may_more_than_it_needs(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True and service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in service and "/tmp" in service["tmpfs"]
    if name in OURS:
        assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", service["user"]) and f"\nUSER {service['user']}\n" in DOCKERFILE
    for port in service.get("ports", []):
        assert port.startswith("127.0.0.1:")


def test_steps_come_first() -> None:
    def needed(name: str) -> dict[str, str]:
        return {other: how["condition"] for other, how in SERVICES[name]["depends_on"].items()}

    done = "service_completed_successfully"
    assert needed("migrate") == {"postgres": "service_healthy"}
    assert needed("keys") == {"migrate": done} and needed("api") == {"keys": done}
    assert all(needed(role) == {"migrate": done} for role in ("relay", "worker", "reader"))


def test_ports_and_health_are_those_of_the_program() -> None:
    port = Settings().port
    assert given(OURS["api"]["ports"][0]) == f"127.0.0.1:8000:{port}"
    assert f"\nEXPOSE {port}\n" in DOCKERFILE
    assert healthy.PATH in ready.paths
    module = ["python", "-m", "infra.deploy.healthy"]
    assert OURS["api"]["healthcheck"]["test"] == ["CMD", *module]
    assert f"CMD {json.dumps(module)}\n" in DOCKERFILE
    for address in ("0.0.0.0:4222", "127.0.0.1:8222"):
        assert address in (DEPLOY / "nats.conf").read_text()
    assert SERVICES["nats"]["healthcheck"]["test"][-1] == "http://127.0.0.1:8222/healthz"


def test_a_container_has_the_time_to_stop_that_a_worker_takes() -> None:
    from infra.embedded.supervisor import RESERVE_S

    assert int(OURS["worker"]["stop_grace_period"].removesuffix("s")) > Settings().grace_s + RESERVE_S


def test_every_variable_has_a_default_or_stands_in_the_example_and_none_there_is_idle() -> None:
    named = {name: how for name, how, _ in VARIABLE.findall(COMPOSE)}
    needed = {name for name, how, _ in VARIABLE.findall(COMPOSE) if how != "-"}
    known = variables(EXAMPLE)
    assert needed <= set(known)
    assert set(known) - set(named) == {"COMPOSE_PROFILES"}
    demanded = {name for name, how, _ in VARIABLE.findall(COMPOSE) if how == "?"}
    assert demanded == {name for name, value in known.items() if value == CHANGE}, "without its secret nothing starts"


def test_the_profiles_are_one_server_or_three() -> None:
    profiles = {name: service["profiles"] for name, service in SERVICES.items() if "profiles" in service}
    assert profiles == {"nats": ["single"]} | {f"nats-{number}": ["cluster"] for number in (1, 2, 3)}
    assert SERVICES["nats"]["networks"]["default"]["aliases"] == ["nats-1", "nats-2", "nats-3"]
    assert variables(EXAMPLE)["COMPOSE_PROFILES"] == "single"


def test_every_file_and_volume_that_is_mounted_exists() -> None:
    volumes = set(yaml.safe_load(COMPOSE)["volumes"])
    for service in SERVICES.values():
        for source in (given(volume).split(":")[0] for volume in service.get("volumes", [])):
            assert (ROOT / source).is_file() if source.startswith("./") else source in volumes, source


@pytest.mark.parametrize("name", ["nats", "nats-1", "nats-2", "nats-3"])
def test_nats_takes_its_configuration_and_its_command_line(name: str, tmp_path: Path) -> None:
    service = SERVICES[name]
    assert set(service["environment"]) == {files.password_of(user) for user in rights(QUEUES)}
    environ = {key: given(value) for key, value in service["environment"].items()}
    command = [given(word).replace("/etc/nats/nats.conf", str(DEPLOY / "nats.conf")) for word in service["command"]]
    command = [word.replace("/data", str(tmp_path)) for word in command]
    told = subprocess.run(
        [nats_server(), *command, "-t"], env=os.environ | environ, capture_output=True, text=True, timeout=30
    )
    assert told.returncode == 0, told.stderr


# The files beside the Dockerfile.


@pytest.mark.parametrize("name", files.files())
def test_what_servers_of_ones_own_are_told_is_what_the_embedded_ones_are(name: str) -> None:
    assert (DEPLOY / name).read_text() == files.files()[name], "python -m infra.deploy.files writes it anew"


def test_every_secret_is_another_and_none_is_left_as_it_was() -> None:
    made = variables(filled(EXAMPLE))
    secrets = [made[name] for name, value in variables(EXAMPLE).items() if value == CHANGE]
    assert len(set(secrets)) == len(secrets) and all(re.fullmatch(r"s[0-9a-f]{48}", one) for one in secrets)


# The image.


def test_all_that_is_copied_into_the_image_exists_and_no_secret_does() -> None:
    copied = [
        source for line in re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.MULTILINE) for source in line.split()
    ]
    assert copied and all((ROOT / source).exists() for source in copied)
    kept = re.findall(r"^!(.+)$", (DEPLOY / "Dockerfile.dockerignore").read_text(), re.MULTILINE)
    assert {source.split("/")[0] for source in copied} == set(kept)
    assert not re.search(r"password|secret|token|change-me", DOCKERFILE, re.IGNORECASE)


def test_the_image_runs_this_program() -> None:
    assert set(re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)) == {"python:3.11-slim"}
    [entry] = json.loads(re.findall(r"^ENTRYPOINT (.+)$", DOCKERFILE, re.MULTILINE)[0])
    assert entry in PROJECT["project"]["scripts"]
    assert re.findall(r"^CMD (.+)$", DOCKERFILE, re.MULTILINE) == ['["api"]']
    settings = {f"POSTCOMMIT_{field.name.upper()}" for field in fields(Settings)}
    assert set(re.findall(r"POSTCOMMIT_\w+", DOCKERFILE)) <= settings
    for module in re.findall(r'"-m", "([\w.]+)"', DOCKERFILE):
        assert importlib.util.find_spec(module)


def test_the_image_installs_what_is_pinned_and_tested_and_nothing_for_development() -> None:
    assert "--require-hashes --only-binary :all:" in DOCKERFILE
    tested, installed = (_pins(path) for path in (ROOT / "requirements.lock", DEPLOY / "requirements.lock"))
    assert installed.items() <= tested.items(), "`make lock` renews both files"
    wanted = {_name(one) for one in PROJECT["project"]["dependencies"]} | {"setuptools"}
    assert wanted <= set(installed), "`make lock` renews both files"
    development = {_name(one) for one in PROJECT["project"]["optional-dependencies"]["dev"]} - wanted
    assert not (development - {"pyyaml"}) & set(installed)


def _pins(path: Path) -> dict[str, str]:
    """Of a lock file: each package with its version, and what it is for."""
    return dict(re.findall(r"^([a-z0-9._-]+)(?:\[[^]]*\])?==([^\\\n]+)", path.read_text(), re.MULTILINE))


def _name(requirement: str) -> str:
    return re.split(r"[\[<>=~ ]", requirement)[0].lower()
