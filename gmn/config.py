"""Typed configuration: frozen models, filled from a YAML file and bare `key=value` overrides.

Every scalar stays text until its field's type converts it, in the file as on the command line. So `lr=1e-3` is a
float, `no` stays text where text is meant, and both places obey one rule.
"""

import difflib
import textwrap
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from gmn.errors import InputError

NOTHING = ("", "none", "null", "~")
"""Texts that mean None where a field may be None."""


class Config(BaseModel):
    """Base of every configuration: frozen, no unknown keys, no NaN; the docstring under a field is its help."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True, protected_namespaces=()
    )

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, values: Any) -> Any:
        """Read `none` where None is allowed, `a,b` where a tuple is meant, and a group's keys over its default."""
        if not isinstance(values, dict):
            return values
        return {key: _from_text(value, cls.model_fields.get(key)) for key, value in values.items()}


C = TypeVar("C", bound=Config)


@dataclass(frozen=True)
class Key:
    """One line of a job's help."""

    path: str
    type: str
    default: str
    meaning: str


def build(schema: type[C] | Mapping[str, type[C]], file: str | Path | None, overrides: Sequence[str] = ()) -> C:
    """Build a configuration from a YAML file (or none) and `dotted.key=value` texts, which win.

    `schema` is a Config class, or a mapping from the value of the key `kind` to the class that it selects.
    Raises InputError with every mistake at once, a line each, by dotted path.
    """
    raw = _read_yaml(Path(file)) if file is not None else {}
    for text in overrides:
        _override(raw, text)
    chosen = _choose(schema, raw)
    try:
        return chosen.model_validate(raw)
    except ValidationError as error:
        raise InputError("\n".join(_lines(error, chosen))) from None


def keys(schema: type[Config], prefix: str = "", defaults: Config | None = None) -> Iterator[Key]:
    """List every key of a schema with its type, default and meaning, nested models included.

    `defaults` holds the values that stand in place of the schema's own defaults.
    """
    for name, field in schema.model_fields.items():
        path, meaning = f"{prefix}{name}", " ".join((field.description or "").split())
        default = field.get_default(call_default_factory=True) if defaults is None else getattr(defaults, name)
        models = [c for c in _choices(field.annotation) if isinstance(c, type) and issubclass(c, Config)]
        for model in models:
            yield from keys(model, f"{path}.", default if isinstance(default, model) else None)
        if not models:
            shown = "required" if default is PydanticUndefined else _show(default)
            yield Key(path, _type_name(field.annotation), shown, meaning)


def help_text(schema: type[C] | Mapping[str, type[C]], module: str, summary: str) -> str:
    """Write what `--help` prints: the usage, what the job does, and every key."""
    lines = [f"usage: python -m {module} [--config FILE.yaml] [key=value ...]", "", summary.strip(), ""]
    schemas = schema if isinstance(schema, Mapping) else {"": schema}
    for kind, chosen in schemas.items():
        lines += [f"keys (kind={kind}):" if kind else "keys:"]
        rows = list(keys(chosen))
        width = max(len(row.path) for row in rows)
        margin = " " * (width + 6)
        for row in rows:
            lines += [f"  {row.path:<{width}}  {row.type} [{row.default}]"]
            lines += textwrap.wrap(row.meaning, 100, initial_indent=margin, subsequent_indent=margin)
        lines += [""]
    return "\n".join(lines)


def split_arguments(argv: Sequence[str]) -> tuple[str | None, list[str]]:
    """Split a command line into the file after `--config` and the `key=value` texts.

    Raises InputError for anything else.
    """
    file: str | None = None
    overrides: list[str] = []
    rest = iter(argv)
    for text in rest:
        if text == "--config":
            file = next(rest, None)
            if file is None:
                raise InputError("--config needs a file name after it")
        elif text.startswith("--config="):
            file = text.partition("=")[2]
        elif text.startswith("-") or "=" not in text:
            raise InputError(f"{text}: not understood; write --config FILE or key=value (--help lists the keys)")
        else:
            overrides.append(text)
    return file, overrides


