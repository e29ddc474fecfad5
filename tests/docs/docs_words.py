"""How the reference writes a default."""

from pydantic import BaseModel
from pydantic.fields import FieldInfo


def default_of(field: FieldInfo) -> str:
    """The default of a settings field, as a cell of a table."""
    if field.is_required():
        return "required"
    return written(field.get_default(call_default_factory=True))


def written(value: object) -> str:
    """A value as TOML has it, in backticks."""
    return "absent" if value is None else f"`{_toml(value)}`"


def _toml(value: object) -> str:
    if isinstance(value, BaseModel):
        value = dict(value)
    if isinstance(value, dict):
        inside = ", ".join(f"{name} = {_toml(item)}" for name, item in value.items())
        return f"{{ {inside} }}" if inside else "{}"
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else repr(value)
