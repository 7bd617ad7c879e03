"""Settings: read from the environment and from a file, refused where they are wrong, masked where they are secret."""

import pytest

from infra.settings import BadSetting, Settings, load, masked


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
        ({"POSTCOMMIT_PORT": "eighty"}, "The setting port should be a int, and it is 'eighty'."),
        ({"POSTCOMMIT_PORT": "65536"}, "The setting port should be from 0 to 65535, and it is 65536."),
        ({"POSTCOMMIT_PORT": "-1"}, "The setting port should be from 0 to 65535, and it is -1."),
        ({"POSTCOMMIT_LOG_LEVEL": "loud"}, "The setting log_level should be one of .*, and it is 'loud'."),
        ({"POSTCOMMIT_CONFIG": "/does/not/exist"}, "cannot be read"),
        ({"POSTCOMMIT_NOPE": "1", "POSTCOMMIT_ODD": "1"}, "unknown settings: POSTCOMMIT_NOPE, POSTCOMMIT_ODD."),
        (
            {"POSTCOMMIT_NATS": "garbage"},
            "nats should begin with nats:// or tls:// and name a host, and it is 'garbage'.",
        ),
        ({"POSTCOMMIT_NATS": "http://n:4222"}, "and it is 'http://n:4222'."),
        ({"POSTCOMMIT_NATS": "nats://"}, "and it is 'nats://'."),
        ({"POSTCOMMIT_NATS": "nats://n:99999"}, "and it is 'nats://n:99999'."),
        ({"POSTCOMMIT_SMTP": "mailhost:25"}, "The setting smtp should begin with smtp:// or smtps://"),
        ({"POSTCOMMIT_POSTGRES": "postgresql:///x"}, "and it is 'postgresql:///x'."),
        ({"POSTCOMMIT_POSTGRES": "postgresql://me:hun/ter2@db/x"}, r"and it is 'postgresql://me:\*\*\*@db/x'."),
        ({"POSTCOMMIT_POSTGRES": "me:hunter2@db/x"}, r"and it is 'me:\*\*\*@db/x'."),
        ({"POSTCOMMIT_POSTGRES": "host=db password=hunter2"}, r"and it is 'host=db password=\*\*\*'."),
        ({"POSTCOMMIT_POSTGRES_OWNER": "garbage"}, "The setting postgres_owner should begin"),
    ],
)
def test_a_wrong_setting_is_refused_with_its_value(environ, words):
    with pytest.raises(BadSetting, match=words):
        load(environ)


@pytest.mark.parametrize(
    "environ",
    [
        {"POSTCOMMIT_NATS": "tls://me:hunter2@n"},
        {"POSTCOMMIT_POSTGRES": "postgres://me@/x?host=/run/postgresql"},
        {"POSTCOMMIT_POSTGRES_OWNER": ""},
        {"POSTCOMMIT_PORT": "0"},
        {"POSTCOMMIT_TEST_SEED": "1", "PATH": "/bin", "POSTCOMMITTED": "1"},
    ],
)
def test_what_can_be_used_is_taken(environ):
    load(environ)


@pytest.mark.parametrize(("line", "word"), [(b"prot = 1", "prot"), (b"port = inf", "inf"), (b"\xff", "cannot be read")])
def test_what_is_wrong_in_the_file_is_refused(tmp_path, line, word):
    file = tmp_path / "settings.toml"
    file.write_bytes(line)
    with pytest.raises(BadSetting, match=word):
        load({"POSTCOMMIT_CONFIG": str(file)})


def test_passwords_are_masked():
    shown = masked(
        Settings(postgres="postgresql://me:hunter2@db/x", nats="nats://me:hunter2@n", smtp="smtp://a:hunter2@m")
    )
    assert "hunter2" not in str(shown)
    assert shown["postgres"] == "postgresql://me:***@db/x"
