"""Settings: read from the environment and from a file, refused where they are wrong, masked where they are secret."""

import pytest

from infra.settings import RANGES, BadSetting, Settings, load, mask, masked


def test_the_environment_comes_before_the_file(tmp_path):
    file = tmp_path / "settings.toml"
    file.write_text('port = 9000\nslots = 4\nqueues = ["email"]\n')

    settings = load({"POSTCOMMIT_CONFIG": str(file), "POSTCOMMIT_PORT": "9001"})

    assert (settings.port, settings.slots, settings.queues) == (9001, 4, ("email",))


def test_without_anything_the_defaults_hold():
    assert load({}) == Settings()


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        ({"POSTCOMMIT_PORT": "eighty"}, "The setting port should be a whole number, and it is 'eighty'."),
        ({"POSTCOMMIT_PORT": "65536"}, "The setting port should be from 0 to 65535, and it is 65536."),
        ({"POSTCOMMIT_PORT": "-1"}, "The setting port should be from 0 to 65535, and it is -1."),
        ({"POSTCOMMIT_LEASE_S": "long"}, "The setting lease_s should be a number, and it is 'long'."),
        ({"POSTCOMMIT_LEASE_S": "nan"}, "The setting lease_s should be from 1 to 86400, and it is nan."),
        ({"POSTCOMMIT_LEASE_S": "inf"}, "The setting lease_s should be from 1 to 86400, and it is inf."),
        ({"POSTCOMMIT_SLOTS": "0"}, "The setting slots should be from 1 to 10000, and it is 0."),
        ({"POSTCOMMIT_POOL": "0"}, "The setting pool should be from 1 to 1000, and it is 0."),
        ({"POSTCOMMIT_BACKLOG": "-1"}, "The setting backlog should be from 1 to 10000000, and it is -1."),
        ({"POSTCOMMIT_REFILL": "0"}, "The setting refill should be from 1 to 1000000000, and it is 0."),
        ({"POSTCOMMIT_GRACE_S": "-1"}, "The setting grace_s should be from 0 to 3600, and it is -1.0."),
        ({"POSTCOMMIT_UNHEARD_S": "0"}, "The setting unheard_s should be from 0.5 to 100, and it is 0.0."),
        ({"POSTCOMMIT_NATS_REPLICAS": "6"}, "The setting nats_replicas should be from 1 to 5, and it is 6."),
        ({"POSTCOMMIT_NATS_MAX_AGE_S": "nan"}, "The setting nats_max_age_s should be from 0 to .*, and it is nan."),
        ({"POSTCOMMIT_NATS_MAX_BYTES": "-1"}, "The setting nats_max_bytes should be from 0 to .*, and it is -1."),
        (
            {"POSTCOMMIT_HEARTBEAT_S": "6"},
            "heartbeat_s should be at most half of lease_s, which is 10.0, and it is 6.0.",
        ),
        (
            {"POSTCOMMIT_LEASE_S": "5", "POSTCOMMIT_HEARTBEAT_S": "3"},
            "heartbeat_s should be at most half of lease_s, which is 5.0, and it is 3.0.",
        ),
        ({"POSTCOMMIT_LOG_LEVEL": "loud"}, "The setting log_level should be one of .*, and it is 'loud'."),
        ({"POSTCOMMIT_CONFIG": "/does/not/exist"}, "cannot be read"),
        (
            {"POSTCOMMIT_NATS": "garbage"},
            "nats should begin with nats:// or tls:// and name a host, and it is 'garbage'.",
        ),
        ({"POSTCOMMIT_NATS": "http://n:4222"}, "and it is 'http://n:4222'."),
        ({"POSTCOMMIT_NATS": "nats://n:4222,http://m:4222"}, "and it is 'nats://n:4222,http://m:4222'."),
        ({"POSTCOMMIT_NATS": "nats://n:4222,"}, "and it is 'nats://n:4222,'."),
        (
            {"POSTCOMMIT_NATS": "nats://a:hunter2@n,nats://a:hunter3@m"},
            r"should be named with one user and password, and it is 'nats://a:\*\*\*@n,nats://a:\*\*\*@m'.",
        ),
        ({"POSTCOMMIT_NATS": "nats://"}, "and it is 'nats://'."),
        ({"POSTCOMMIT_NATS": "nats://n:99999"}, "and it is 'nats://n:99999'."),
        ({"POSTCOMMIT_SMTP": "mailhost:25"}, "The setting smtp should begin with smtp:// or smtps://"),
        ({"POSTCOMMIT_POSTGRES": "postgresql:///x"}, "and it is 'postgresql:///x'."),
        ({"POSTCOMMIT_POSTGRES": "postgresql://me:hun/ter2@db/x"}, r"and it is 'postgresql://me:\*\*\*@db/x'."),
        ({"POSTCOMMIT_POSTGRES": "me:hunter2@db/x"}, r"and it is 'me:\*\*\*@db/x'."),
        ({"POSTCOMMIT_POSTGRES": "host=db password=hunter2"}, r"and it is 'host=db password=\*\*\*'."),
        ({"POSTCOMMIT_URL": "ftp://api"}, "The setting url should begin with http:// or https:// and name a host"),
        (
            {"POSTCOMMIT_KEY": "a\nb"},
            "The setting key should be printable ASCII, as `postcommit keys create` tells it.",
        ),
        ({"POSTCOMMIT_POSTGRES_OWNER": "garbage"}, "The setting postgres_owner should begin"),
        (
            {"POSTCOMMIT_WEBHOOK_URL": "ftp://me:hunter2@shop/hook?token=hunter2"},
            r"The setting webhook_url cannot be 'ftp://me:\*\*\*@shop/hook\?\*\*\*': Its scheme is 'ftp'",
        ),
    ],
)
def test_a_wrong_setting_is_refused_with_its_value(environ, words):
    with pytest.raises(BadSetting, match=words):
        load(environ)


