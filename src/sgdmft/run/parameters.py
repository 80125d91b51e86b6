"""The text form of a run: objects to plain tables and back.

An object becomes a table of its fields, with its class under `kind`; a covariance becomes the table of its powers; a
schedule stays a number or becomes an array. The same tables are a TOML file of the command line, the provenance kept in
a netCDF file (as JSON), and the key of a cache. The constructors of the objects check values, this module checks names.

>>> from sgdmft.problem.models import GaussianLeastSquares
>>> table = plain(GaussianLeastSquares(alpha=2.5))
>>> table
{'kind': 'GaussianLeastSquares', 'alpha': 2.5, 'covariance': {'2': 0.5}, 'labels': {'kind': 'Teacher', 'noise': 0.0}}
>>> rebuild("model", table) == GaussianLeastSquares(alpha=2.5)
True
>>> rebuild("model", {"alpha": 2.5, "covarance": {"2": 0.5}})
Traceback (most recent call last):
sgdmft.errors.InvalidArgument: Unknown key `covarance` in [model]; did you mean `covariance`? ...
"""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import hashlib
import json
import tomllib
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from types import CodeType
from typing import Any

import numpy as np
import tomli_w

from sgdmft._validation import Table
from sgdmft.algorithm.batches import Batches, Bernoulli
from sgdmft.algorithm.descent import Descent
from sgdmft.errors import InvalidArgument
from sgdmft.problem.models import ConstantTarget, Covariance, GaussianLeastSquares, Linearized, Start, Teacher

#: What a table may describe -> the classes it may be; the first is meant where the table has no `kind`.
_CLASSES: dict[str, tuple[type, ...]] = {
    "model": (GaussianLeastSquares, Linearized),
    "labels": (Teacher, ConstantTarget),
    "algorithm": (Descent,),
    "start": (Start,),
}


# -- objects to text ---------------------------------------------------------------------------------------------------


def plain(value: Any, *, steps: int | None = None, identity: bool = False) -> Any:
    """Tables, lists, numbers and strings that describe `value`; schedules that are functions need the number of steps.

    With `identity` only what changes the numbers counts: fields marked otherwise are left out, a schedule is its values
    up to `steps`, and a class from outside this package adds a digest of its code.

    Raises
    ------
    InvalidArgument
        When a schedule is a function and `steps` is not given, or `value` has no text form.
    """
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Covariance):
        return {str(power): coefficient for power, coefficient in value.powers.items()}
    if isinstance(value, Mapping):
        return {str(key): plain(entry, steps=steps, identity=identity) for key, entry in value.items()}
    if isinstance(value, (tuple, list, np.ndarray)):
        if identity and isinstance(value, Table):
            value = value[:steps]
        return [plain(entry, steps=steps, identity=identity) for entry in value]
    fields = _fields(value, identity)
    if fields is not None:
        kind = type(value)
        table = {"kind": kind.__name__}
        if identity and not kind.__module__.startswith("sgdmft."):
            table["code"] = _code(kind)
        return table | {name: plain(entry, steps=steps, identity=identity) for name, entry in fields.items()}
    if callable(value):
        if steps is None:
            raise InvalidArgument(
                "A schedule given as a function has a text form only for a stated number of steps. "
                "Give it as an array, or pass `steps`."
            )
        with contextlib.suppress(TypeError):  # no function of the step
            return [float(value(step)) for step in range(steps)]  # type: ignore[arg-type]
    raise InvalidArgument(
        f"The {type(value).__name__} {value!r} has no text form, so what is computed with it cannot be kept on disk. "
        "Make its class a dataclass, or give it a method `parameters()` that returns its parameters as a dictionary of "
        "numbers and strings; or leave out cache and checkpoint."
    )


def _fields(value: Any, identity: bool) -> Mapping[str, Any] | None:
    """What an object is made of: what its method `parameters` says, or the fields of a dataclass."""
    if isinstance(value, type):
        return None
    if hasattr(value, "parameters"):
        return value.parameters()
    if not dataclasses.is_dataclass(value):
        return None
    fields = [field for field in dataclasses.fields(value) if field.init]
    if identity:
        fields = [field for field in fields if field.metadata.get("identity", True)]
    return {field.name: getattr(value, field.name) for field in fields}


def _code(kind: type) -> str:
    """Digest of the methods of a class and of those it inherits from outside this package."""
    digest = hashlib.sha256()

    def feed(code: CodeType) -> None:
        digest.update(repr((code.co_name, code.co_names, code.co_varnames)).encode() + code.co_code)
        for constant in code.co_consts:
            if isinstance(constant, CodeType):
                feed(constant)
            else:
                digest.update(repr(sorted(constant) if isinstance(constant, frozenset) else constant).encode())

    for base in kind.__mro__:
        if base.__module__.partition(".")[0] not in ("sgdmft", "builtins", "abc", "typing"):
            for member in vars(base).values():
                function = getattr(member, "fget", None) or getattr(member, "__func__", member)
                if hasattr(function, "__code__"):
                    feed(function.__code__)
    return digest.hexdigest()[:16]


