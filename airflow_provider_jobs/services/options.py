"""Checks of what users put into ``options``, before anything is billed."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from airflow_provider_jobs.exceptions import InvalidInputError
from airflow_provider_jobs.services.base import decode_json, encode_json
from airflow_provider_jobs.services.schema import Issue, Path, issues, respelled


@dataclass(frozen=True)
class Body:
    """The request body of a call, as a service knows it.

    :param where: what it is called in messages, such as ``Firecrawl's crawl``.
    :param schemas: its schema per API version; see :mod:`.schema`.
    :param renamed: per version, what to write there instead of a name of another version.
    :param misplaced: what to write instead of a name that no version has at this place.
    """

    where: str
    schemas: Mapping[str, Any]
    renamed: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    misplaced: Mapping[str, str] = field(default_factory=dict)

    def check(self, sent: Mapping[str, Any], version: str | None, hidden: Collection[str]) -> None:
        """Check what is sent.

        :param version: None when it is not known yet, then what any version accepts will do.
        :param hidden: names that are not to be suggested.
        :raises InvalidInputError: the service would refuse it.
        """
        if version is None and len(self.schemas) == 1:
            (version,) = self.schemas
        if version is not None and version not in self.schemas:
            raise InvalidInputError(f"{self.where} is part of {', '.join(self.schemas)} only, not of {version}")
        known: dict[str, set[Path]] = {v: set() for v in self.schemas}
        found = {v: list(issues(sent, schema, (), known[v], hidden)) for v, schema in self.schemas.items()}
        if not (found[version] if version else all(found.values())):
            return
        text = self._told(found[version][0], version, known) if version else self._told_of_all(found, known)
        raise InvalidInputError(f"{text} (check_options=False sends it all the same)")

    def _told(self, issue: Issue, version: str | None, known: Mapping[str, Collection[Path]]) -> str:
        inside = f" in {version}" if version else ""
        if not issue.unknown:
            return f"{f'option {issue.name!r}' if issue.path else 'options'} of {self.where}{inside}: {issue.text}"
        message = f"{self.where} has no option {issue.name!r}{inside}"
        elsewhere = [v for v, paths in known.items() if issue.path in paths]
        if elsewhere:
            message += f"; it works in {', '.join(elsewhere)}"
        hints = self.renamed.get(version or "", {}) if elsewhere else self.misplaced
        if hint := hints.get(str(issue.path[-1])):
            return f"{message}; {hint}"
        return f"{message}; did you mean {issue.nearest!r}?" if issue.nearest else message

    def _told_of_all(self, found: Mapping[str, list[Issue]], known: Mapping[str, Collection[Path]]) -> str:
        """What no version accepts: an objection that all of them have, or else the first one of each."""
        first, *rest = found.values()
        for issue in first:
            same = [other for one in rest for other in one if other.same_as(issue)]
            if len(same) == len(rest):
                nearest = next((other.nearest for other in (issue, *same) if other.nearest), None)
                return self._told(replace(issue, nearest=nearest), None, {})
        told = [self._told(one[0], v, known) for v, one in found.items()]
        return f"no API version takes these options together: {'; '.join(told)}"


def check_options(
    options: Any, body: Body, *, version: str | None, by_argument: Collection[str] = (), check: bool = True
) -> dict[str, Any]:
    """Return a copy of ``options`` after checking them as the service would.

    :param body: what they become a part of.
    :param version: the version in use; None when it is not known yet, then what any version accepts will do.
    :param by_argument: names that have an argument of their own.
    :param check: False sends everything as it is, except for what an argument sets and what JSON cannot hold.
    :raises InvalidInputError: naming the option, the version in which it works and the nearest right name.
    """
    if options is None:
        return {}
    if not isinstance(options, Mapping):
        raise InvalidInputError(f"options of {body.where} must be a dictionary, not {type(options).__name__}")
    given: dict[str, Any] = dict(options)
    for name in given:
        # Other spellings are names that the service may know some day: only a check refuses them.
        if name in by_argument or (check and isinstance(name, str) and respelled(name, by_argument)):
            raise InvalidInputError(f"options of {body.where} repeat {name!r}: it has an argument of its own, use that")
    sent = _as_sent(given, body.where)
    if check:
        body.check(sent, version, by_argument)
    return given


def _as_sent(options: dict[Any, Any], where: str) -> dict[str, Any]:
    """Return the options as the service will read them: lists for tuples, text for dates."""
    try:
        # msgspec writes NaN as null, which is something else.
        json.dumps(msgspec.to_builtins(options, str_keys=True), allow_nan=False)
        sent: dict[str, Any] = decode_json(encode_json(options))
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise InvalidInputError(f"options of {where} hold something that JSON cannot: {error}") from None
    return sent
