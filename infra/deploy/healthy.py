"""Whether the API of this container can serve, as an exit code: the health check of the image."""

import sys
import urllib.request

from infra.settings import load

PATH = "/readyz"
PATIENCE_S = 2.0


def healthy(port: int) -> bool:
    """Whether it answers 200; `degraded` does, too."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{PATH}", timeout=PATIENCE_S) as answer:
            return bool(answer.status == 200)
    except OSError as error:  # also of an answer of 503
        print(f"The API is not ready: {error}.", file=sys.stderr)
        return False


if __name__ == "__main__":
    sys.exit(not healthy(load().port))
