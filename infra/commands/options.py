"""Options that many commands have."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

Json = Annotated[bool, Parameter(name="--json", negative="", show_default=False, help="JSON on stdout, for programs.")]
Home = Annotated[
    Path | None,
    Parameter(help="The directory of a running `postcommit up`; without it the settings say where everything is."),
]
