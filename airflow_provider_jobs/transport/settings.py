"""Reading the extra fields of a connection: values may be numbers, booleans or the text of them."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from airflow_provider_jobs.exceptions import ConnectionSettingsError


def parse_extra(extra: str | None) -> dict[str, Any]:
    """Return the extra of a connection as a dictionary.

    :raises ConnectionSettingsError: it is no JSON object. The text itself is not shown, it may hold a secret.
    """
    if not extra or not extra.strip():
        return {}
    try:
        value = json.loads(extra)
    except ValueError:
        raise ConnectionSettingsError("the connection's extra is not JSON") from None
    if not isinstance(value, dict):
        raise ConnectionSettingsError("the connection's extra must be a JSON object")
    return value


def positive_number(extra: Mapping[str, Any], name: str, default: float) -> float:
    """Return a positive number.

    :raises ConnectionSettingsError: it is none.
    """
    value = extra.get(name)
    if value is None or value == "":
        return default
    try:
        number = float(value) if not isinstance(value, bool) else math.nan
    except (TypeError, ValueError):
        number = math.nan
    if not (math.isfinite(number) and number > 0):
        raise ConnectionSettingsError(f"{name} must be a number above 0, not {value!r}")
    return number


def flag(extra: Mapping[str, Any], name: str, default: bool) -> bool:
    """Return true or false.

    :raises ConnectionSettingsError: it is neither.
    """
    value = extra.get(name)
    if value is None or value == "":
        return default
    if isinstance(value, bool):
        return value
    word = str(value).strip().casefold()
    if word in {"true", "1", "yes"}:
        return True
    if word in {"false", "0", "no"}:
        return False
    raise ConnectionSettingsError(f"{name} must be true or false, not {value!r}")


def choice(extra: Mapping[str, Any], name: str, choices: tuple[str, ...], default: str) -> str:
    """Return one of some words.

    :raises ConnectionSettingsError: it is none of them.
    """
    value = extra.get(name)
    if value is None or value == "":
        return default
    if str(value).strip().casefold() not in choices:
        raise ConnectionSettingsError(f"{name} must be one of {', '.join(choices)}, not {value!r}")
    return str(value).strip().casefold()


def text(extra: Mapping[str, Any], name: str) -> str | None:
    """Return a text, or None when it is empty.

    :raises ConnectionSettingsError: it is something else.
    """
    value = extra.get(name)
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise ConnectionSettingsError(f"{name} must be a text")
    return value.strip() or None
