"""Durations as users give them."""

from __future__ import annotations

import datetime as dt
import math
from typing import Any

from airflow_provider_jobs.exceptions import InvalidInputError


def seconds(value: Any, name: str) -> float:
    """Return a duration in seconds.

    :param value: seconds as a number, or a timedelta.
    :raises InvalidInputError: neither, or not above zero.
    """
    if isinstance(value, dt.timedelta):
        value = value.total_seconds()
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not math.isfinite(value) or value <= 0:
        raise InvalidInputError(f"{name} must be a number of seconds above 0, or a timedelta, not {value!r}")
    return float(value)
