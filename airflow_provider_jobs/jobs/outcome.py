"""Whether what was delivered is enough."""

from __future__ import annotations

from typing import Any

from airflow_provider_jobs.exceptions import InvalidInputError
from airflow_provider_jobs.jobs.model import JobSummary


def check_max_failed(value: Any) -> int | float | None:
    """Return ``max_failed`` as it may be used.

    :raises InvalidInputError: neither None, a count (int from 0) nor a share (float above 0, up to 1).
    """
    if value is None:
        return None
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    if isinstance(value, float) and 0.0 < value <= 1.0:
        return value
    raise InvalidInputError(
        f"max_failed must be a count (a whole number from 0), a share (a float above 0, up to 1) or None, not {value!r}"
    )


def shortfall(
    summary: JobSummary, *, asked: int | None, max_failed: int | float | None, fail_on_empty: bool
) -> str | None:
    """Return why a delivered result is not enough, or None when it is.

    Without ``max_failed``, nothing may be missing, and something must have come when something was asked for.

    :param asked: the number of records that a share is taken of.
    :param fail_on_empty: whether a result without a record is a failure.
    """
    short = summary.failed + summary.missing
    counts = f"{summary.records} delivered, {summary.failed} failed, {summary.missing} missing"
    if max_failed is None:
        if summary.missing:
            return f"the result is not complete: {counts}"
        if not summary.records and fail_on_empty:
            return f"nothing was delivered: {counts}"
        return None
    if isinstance(max_failed, float):
        base = asked if asked else summary.records + short
        # Floats: 29 of 100 is not more than 0.29 of 100, which is 28.999999999999996.
        if short > max_failed * base + 1e-6:
            return f"{counts}; that is more than max_failed={max_failed:g} of {base}"
        return None
    return f"{counts}; that is more than max_failed={max_failed}" if short > max_failed else None
