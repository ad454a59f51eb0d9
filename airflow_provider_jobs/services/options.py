"""Checks of what users put into ``options``, before anything is billed.

A schema is a ``TypedDict`` with ``msgspec.Meta`` for limits. :class:`ByType`, :class:`Rules` and :data:`LOOSE` stand in
``Annotated`` and say what types cannot. msgspec judges the values; the keys are judged here, because a message has to
name the key's path, the version that knows it and the nearest right name.
"""

from __future__ import annotations

import difflib
import functools
import json
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from types import UnionType
from typing import Annotated, Any, Required, Union, get_args, get_origin, get_type_hints, is_typeddict

import msgspec

from airflow_provider_jobs.exceptions import InvalidInputError
from airflow_provider_jobs.services.base import decode_json, encode_json

Rule = Callable[[Any], str | None]
"""Says what is wrong with a value whose type is right; None: nothing."""
Path = tuple[str | int, ...]

# msgspec speaks of JSON, users write Python.
_WORDS = {"`object`": "dict", "`array`": "list", "`null`": "None", "`": ""}
# An own key of this kind belongs to an experiment of the service: in no documentation, and gone with the next build.
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
    """What is wrong at one place of the options."""

    path: Path
    text: str = ""
    unknown: bool = False
    nearest: str | None = None


def check_options(
    options: Any,
    *,
    where: str,
    schemas: Mapping[str, Any],
    version: str | None,
    by_argument: Collection[str] = (),
    hints: Mapping[str, Mapping[str, str]] | None = None,
    check: bool = True,
) -> dict[str, Any]:
    """Return a copy of ``options`` after checking them as the service would.

    :param where: what the options belong to, for the message.
    :param schemas: the request body per API version.
    :param version: the version in use; None when it is not known yet, then what any version accepts will do.
    :param by_argument: names that have an argument of their own.
    :param hints: per version, what to write there instead of a name that it does not know.
    :param check: False sends everything as it is, except for what an argument sets.
    :raises InvalidInputError: naming the option, the version in which it works and the nearest right name.
    """
    if options is None:
        return {}
    if not isinstance(options, Mapping):
        raise InvalidInputError(f"options of {where} must be a dictionary, not {type(options).__name__}")
    for name in options:
        if name in by_argument:
            raise InvalidInputError(f"options of {where} repeat {name!r}: it has an argument of its own, use that")
    sent = _as_sent(options, where)
    if check:
        _check(sent, where, schemas, version, set(by_argument), hints or {})
    return dict(options)


def _as_sent(options: Mapping[Any, Any], where: str) -> dict[str, Any]:
    """Return the options as the service will read them: lists for tuples, text for dates."""
    try:
        # msgspec writes NaN as null, which is something else.
        json.dumps(msgspec.to_builtins(options, str_keys=True), allow_nan=False)
        sent: dict[str, Any] = decode_json(encode_json(options))
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise InvalidInputError(f"options of {where} hold something that JSON cannot: {error}") from None
    return sent


def _check(
    sent: dict[str, Any],
    where: str,
    schemas: Mapping[str, Any],
    version: str | None,
    by_argument: set[str],
    hints: Mapping[str, Mapping[str, str]],
) -> None:
    known: dict[str, set[Path]] = {v: set() for v in schemas}
    found = {v: list(_issues(sent, schema, (), known[v], by_argument)) for v, schema in schemas.items()}
    if version is None and len(schemas) == 1:
        (version,) = schemas
    if version is not None:
        if version not in schemas:
            raise InvalidInputError(f"{where} is part of {', '.join(schemas)} only, not of {version}")
        if found[version]:
            text = _told(found[version][0], where, version, known, hints.get(version, {}))
            raise InvalidInputError(f"{text} (check_options=False sends it all the same)")
    elif all(found.values()):
        raise InvalidInputError(f"{_told_of_all(found, where)} (check_options=False sends it all the same)")


def _told(
    issue: Issue, where: str, version: str | None, known: Mapping[str, Collection[Path]], hints: Mapping[str, str]
) -> str:
    inside = f" in {version}" if version else ""
    name = _name(issue.path)
    if not issue.unknown:
        return f"{f'option {name!r}' if name else 'options'} of {where}{inside}: {issue.text}"
    message = f"{where} has no option {name!r}{inside}"
    elsewhere = [v for v, paths in known.items() if issue.path in paths]
    if elsewhere:
        message += f"; it works in {', '.join(elsewhere)}"
        if hint := hints.get(str(issue.path[-1])):
            return f"{message}; {hint}"
    return f"{message}; did you mean {issue.nearest!r}?" if issue.nearest else message


def _told_of_all(found: Mapping[str, list[Issue]], where: str) -> str:
    """What no version accepts; one sentence when all have the same objection."""
    first = [issues[0] for issues in found.values()]
    if len({(issue.path, issue.text, issue.unknown) for issue in first}) == 1:
        nearest = [issue.nearest for issue in first if issue.nearest]
        return _told(Issue(first[0].path, first[0].text, first[0].unknown, nearest[0] if nearest else None),
                     where, None, {}, {})  # fmt: skip
    told = [_told(issue, where, v, {}, {}) for v, issue in zip(found, first, strict=True)]
    return f"no API version takes these options together: {'; '.join(told)}"


def _name(path: Path) -> str:
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


# --- values ---------------------------------------------------------------------------------------------------------


def _issues(value: Any, kind: Any, path: Path, known: set[Path], hidden: Collection[str] = ()) -> Iterator[Issue]:
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
        inner += [i for key, part in value.items() for i in _issues(part, get_args(kind)[1], (*path, key), known)]
    elif get_origin(kind) is list:
        inner += [i for n, part in enumerate(value) for i in _issues(part, get_args(kind)[0], (*path, n), known)]
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
            yield from _issues(part, fields[name], (*path, name), known)
        elif not name.startswith(_EXPERIMENT):
            names = [*(set(fields) - set(hidden))]
            near = _respelled(name, names) if loose else _nearest(name, names) or _below(name, fields)
            if near or not loose:
                yield Issue((*path, name), unknown=True, nearest=_name((*path, near)) if near else None)
    for name in sorted(kind.__required_keys__ - set(value)):
        yield Issue(path, f"it lacks {name!r}")


def _typed_issues(value: Mapping[str, Any], note: ByType, path: Path, known: set[Path]) -> Iterator[Issue]:
    word = value.get("type")
    if not isinstance(word, str):
        yield Issue(path, "it lacks 'type'" if word is None else "its 'type' must be a word")
    elif word in note.known:
        yield from _issues(value, note.known[word], path, known)


def _nearest(name: str, names: Collection[str]) -> str | None:
    close = difflib.get_close_matches(name, sorted(names), n=1, cutoff=0.6)
    return _respelled(name, names) or (close[0] if close else None)


def _respelled(name: str, names: Collection[str]) -> str | None:
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
    text = text.split(" - at ")[0]
    for theirs, ours in _WORDS.items():
        text = text.replace(theirs, ours)
    return text[:1].lower() + text[1:]
