"""`postcommit readers`: what is folded out of the log, on Postgres itself."""

import asyncio
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from infra.commands.options import Home, Json

if TYPE_CHECKING:
    from infra.rebuild import Verdict

app = App(name="readers", help="Readers: listed, or folded anew out of the log. Works on Postgres.")


@app.command(name="list")
def list_readers(*, as_json: Json = False, home: Home = None) -> int:
    """List the readers: how far each is in the log, how far behind, and how many rows it has written."""
    from infra.commands import show
    from infra.reach import servers
    from infra.readers import listed

    rows = asyncio.run(listed(servers(home)[0]))
    if as_json:
        show.document({"items": rows})
        return 0
    columns = ("name", "position", "behind", "behind_s", "rows")
    show.table(columns, ([row[name] for name in columns] for row in rows))
    return 0


@app.command
def rebuild(
    name: str,
    /,
    *,
    dry_run: Annotated[bool, Parameter(negative="", show_default=False)] = False,
    as_json: Json = False,
    home: Home = None,
) -> int:
    """Fold the log anew beside a reader's rows, tell which differ, and mend those. Needs POSTCOMMIT_POSTGRES_OWNER.
    Exit code 0 where none differed, 1 where some did.

    Parameters
    ----------
    name
        audit, balance, analytics or files.
    dry_run
        Only compare; this needs no owner.
    """
    from infra.commands import show
    from infra.reach import owner, servers
    from infra.readers import rebuild

    with show.bars("{task.description}", "{task.completed:,.0f} of {task.total:,.0f}") as bars:
        bar = bars.add_task(name, total=1) if bars is not None else None

        def told(position: int, end: int) -> None:
            if bars is not None and bar is not None:
                bars.update(bar, completed=position, total=end)

        verdict = asyncio.run(rebuild(name, servers(home)[0], None if dry_run else owner(home), told, show.say))
    _tell(verdict, as_json)
    return 1 if verdict.differences else 0


def _tell(verdict: "Verdict", as_json: bool) -> None:
    from dataclasses import asdict

    from infra.commands import show

    if as_json:
        show.document(asdict(verdict))
    else:
        for difference in verdict.named:
            print(difference)
        if verdict.differences > len(verdict.named):
            print(f"and {verdict.differences - len(verdict.named):,} others")
    number = f"{verdict.differences:,} rows differed" if verdict.differences != 1 else "1 row differed"
    ending = ", and mended" if verdict.mended else ""
    show.say(
        f"The reader {verdict.reader} at position {verdict.position:,}: {number} from the fold of the log{ending}."
    )
