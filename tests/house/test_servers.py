"""Do the tests choose their servers as they say?"""

import socket
from pathlib import Path

import pytest

from tests.servers import Choice, Elsewhere, choice, engine_answers

POSTGRES = {"POSTCOMMIT_TEST_POSTGRES": "postgresql://postgres:pw@db/postgres"}
NATS = {"POSTCOMMIT_TEST_NATS": "nats://{user}:pw-of-{user}@bells:4222"}


@pytest.mark.parametrize(
    ("environ", "engine", "chosen"),
    [
        ({}, False, Choice.EMBEDDED),
        ({}, True, Choice.CONTAINERS),
        ({"POSTCOMMIT_TEST_EMBEDDED": "1"}, True, Choice.EMBEDDED),
        (POSTGRES | NATS, False, Choice.NAMED),
        (POSTGRES | NATS, True, Choice.NAMED),
        (POSTGRES | NATS | {"POSTCOMMIT_TEST_EMBEDDED": "1"}, True, Choice.NAMED),
    ],
)
def test_named_servers_come_before_containers_and_these_before_the_embedded(environ, engine, chosen) -> None:
    assert choice(environ, lambda: engine) == chosen


@pytest.mark.parametrize(("environ", "missing"), [(POSTGRES, "POSTCOMMIT_TEST_NATS"), (NATS, *POSTGRES)])
def test_half_of_the_servers_is_refused(environ, missing) -> None:
    with pytest.raises(ValueError, match=f"then {missing} is needed, too"):
        choice(environ, lambda: True)


def test_no_engine_is_asked_where_it_makes_no_difference() -> None:
    def never() -> bool:
        raise AssertionError("It was asked.")

    assert choice(POSTGRES | NATS, never) == Choice.NAMED
    assert choice({"POSTCOMMIT_TEST_EMBEDDED": "1"}, never) == Choice.EMBEDDED


def test_a_command_without_its_engine_is_no_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not engine_answers({}, tmp_path / "docker.sock")
    with socket.socket(socket.AF_UNIX) as deaf:  # somebody listened there once
        deaf.bind(str(tmp_path / "docker.sock"))
    address = f"unix://{tmp_path}/docker.sock"
    monkeypatch.setenv("DOCKER_HOST", address)
    assert not engine_answers({"DOCKER_HOST": address})


def test_the_addresses_of_named_servers_are_told_by_role() -> None:
    servers = Elsewhere(*POSTGRES.values(), *NATS.values())
    assert servers.dsn("postgres", "postgres") == "postgresql://postgres:pw@db/postgres"
    assert servers.dsn("postcommit") == "postgresql://postcommit:secret-of-postcommit@db/postcommit"
    assert servers.nats_url("relay") == "nats://relay:pw-of-relay@bells:4222"
