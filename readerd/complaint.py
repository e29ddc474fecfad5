"""What pydantic complains of, in the words of people: what would be right, not which rule broke."""

from collections.abc import Mapping
from typing import Any, Final

# Every pattern of our models, and what it lets through. A test walks the models and knows them all.
PATTERNS: Final = {
    r"^[a-z0-9-]{1,32}$": "1 to 32 of a-z, 0-9 and -",
    r"^[\x21-\x7e]{1,64}$": "1 to 64 printable characters without blanks",
    r"^[a-z0-9][a-z0-9._-]{0,63}$": "1 to 64 of a-z, 0-9, '.', '_' and -, a letter or digit first",
}
_TIME: Final = "a time with its offset, such as 2026-03-04T09:15:00+01:00"
_WANTED: Final = {
    "extra_forbidden": "unknown key",
    "missing": "is missing",
    "string_type": "must be text",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "finite_number": "must be a finite number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "list_type": "must be a list",
    "tuple_type": "must be a list",
    "dict_type": "must be a table of names and values",
    "model_type": "must be a table of names and values",
    "model_attributes_type": "must be a table of names and values",
    "datetime_type": f"must be {_TIME}",
    "datetime_parsing": f"must be {_TIME}",
    "datetime_from_date_parsing": f"must be {_TIME}",
    "timezone_aware": f"must be {_TIME}",
}
# Complaints that carry a bound: its name in pydantic's context, and the words around it.
_BOUNDS: Final = {
    "greater_than_equal": ("ge", "must be at least {}"),
    "greater_than": ("gt", "must be more than {}"),
    "less_than_equal": ("le", "must be at most {}"),
    "less_than": ("lt", "must be less than {}"),
    "string_too_short": ("min_length", "must have at least {} character(s)"),
    "string_too_long": ("max_length", "must have at most {} characters"),
    "too_short": ("min_length", "must have at least {} entries"),
    "too_long": ("max_length", "must have at most {} entries"),
    "json_invalid": ("error", "is no JSON: {}"),
    "value_error": ("error", "{}"),
}


def in_words(error: Mapping[str, Any]) -> str:
    """One of `ValidationError.errors()` as a line that says what would be right."""
    kind, given = str(error["type"]), error.get("ctx", {})
    if kind in _WANTED:
        return _WANTED[kind]
    if kind in _BOUNDS:
        name, words = _BOUNDS[kind]
        return words.format(given[name])
    if kind == "string_pattern_mismatch":
        pattern = str(given["pattern"])
        return f"must be {PATTERNS[pattern]}" if pattern in PATTERNS else f"must match {pattern}"
    text = str(error["msg"]).replace("Input should be ", "must be ", 1)
    return text[:1].lower() + text[1:]
