"""README and docs as data: fenced blocks with what stands before them, sections, tables, links.

The marks in a page, all invisible when it is shown:

- a fence's second word is a file name (```` ```toml bench2.toml ````): the file is there for the
  commands that follow on the page; the second word of a json block is its payload model;
- `<!-- terminal NAME -->` before a console block: the command keeps running while the page goes on;
- `<!-- terminal NAME, output comes later -->`: only the first line of output is waited for, the
  rest is looked for when the terminal or the page ends;
- `<!-- exits N -->`: the last command of the block ends so; without it every command succeeds;
- `<!-- not run: REASON -->`: the reason is one of `NOT_RUN` and must be true of the block.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = tuple(
    path.relative_to(ROOT) for path in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
)

# The only reasons for a command that is shown and not run, and what then stands in its block.
NOT_RUN: Mapping[str, str] = {
    "needs an instrument": r"/dev/",
    "needs root": r"sudo ",
    "fetches and installs": r"make (demo|test)",
}

_FENCE = re.compile(r"^(?P<fence>`{3,})(?P<info>[^`]*)$")
_COMMENT = re.compile(r"<!-- (.+?) -->")


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block; `mark` is the comment in the line before it."""

    page: Path
    line: int
    language: str
    word: str
    mark: str
    text: str

    @property
    def where(self) -> str:
        return f"{self.page}:{self.line}"


def read(page: Path | str) -> str:
    return (ROOT / page).read_text("utf-8")


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page, in order."""
    found: list[Block] = []
    inside: list[str] | None = None
    language = word = mark = closing = ""
    start = 0
    for number, line in enumerate(read(page).splitlines(), start=1):
        fence = _FENCE.match(line)
        if inside is None and fence:
            language, _, word = fence["info"].strip().partition(" ")
            closing, start, inside = fence["fence"], number, []
        elif inside is not None and line == closing:
            found.append(Block(page, start, language, word, mark, "\n".join(inside) + "\n"))
            inside, mark = None, ""
        elif inside is not None:
            inside.append(line)
        elif line.strip():
            comment = _COMMENT.fullmatch(line.strip())
            mark = comment[1] if comment else ""
    if inside is not None:
        raise ValueError(f"{page}:{start}: this fence is not closed")
    return found


def sections(page: Path | str) -> dict[str, str]:
    """Text by heading, without the text of deeper headings that follow."""
    found: dict[str, str] = {}
    heading = ""
    fenced = False
    for line in read(page).splitlines():
        fenced ^= line.startswith("```")
        if line.startswith("#") and not fenced:
            heading = line.lstrip("#").strip()
        else:
            found[heading] = found.get(heading, "") + line + "\n"
    return found


def table(text: str) -> dict[str, list[str]]:
    """Rows of the tables in a text by their first cell, backticks taken off."""
    rows = [line for line in text.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in re.split(r"(?<!\\)\|", row)[1:-1]] for row in rows]
    return {row[0].strip("`"): row[1:] for row in cells if not set(row[0]) <= {"-", ":"}}


def prose(page: Path) -> str:
    """A page without its fenced blocks."""
    return re.sub(r"^(`{3,}).*?^\1$", "", read(page), flags=re.DOTALL | re.MULTILINE)
