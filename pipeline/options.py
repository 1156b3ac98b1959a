"""Command-line options out of parameter dataclasses, so that the two never drift.

A parameter dataclass documents its fields as ``name: one line of reason`` in its docstring; ``add_options`` makes one
option of each, ``from_options`` makes the dataclass again.
"""

from __future__ import annotations

import argparse
import dataclasses
import re
import types
import typing
from typing import Any, TypeVar

Parameters = TypeVar("Parameters")


def descriptions(parameters: type[Any]) -> dict[str, str]:
    """Each field's line of reason, from the class's docstring (several names may share one line)."""
    names = {field.name for field in dataclasses.fields(parameters)}
    lines: dict[str, str] = {}
    current: list[str] = []
    for line in (parameters.__doc__ or "").splitlines():
        head = re.match(r"\s+((?:\w+)(?:, \w+)*): (.+)", line)
        if head and set(head[1].split(", ")) <= names:
            current = head[1].split(", ")
            lines.update(dict.fromkeys(current, head[2].strip()))
        elif current and line.strip():
            lines.update({name: f"{lines[name]} {line.strip()}" for name in current})
        else:
            current = []
    return lines


def add_options(parser: argparse.ArgumentParser, parameters: type[Any]) -> None:
    """One option a field: flags for booleans, repeatable options for tuples."""
    reasons = descriptions(parameters)
    hints = typing.get_type_hints(parameters)
    for field in dataclasses.fields(parameters):
        flag = "--" + field.name.replace("_", "-")
        default = field.default if field.default is not dataclasses.MISSING else ()
        text = reasons.get(field.name, "").replace("%", "%%")
        kind = _plain_type(hints[field.name])
        if kind is bool:
            parser.add_argument(flag, action=argparse.BooleanOptionalAction, default=default, help=text)
        elif kind is tuple:
            parser.add_argument(flag, action="append", default=[], help=text)
        else:
            shown = "" if default in (None, "") else f" (default {default})"
            parser.add_argument(flag, type=kind, default=default, metavar=kind.__name__.upper(), help=text + shown)


def from_options(arguments: argparse.Namespace, parameters: type[Parameters]) -> Parameters:
    """The dataclass that the options describe. Raises ValueError from the dataclass's own checks."""
    values = {}
    for field in dataclasses.fields(parameters):  # type: ignore[arg-type]
        value = getattr(arguments, field.name)
        values[field.name] = tuple(value) if isinstance(value, list) else value
    return parameters(**values)


def _plain_type(hint: Any) -> type:
    if isinstance(hint, types.UnionType):
        hint = next(part for part in hint.__args__ if part is not types.NoneType)
    return typing.get_origin(hint) or hint