@pytest.mark.parametrize(
    "environ",
    [
        {"POSTCOMMIT_NATS": "tls://me:hunter2@n"},
        {"POSTCOMMIT_NATS": "nats://me:hunter2@n:4222, nats://me:hunter2@m:4222"},
        {"POSTCOMMIT_POSTGRES": "postgres://me@/x?host=/run/postgresql"},
        {"POSTCOMMIT_POSTGRES_OWNER": ""},
        {"POSTCOMMIT_PORT": "0"},
        {"POSTCOMMIT_LEASE_S": "6"},
        {"POSTCOMMIT_NATS_MAX_BYTES": "0", "POSTCOMMIT_NATS_MAX_AGE_S": "0", "POSTCOMMIT_GRACE_S": "0"},
        {"POSTCOMMIT_TEST_SEED": "1", "PATH": "/bin", "POSTCOMMITTED": "1"},
    ],
)
def test_what_can_be_used_is_taken(environ):
    load(environ)


@pytest.mark.parametrize(
    ("line", "word"),
    [
        (b"prot = 1", "prot"),
        (b"port = inf", "inf"),
        (b"slots = 4.7", "slots should be a whole number, and it is 4.7."),
        (b"pool = true", "pool should be a whole number, and it is True."),
        (b"queues = 5", "queues should be a list, and it is 5."),
        (b"\xff", "cannot be read"),
    ],
)
def test_what_is_wrong_in_the_file_is_refused(tmp_path, line, word):
    file = tmp_path / "settings.toml"
    file.write_bytes(line)
    with pytest.raises(BadSetting, match=word):
        load({"POSTCOMMIT_CONFIG": str(file)})


def test_every_number_has_its_range():
    numbers = {name for name in Settings.__dataclass_fields__ if type(getattr(Settings(), name)) in (int, float)}
    assert set(RANGES) == numbers


def test_passwords_are_masked():
    shown = masked(
        Settings(
            postgres="postgresql://me:hunter2@db/x",
            nats="nats://me:hunter2@n",
            smtp="smtp://a:hunter2@m",
            key="hunter3",
        )
    )
    assert "hunter2" not in str(shown) and "hunter3" not in str(shown)
    assert shown["postgres"] == "postgresql://me:***@db/x"


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("nats://a:hunter2@n,nats://a:hunter2@m:4", "nats://a:***@n,nats://a:***@m:4"),
        ("nats://a:hunter,nats://2@n", "nats://a:***@n"),
        ("nats://a:hun,ter2@n", "nats://a:***@n"),
    ],
)
def test_passwords_of_several_servers_are_masked(address, shown):
    assert mask(address) == shown


@pytest.mark.parametrize(("lease_s", "heartbeat_s"), [("1", 0.5), ("2", 0.6), ("10", 3.0), ("60", 3.0)])
def test_the_heartbeat_goes_with_the_lease_where_nothing_else_is_said(lease_s, heartbeat_s):
    assert load({"POSTCOMMIT_LEASE_S": lease_s}).heartbeat_s == pytest.approx(heartbeat_s)


def test_unknown_variables_are_told_and_change_nothing(capsys):
    assert load({"POSTCOMMIT_NOPE": "1", "POSTCOMMIT_ODD": "1"}) == load({})
    assert "which change nothing: POSTCOMMIT_NOPE, POSTCOMMIT_ODD." in capsys.readouterr().err


def test_the_token_of_a_webhook_is_not_shown():
    shown = masked(Settings(webhook_url="https://shop.example/hook?token=hunter2"))
    assert shown["webhook_url"] == "https://shop.example/hook?***"