def _from_text(value: Any, field: FieldInfo | None) -> Any:
    if field is not None and isinstance(value, dict) and isinstance(field.default, Config):
        return _over(field.default, value)
    if field is None or not isinstance(value, str):
        return value
    choices = _choices(field.annotation)
    if type(None) in choices and value.lower() in NOTHING:
        return None
    if any(typing.get_origin(choice) is tuple for choice in choices):
        return [part.strip() for part in value.split(",") if part.strip()]
    return value


def _over(default: Config, values: Mapping[str, Any]) -> dict[str, Any]:
    """Lay the given keys of a group over its default, which may differ from the defaults of the group's class."""
    laid = dict(default)
    for key, value in values.items():
        old = laid.get(key)
        laid[key] = _over(old, value) if isinstance(old, Config) and isinstance(value, dict) else value
    return laid


def _choices(annotation: Any) -> tuple[Any, ...]:
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return typing.get_args(annotation)
    return (annotation,)


def _show(value: object) -> str:
    if isinstance(value, tuple):
        return ",".join(map(str, value)) or "none"
    if isinstance(value, bool):
        return str(value).lower()
    return "none" if value is None else str(value)


def _type_name(annotation: Any) -> str:
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Literal:
        return "|".join(map(str, arguments))
    if origin in (typing.Union, types.UnionType):
        return "|".join("none" if a is type(None) else _type_name(a) for a in arguments)
    if origin is tuple:
        return f"{_type_name(arguments[0])},..."
    if origin is typing.Annotated:
        return _type_name(arguments[0])
    return {str: "text", int: "integer", float: "number", bool: "true|false"}.get(
        annotation, getattr(annotation, "__name__", str(annotation))
    )


def _read_yaml(file: Path) -> dict[str, Any]:
    try:
        raw = yaml.load(file.read_text(encoding="utf-8"), Loader=_TextLoader)
    except OSError as error:
        raise InputError(f"--config {file}: {error.strerror}") from None
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"--config {file}: not YAML: {' '.join(str(error).split())}") from None
    if raw is None or raw == "":
        return {}
    if not isinstance(raw, dict):
        raise InputError(f"--config {file}: holds no keys")
    return raw


class _TextLoader(yaml.BaseLoader):
    """A loader that leaves scalars as text and refuses a key given twice."""


def _mapping(loader: _TextLoader, node: yaml.MappingNode) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key_node, value_node in node.value:
        key = loader.construct_object(key_node, deep=True)
        if not isinstance(key, str):
            raise yaml.YAMLError(f"a key that is no text, line {key_node.start_mark.line + 1}")
        if key in found:
            raise yaml.YAMLError(f"key {key!r} given twice, line {key_node.start_mark.line + 1}")
        found[key] = loader.construct_object(value_node, deep=True)
    return found


_TextLoader.add_constructor("tag:yaml.org,2002:map", _mapping)


def _override(raw: dict[str, Any], text: str) -> None:
    path, _, value = text.partition("=")
    *parents, last = path.split(".")
    node = raw
    for parent in parents:
        node = node.setdefault(parent, {})
        if not isinstance(node, dict):
            raise InputError(f"{path}: {parent} is a value, not a group of keys")
    node[last] = value


def _choose(schema: type[C] | Mapping[str, type[C]], raw: Mapping[str, Any]) -> type[C]:
    if not isinstance(schema, Mapping):
        return schema
    kind, known = raw.get("kind"), ", ".join(schema)
    if kind is None:
        raise InputError(f"kind: is required, one of {known} (the file after --config usually sets it)")
    if not isinstance(kind, str) or kind not in schema:
        raise InputError(f"kind: {kind!r} is unknown, one of {known}")
    return schema[kind]


def _lines(error: ValidationError, schema: type[Config]) -> Iterator[str]:
    for item in error.errors(include_url=False):
        path = ".".join(map(str, item["loc"]))
        given = f" (given: {item['input']!r})"
        if item["type"] == "missing":
            yield f"{path}: is required"
        elif item["type"] == "extra_forbidden":
            near = difflib.get_close_matches(path, [key.path for key in keys(schema)], n=1, cutoff=0.75)
            yield f"{path}: unknown key" + (f"; did you mean {near[0]}?" if near else " (--help lists the keys)")
        else:
            yield f"{path + ': ' if path else ''}{item['msg'].removeprefix('Value error, ')}{given if path else ''}"
