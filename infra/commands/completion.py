"""`postcommit completion`: what a shell needs to complete this program's commands and options."""

from typing import Literal

from cyclopts import App

Shell = Literal["bash", "zsh", "fish"]


def script(program: App, shell: Shell) -> str:
    return program.generate_completion(prog_name="postcommit", shell=shell)
