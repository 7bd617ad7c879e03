"""Does a program live on that cannot write its log?"""

import subprocess
import sys
from pathlib import Path

SCRIPT = """
import sys, structlog
from infra.embedded.supervisor import _say
from infra.roles.role import log_to_stderr
log_to_stderr("info")
for number in range(1_000):
    _say(f"line {number}")
    structlog.get_logger().info("line", number=number, much="x" * 100)
print("alive")
"""


def test_a_full_disk_ends_nobody_who_has_something_to_say() -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT], stdout=subprocess.PIPE, stderr=full, text=True, timeout=60
        )
    assert done.stdout == "alive\n"
