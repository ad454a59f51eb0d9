"""What a value may look like, and what is wrong with one that does not.

A schema is a ``TypedDict`` with ``msgspec.Meta`` for limits. :class:`ByType`, :class:`Rules` and :data:`LOOSE` stand in
``Annotated`` and say what types cannot. msgspec judges the values; the keys are judged here, because a message has to
name the key's path, the version that knows it and the nearest right name.
"""

from __future__ import annotations

import difflib
import functools
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from types import UnionType
from typing import Annotated, Any, Required, Union, get_args, get_origin, get_type_hints, is_typeddict

import msgspec

Rule = Callable[[Any], str | None]
"""Says what is wrong with a value whose type is right; None: nothing."""
Path = tuple[str | int, ...]

# msgspec speaks of JSON, users write Python.
_WORDS = {"object": "dict", "array": "list", "null": "None", "float": "number"}
# A key of this kind belongs to an experiment of the service: in no documentation, and gone with the next build.
_EXPERIMENT = "__"


@dataclass(frozen=True, eq=False)
class ByType:
    """Objects that say in ``type`` what they are. A type that is not listed is let through: services add some."""

    known: Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class Rules:
    """What must hold beyond the types."""

    rules: tuple[Rule, ...]

    def __init__(self, *rules: Rule) -> None:
        object.__setattr__(self, "rules", rules)


class _Loose:
    """Marks objects whose unknown keys the service ignores: only other spellings of known keys are refused."""


LOOSE = _Loose()


@dataclass(frozen=True)
class Issue:
    """What is wrong at one place: a key that is not known there, or what the text says."""

    path: Path
    text: str = ""
    unknown: bool = False
    nearest: str | None = None

    @property
    def name(self) -> str:
        """The place, as in ``actions[0].selector``."""
        return name_of(self.path)

    def same_as(self, other: Issue) -> bool:
        """Whether two schemas object to the same."""
        return (self.path, self.text, self.unknown) == (other.path, other.text, other.unknown)


def name_of(path: Path) -> str:
    """Return a place as a user writes it."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


# --- values ---------------------------------------------------------------------------------------------------------


def issues(value: Any, kind: Any, path: Path, known: set[Path], hidden: Collection[str] = ()) -> Iterator[Issue]:
    """What is wrong with a value, from the outside in; inner places only where the outer ones are right.

    :param known: is given the path of each key that the schema has.
    :param hidden: names that are not to be suggested.
    """
    try:
        msgspec.convert(_whole(value), _flat(kind))
    except msgspec.ValidationError as error:
        yield Issue(path, _plain(str(error)))
        return
    kind, notes = _resolve(value, kind)
    inner: list[Issue] = []
    if is_typeddict(kind):
        inner += _object_issues(value, kind, path, known, hidden, loose=LOOSE in notes)
    elif get_origin(kind) is dict:
        inner += [i for key, part in value.items() for i in issues(part, get_args(kind)[1], (*path, key), known)]
    elif get_origin(kind) is list:
        inner += [i for n, part in enumerate(value) for i in issues(part, get_args(kind)[0], (*path, n), known)]
    for note in notes:
        if isinstance(note, ByType) and not inner:
            inner += _typed_issues(value, note, path, known)
    yield from inner
    if not inner:
        texts = (rule(value) for note in notes if isinstance(note, Rules) for rule in note.rules)
        yield from (Issue(path, text) for text in texts if text)


def _object_issues(
    value: Mapping[str, Any], kind: Any, path: Path, known: set[Path], hidden: Collection[str], *, loose: bool
) -> Iterator[Issue]:
    fields = _fields(kind)
    for name, part in value.items():
        if name in fields:
            known.add((*path, name))
            yield from issues(part, fields[name], (*path, name), known)
        elif not name.startswith(_EXPERIMENT):
            names = [*(set(fields) - set(hidden))]
            near = respelled(name, names)
            if not loose:
                near = near or _below(name, fields) or _nearest(name, names)
            if near or not loose:
                yield Issue((*path, name), unknown=True, nearest=name_of((*path, near)) if near else None)
    for name in sorted(kind.__required_keys__ - set(value)):
        yield Issue(path, f"it lacks {name!r}")


def _typed_issues(value: Mapping[str, Any], note: ByType, path: Path, known: set[Path]) -> Iterator[Issue]:
    word = value.get("type")
    if not isinstance(word, str):
        yield Issue(path, "it lacks 'type'" if word is None else "its 'type' must be a word")
    elif word in note.known:
        yield from issues(value, note.known[word], path, known)


def _nearest(name: str, names: Collection[str]) -> str | None:
    return next(iter(difflib.get_close_matches(name, sorted(names), n=1, cutoff=0.7)), None)


def respelled(name: str, names: Collection[str]) -> str | None:
    """The name that differs in case, underscores and hyphens alone."""
    return {_bare(candidate): candidate for candidate in names}.get(_bare(name))


def _bare(name: str) -> str:
    return name.casefold().replace("_", "").replace("-", "")


def _below(name: str, fields: Mapping[str, Any]) -> str | None:
    """The place of a key that belongs one floor lower, such as a page option in a crawl."""
    for outer, kind in fields.items():
        inner, _ = _unwrap(kind)
        if is_typeddict(inner) and name in _fields(inner):
            return f"{outer}.{name}"
    return None


# --- kinds ----------------------------------------------------------------------------------------------------------


def _unwrap(kind: Any) -> tuple[Any, tuple[Any, ...]]:
    """Take a kind and what ``Annotated`` says about it apart."""
    return (kind.__origin__, kind.__metadata__) if get_origin(kind) is Annotated else (kind, ())


@functools.cache
def _fields(kind: Any) -> dict[str, Any]:
    hints = get_type_hints(kind, include_extras=True)
    return {name: get_args(hint)[0] if get_origin(hint) is Required else hint for name, hint in hints.items()}


def _members(kind: Any) -> tuple[Any, ...]:
    return get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)


def _flat(kind: Any) -> Any:
    """The kind as far as msgspec judges it at once: what is inside of lists and objects comes later."""
    kind, notes = _unwrap(kind)
    if len(_members(kind)) > 1:
        kind = Union[tuple(_flat(member) for member in _members(kind))]  # noqa: UP007  built from a tuple
    elif is_typeddict(kind) or get_origin(kind) is dict:
        kind = dict[str, Any]
    elif get_origin(kind) is list:
        kind = list[Any]
    limits = tuple(note for note in notes if isinstance(note, msgspec.Meta))
    return Annotated[(kind, *limits)] if limits else kind


def _resolve(value: Any, kind: Any) -> tuple[Any, tuple[Any, ...]]:
    """The member of a union that a value is, and all that is said about it."""
    kind, notes = _unwrap(kind)
    for member in _members(kind):
        try:
            msgspec.convert(_whole(value), _flat(member))
        except msgspec.ValidationError:
            continue
        kind, more = _unwrap(member)
        return kind, (*notes, *more)
    raise AssertionError("a value that fits a union fits one of its members")


def _whole(value: Any) -> Any:
    """JSON has one sort of numbers: 5.0 is as good as 5."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _plain(text: str) -> str:
    """An objection of msgspec in the words of a Python user, without the place that it names."""
    text = re.sub(r"\w+", lambda word: _WORDS.get(word[0], word[0]), text.split(" - at ")[0].replace("`", ""))
    hint = "; leave it out instead" if text.endswith("got None") else ""
    return text[:1].lower() + text[1:] + hint
