"""Makes paper. It stands alone: run in the sandbox, with what it reads in the folder that it is told of.

    python -I paper.py set <folder>      main.typ there becomes out.pdf here
    python -I paper.py bind <folder>     0.pdf, 1.pdf, … there become out.pdf here

Prints how many pages that has. The same input gives the same bytes."""

import sys
from pathlib import Path


def main(what: str, folder: str) -> None:
    given = Path(folder)
    pages = _set(given) if what == "set" else _bind(given)
    print(pages)


def _set(given: Path) -> int:
    import typst
    from pypdf import PdfReader

    typst.compile(str(given / "main.typ"), output="out.pdf", root=str(given), ignore_system_fonts=True)
    return len(PdfReader("out.pdf").pages)


def _bind(given: Path) -> int:
    from pypdf import PdfWriter

    writer = PdfWriter()
    for number in range(len(list(given.glob("*.pdf")))):
        writer.append(str(given / f"{number}.pdf"), import_outline=False)
    writer.metadata = {"/Producer": "postcommit"}
    writer.compress_identical_objects()
    writer.write("out.pdf")
    return len(writer.pages)


if __name__ == "__main__":
    main(*sys.argv[1:])
