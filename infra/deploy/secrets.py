"""Fills an example of an environment with secrets of its own: python -m infra.deploy.secrets < .env.example > .env"""

import secrets
import sys

CHANGE = "change-me"  # what stands in the example where a secret belongs


def filled(example: str) -> str:
    """The example with chance in place of each secret: letters and digits only, and a letter first, so that it can
    stand in an address and in nats.conf."""
    head, *rest = example.split(CHANGE)
    return head + "".join(f"s{secrets.token_hex(24)}{part}" for part in rest)


if __name__ == "__main__":
    sys.stdout.write(filled(sys.stdin.read()))
