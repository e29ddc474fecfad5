"""No file over 400 lines of at most 100 columns, no function over 40 lines."""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[2]
FILES = sorted(
    path.relative_to(ROOT)
    for folder in ("readerd", "drivers", "tests", "bench")
    for path in (ROOT / folder).rglob("*.py")
)
FILE_LINES = 400
COLUMNS = 100
FUNCTION_LINES = 40


def test_every_file_and_its_functions_stay_short() -> None:
    assert len(FILES) > 300
    texts = {str(file): (ROOT / file).read_text("utf-8") for file in FILES}
    assert {file: wrong for file, text in texts.items() if (wrong := too_long(text))} == {}


def test_the_measure_sees_what_is_too_long() -> None:
    assert too_long("a = 1\n" * FILE_LINES) == []
    assert too_long("a = 1\n" * (FILE_LINES + 1)) == ["401 lines"]
    assert too_long("# " + "µ" * (COLUMNS - 2)) == []
    assert too_long("# " + "µ" * (COLUMNS - 1)) == ["line 1: 101 columns"]
    body = "    a = 1\n"
    assert too_long("def f():\n" + body * (FUNCTION_LINES - 1)) == []
    assert too_long("class C:\n  async def f():\n" + body * FUNCTION_LINES) == ["f: 41 lines"]


def too_long(source: str) -> list[str]:
    """Everything in a source text that is longer than the house allows."""
    lines = source.splitlines()
    found = [f"{len(lines)} lines"] if len(lines) > FILE_LINES else []
    found += [
        f"line {number}: {len(line)} columns"
        for number, line in enumerate(lines, start=1)
        if len(line) > COLUMNS
    ]
    found += [
        f"{node.name}: {length} lines"
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        if (length := (node.end_lineno or node.lineno) - node.lineno + 1) > FUNCTION_LINES
    ]
    return found