def canonical(**values: Any) -> str:
    """One line of JSON that is the same for equal parameters; functions are evaluated over the entry `steps`."""
    table = plain(values, steps=values.get("steps"), identity=True)
    return json.dumps(table, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def content_key(**values: Any) -> str:
    """Key of a cache or a checkpoint: 32 hexadecimal digits that depend on every one of the values and on nothing else.

    >>> from sgdmft.problem.models import Start
    >>> content_key(start=Start(magnetization=0.1), steps=10) == content_key(steps=10, start=Start())
    True
    """
    return hashlib.sha256(canonical(**values).encode()).hexdigest()[:32]


def to_json(*, steps: int, **objects: Any) -> str:
    """JSON of the objects of a run that have a text form; those that have none are left out."""
    table: dict[str, Any] = {}
    for name, value in objects.items():
        if not callable(value):  # a start of the user's own
            with contextlib.suppress(InvalidArgument):
                table[name] = plain(value, steps=steps)
    return json.dumps(table)


def from_json(text: str) -> dict[str, Any]:
    """The objects of `to_json`, as far as their classes are known here."""
    objects: dict[str, Any] = {}
    for name, table in json.loads(text).items():
        with contextlib.suppress(InvalidArgument):
            objects[name] = None if table is None else rebuild(name, table)
    return objects


def toml(table: Mapping[str, Any], *, heading: str = "") -> str:
    """A TOML document of plain tables, under a comment; entries that are None are left out."""

    def stated(part: Mapping[str, Any]) -> dict[str, Any]:
        return {key: stated(v) if isinstance(v, Mapping) else v for key, v in part.items() if v is not None}

    return (f"# {heading}\n\n" if heading else "") + tomli_w.dumps(stated(table))


# -- text to objects ---------------------------------------------------------------------------------------------------


def rebuild(role: str, table: Any, *, classes: Iterable[type] | None = None, where: str | None = None) -> Any:
    """The object that a table describes.

    Parameters
    ----------
    role : 'model', 'algorithm', 'start', 'labels', 'batches', 'covariance'
        What is described. For anything else pass the `classes` it may be.
    table : mapping, or the name of a class that needs no parameters
    where : how an error message names the table; default `[role]`

    Raises
    ------
    InvalidArgument
        When a key is unknown (the message names the nearest one), missing, or a value lies outside its domain.
    """
    where = where or f"[{role}]"
    if role == "covariance":
        return _covariance(table, where)
    choice = {cls.__name__: cls for cls in (classes or _classes(role))}
    if isinstance(table, str):
        table = {"kind": table}
    if not isinstance(table, Mapping):
        raise InvalidArgument(f"{where} must be a table, but is {table!r}.")
    entries = dict(table)
    kind = entries.pop("kind", next(iter(choice)))
    if kind not in choice:
        raise InvalidArgument(f"Unknown kind {kind!r} in {where}{_nearest(str(kind), choice)}")
    cls = choice[kind]
    if role == "algorithm" and "batch_fraction" in entries:
        if "batches" in entries:
            raise InvalidArgument(f"{where} gives both `batch_fraction` and `batches`; give one of them.")
        entries["batches"] = plain(Bernoulli(entries.pop("batch_fraction")))
    fields = {field.name: field for field in dataclasses.fields(cls) if field.init}
    check_keys(entries, [*fields, *(["batch_fraction"] if role == "algorithm" else [])], where)
    for name, field in fields.items():
        if name not in entries and field.default is field.default_factory is dataclasses.MISSING:
            raise InvalidArgument(f"{where} lacks `{name}`, which {kind} needs.")
    for name in ("model", "covariance", "labels", "batches"):
        if name in entries:
            entries[name] = rebuild(name, entries[name], where=f"`{name}` of {where}")
    return cls(**entries)


def check_keys(table: Mapping[str, Any], known: Collection[str], where: str) -> None:
    """Raise `InvalidArgument` at the first key that is not known, naming the nearest one."""
    if unknown := [key for key in table if key not in known]:
        raise InvalidArgument(f"Unknown key `{unknown[0]}` in {where}{_nearest(unknown[0], known)}")


def read_toml(path: str | Path) -> dict[str, Any]:
    """The tables of a TOML file.

    Raises
    ------
    InvalidArgument
        When there is no such file or it is no valid TOML (the message says where).
    """
    target = Path(path)
    try:
        return tomllib.loads(target.read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidArgument(f"The file `{target}` cannot be read ({error.strerror or error}).") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidArgument(f"The file `{target}` is no valid TOML: {error}.") from error


def _classes(role: str) -> tuple[type, ...]:
    if role == "batches":
        return tuple(Batches.registry.values())
    if role not in _CLASSES:
        raise InvalidArgument(f"Unknown role {role!r}{_nearest(role, [*_CLASSES, 'batches', 'covariance'])}")
    return _CLASSES[role]


def _covariance(table: Any, where: str) -> Covariance:
    if not isinstance(table, Mapping):
        raise InvalidArgument(
            f"{where} must be a table of powers, for example {{ 2 = 0.5 }} for q²/2, but is {table!r}."
        )
    for key in table:
        if not str(key).isdecimal():
            raise InvalidArgument(
                f"The keys of {where} are the powers of q, integers of at least 0, but one is {key!r}."
            )
    return Covariance({int(key): value for key, value in table.items()})


def _nearest(key: str, known: Collection[str]) -> str:
    match = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
    guess = f"; did you mean `{match[0]}`?" if match else "."
    return f"{guess} Known here: {', '.join(f'`{name}`' for name in known)}."
