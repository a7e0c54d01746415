"""Writes `docs/settings.md` from `app/settings.py`: `python docs/make_settings.py`. A test compares the two."""

import json
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic.fields import FieldInfo

from app.settings import Settings

PAGE = Path(__file__).with_name("settings.md")
HEAD = """\
# Settings

Made from `app/settings.py` by `docs/make_settings.py`; change it there.

Every setting is an environment variable, or a line of `.env` in the folder where the application starts; the
environment wins. `DATABASE_URL`, `SECRET_KEY`, `SECRET_KEYS_ACCEPTED`, `PEPPER`, `FIELD_KEYS`, `SMTP_URL` and
`REDIS_URL` can also stand in a file that `DATABASE_URL_FILE` and so on names. A wrong value stops the start with one
line that says what to do.

| Variable | Values | Default | Meaning |
|---|---|---|---|
"""
_LIMITS = {"ge": "from {}", "le": "to {}"}
_TYPES = {"int": "whole number", "str": "text", "bool": "true or false", "Path": "folder"}


def page() -> str:
    """The whole page, the same for the same settings."""
    return HEAD + "".join(_row(name, field) for name, field in Settings.model_fields.items())


def _row(name: str, field: FieldInfo) -> str:
    assert field.description, f"{name} has no description"
    return f"| `{name.upper()}` | {_values(field)} | {_default(field.default)} | {field.description} |\n"


def _values(field: FieldInfo) -> str:
    if get_origin(field.annotation) is Literal:
        return ", ".join(f"`{value}`" for value in get_args(field.annotation))
    kinds = [kind for kind in get_args(field.annotation) or (field.annotation,) if kind is not type(None)]
    words = [_TYPES.get(kind.__name__, kind.__name__) for kind in kinds]
    words += [
        text.format(getattr(limit, name))
        for limit in field.metadata
        for name, text in _LIMITS.items()
        if hasattr(limit, name)
    ]
    return " ".join(words)


def _default(value: Any) -> str:
    if value is None or value == "":
        return "none"
    return f"`{json.dumps(value) if isinstance(value, bool | int) else value}`"


if __name__ == "__main__":
    PAGE.write_text(page())
