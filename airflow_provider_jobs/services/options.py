"""Checks of what users put into ``options``, before anything is billed."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping
from typing import Any

from airflow_provider_jobs.exceptions import InvalidInputError
from airflow_provider_jobs.services.base import encode_json


def check_options(
    options: Any,
    *,
    where: str,
    known: Mapping[str, Collection[str]],
    version: str | None,
    by_argument: Collection[str] = (),
    check_names: bool = True,
) -> dict[str, Any]:
    """Return a copy of ``options`` after checking its top-level names.

    :param where: what the options belong to, for the message.
    :param known: option names per API version.
    :param version: the version in use; None when it is not known yet, then a name of any version will do.
    :param by_argument: names that have an argument of their own.
    :param check_names: False sends unknown names as they are.
    :raises InvalidInputError: naming the option, the version in which it works and the nearest right name.
    """
    if options is None:
        return {}
    if not isinstance(options, Mapping):
        raise InvalidInputError(f"options of {where} must be a dictionary, not {type(options).__name__}")
    for name in options:
        if name in by_argument:
            raise InvalidInputError(f"options of {where} repeat {name!r}: it has an argument of its own, use that")
        if check_names:
            _check_name(str(name), where, known, version)
    try:
        encode_json(options)
    except (TypeError, ValueError) as error:
        raise InvalidInputError(f"options of {where} hold something that JSON cannot: {error}") from None
    return dict(options)


def _check_name(name: str, where: str, known: Mapping[str, Collection[str]], version: str | None) -> None:
    allowed = set().union(*known.values()) if version is None else set(known[version])
    if name in allowed:
        return
    message = f"{where} has no option {name!r}" + (f" in {version}" if version else "")
    elsewhere = [v for v, names in known.items() if name in names]
    if elsewhere:
        message += f"; it works in {', '.join(elsewhere)}"
    nearest = difflib.get_close_matches(name, sorted(allowed), n=1, cutoff=0.6)
    lower = {candidate.casefold().replace("_", ""): candidate for candidate in allowed}
    exact = lower.get(name.casefold().replace("_", ""))
    if exact or nearest:
        message += f"; did you mean {exact or nearest[0]!r}?"
    raise InvalidInputError(f"{message} (check_options=False sends it all the same)")
