"""`python -m tests.bench.role worker`: a role of the program, which knows the bench's kind besides its own."""

import sys

from infra import app
from tests.bench.noop import KIND, noop

app.KINDS[KIND.name] = KIND
app.WORKERS = (*app.WORKERS, (KIND, lambda _: noop))

if __name__ == "__main__":
    from infra.cli import main

    sys.exit(main())
