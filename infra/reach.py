"""Where everything is: in the home of a running `postcommit up`, or where the settings say."""

import json
from pathlib import Path
from typing import Any

from infra.settings import BadSetting


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
