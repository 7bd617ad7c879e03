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
        ({"POSTCOMMIT_CONFIG": "/does/not/exist"}, "cannot be read"),
    ],
)
def test_a_wrong_setting_is_refused_with_its_value(environ, words):
    with pytest.raises(BadSetting, match=words):
        load(environ)


def test_an_unknown_setting_in_the_file_is_refused(tmp_path):
    file = tmp_path / "settings.toml"
    file.write_text("prot = 1\n")
    with pytest.raises(BadSetting, match="prot"):
        load({"POSTCOMMIT_CONFIG": str(file)})


def test_passwords_are_masked():
    shown = masked(
        Settings(postgres="postgresql://me:hunter2@db/x", nats="nats://me:hunter2@n", smtp="smtp://a:hunter2@m")
    )
    assert "hunter2" not in str(shown)
    assert shown["postgres"] == "postgresql://me:***@db/x"
