"""Where everything is: in the home of a running `postcommit up`, or where the settings say."""

import json
from pathlib import Path
from typing import Any

from infra.settings import BadSetting, load


def run_of(home: Path) -> dict[str, Any]:
    """What run.json tells: addresses, keys, processes. Raises BadSetting where nothing runs there."""
    path = home / "run.json"
    try:
        found: dict[str, Any] = json.loads(path.read_text())
    except FileNotFoundError:
        raise BadSetting(f"Nothing runs on {home}: there is no {path}.") from None
    except OSError as error:
        raise BadSetting(f"The file {path} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise BadSetting(f"The file {path} is no JSON: {error}.") from error
    return found


def servers(home: Path | None) -> tuple[str, str]:
    """The addresses of Postgres and of NATS."""
    if home is None:
        settings = load()
        return settings.postgres, settings.nats
    run = run_of(home)
    return run["postgres"], run["nats"]


def files(home: Path | None) -> str:
    """The store of the files; empty where there is none."""
    return load().files if home is None else str(run_of(home).get("files", ""))


def owner(home: Path | None) -> str:
    """The address of Postgres for the schema's owner."""
    if home is None:
        settings = load()
        return settings.postgres_owner or settings.postgres
    return str(run_of(home)["postgres_owner"])


def api(home: Path | None) -> tuple[str, str]:
    """The address of the REST API, and a key: the operator's of the home, else that of the settings."""
    if home is None:
        settings = load()
        return settings.url, settings.key
    run = run_of(home)
    return run["http"], run["keys"]["operator"]
