"""The string under each option, taken from the source when somebody asks for it.

pydantic would collect it while the class is made (`use_attribute_docstrings`), but finds the source
by looking through every module that is loaded: 50 ms for each class, in every process that opens a
reader, for a text that only `readerd drivers` shows.
"""

import ast
import inspect
import textwrap
from typing import Any

from readerd.driver.contract import Options


def option_texts(options: type[Options]) -> dict[str, str]:
    """Each option's text in one line, in the order of the options; empty where none is told."""
    told: dict[str, str] = {}
    for cls in reversed(options.__mro__):
        if cls is not Options and issubclass(cls, Options):
            told.update(_under_each(cls))
    return {
        name: " ".join((field.description or told.get(name, "")).split())
        for name, field in options.model_fields.items()
    }


def option_schemas(options: type[Options]) -> dict[str, Any]:
    """Each option's JSON schema, its text as the description."""
    schemas: dict[str, Any] = options.model_json_schema()["properties"]
    texts = option_texts(options)
    return {name: {"description": texts[name], **schema} for name, schema in schemas.items()}


def _under_each(cls: type) -> dict[str, str]:
    """What stands under the attributes that this class itself annotates; nothing without source."""
    try:
        source = inspect.getsource(cls)
    except (OSError, TypeError):
        return {}
    found = {}
    [definition] = ast.parse(textwrap.dedent(source)).body
    body = definition.body if isinstance(definition, ast.ClassDef) else []
    for statement, below in zip(body, [*body[1:], None], strict=True):
        match statement, below:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(
                value=ast.Constant(value=str(t))
            ):
                found[name] = inspect.cleandoc(t)
            case ast.AnnAssign(target=ast.Name(id=name)), _:
                found[name] = ""  # told anew without a word: the text above it was of another
    return found
