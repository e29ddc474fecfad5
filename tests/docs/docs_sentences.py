"""What the assay room can say of a plate, read from its sources: rule ids and sentences."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from tests.docs.docs_pages import ROOT

ASSAY = ROOT / "readerd" / "assay"
# Modules that speak of files, settings and formulas; what all others say travels with a result.
ELSEWHERE = ("acceptance", "definition", "layout", "settings", "models")
_TWO_WORDS = re.compile(r"[A-Za-z]{2,}\b.* [A-Za-z]{2,}")


def sentences() -> set[str]:
    """Strings of two words and more; `…` stands for what is filled in. No docstring, no error."""
    speaking = [path for path in ASSAY.rglob("*.py") if path.stem not in ELSEWHERE]
    found = (text for path in speaking for text in _texts(_tree(path)))
    return {text for text in found if _TWO_WORDS.search(text)}


def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"))


def _texts(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.FunctionDef) and any(isinstance(n, ast.Raise) for n in ast.walk(node)):
        return  # what it says becomes an error
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.JoinedStr):
        parts = (p.value if isinstance(p, ast.Constant) else "…" for p in node.values)
        yield "".join(map(str, parts))
    else:
        for child in ast.iter_child_nodes(node):
            if not (isinstance(child, ast.Expr) and isinstance(child.value, ast.Constant)):
                yield from _texts(child)


def rule_ids() -> set[str]:
    """The id of every rule that is made, also through a function of its module that makes rules.

    ValueError for one that cannot be seen: then it must become visible here.
    """
    return {one for path in ASSAY.rglob("*.py") for one in _ids_in(_tree(path))}


def _ids_in(module: ast.Module) -> set[str]:
    functions = [node for node in ast.walk(module) if isinstance(node, ast.FunctionDef)]
    parameters = {one.name: [argument.arg for argument in one.args.args] for one in functions}
    makers = {"Rule": "id"}
    ids: set[str] = set()
    while True:
        known = dict(makers)
        for function in functions:
            for call in (node for node in ast.walk(function) if isinstance(node, ast.Call)):
                maker = call.func.id if isinstance(call.func, ast.Name) else ""
                if maker not in known:
                    continue
                given = _argument(call, known[maker], parameters.get(maker, []))
                if isinstance(given, ast.Name) and given.id in parameters[function.name]:
                    makers[function.name] = given.id
                else:
                    ids.add(_constant(given, function))
        if known == makers:
            return ids


def _argument(call: ast.Call, name: str, order: list[str]) -> ast.expr:
    named = {keyword.arg: keyword.value for keyword in call.keywords}
    return named[name] if name in named else call.args[order.index(name)]


def _constant(given: ast.expr, function: ast.FunctionDef) -> str:
    """The string that stands there, or that the function assigns to the name first."""
    if isinstance(given, ast.Constant):
        return str(given.value)
    for node in ast.walk(function):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Tuple):
            values = getattr(node.value, "elts", ())
            pairs = zip(node.targets[0].elts, values, strict=False)
            for target, value in pairs:
                if ast.unparse(target) == ast.unparse(given) and isinstance(value, ast.Constant):
                    return str(value.value)
    raise ValueError(f"{function.name}: which rule is {ast.unparse(given)}?")
