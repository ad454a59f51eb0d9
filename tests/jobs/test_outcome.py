"""Whether what was delivered is enough; durations."""

from __future__ import annotations

import datetime as dt
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_jobs.durations import seconds
from airflow_provider_jobs.exceptions import InvalidInputError
from airflow_provider_jobs.jobs.model import JobSummary
from airflow_provider_jobs.jobs.outcome import check_max_failed, shortfall


def short(
    records: int,
    failed: int,
    missing: int,
    *,
    asked: int | None = None,
    max_failed: Any = None,
    fail_on_empty: bool = True,
) -> str | None:
    summary = JobSummary("s", "k", "1", "succeeded", None, None, records, failed, missing, None)
    return shortfall(summary, asked=asked, max_failed=max_failed, fail_on_empty=fail_on_empty)


@pytest.mark.parametrize(
    ("counts", "more", "text"),
    [
        ((5, 0, 0), {}, None),
        ((4, 1, 0), {}, None),
        ((4, 0, 1), {}, "the result is not complete: 4 delivered, 0 failed, 1 missing"),
        ((0, 0, 5), {}, "the result is not complete"),
        ((0, 5, 0), {}, "nothing was delivered: 0 delivered, 5 failed, 0 missing"),
        ((0, 0, 0), {"asked": 5}, "nothing was delivered"),
        ((0, 0, 0), {"fail_on_empty": False}, None),
        ((0, 0, 1), {"fail_on_empty": False}, "the result is not complete"),
        ((4, 1, 0), {"max_failed": 0}, "4 delivered, 1 failed, 0 missing; that is more than max_failed=0"),
        ((5, 0, 0), {"max_failed": 0}, None),
        ((3, 1, 1), {"max_failed": 2}, None),
        ((3, 1, 2), {"max_failed": 2}, "more than max_failed=2"),
        ((8, 1, 1), {"max_failed": 0.2, "asked": 10}, None),
        ((7, 2, 1), {"max_failed": 0.2, "asked": 10}, "more than max_failed=0.2 of 10"),
        ((8, 1, 1), {"max_failed": 0.2}, None),
        ((7, 2, 1), {"max_failed": 0.2}, "more than max_failed=0.2 of 10"),
        ((0, 10, 0), {"max_failed": 1.0, "asked": 10}, None),
        ((0, 0, 0), {"max_failed": 0.5}, None),
        ((0, 0, 0), {"max_failed": 0.5, "asked": 0}, None),
    ],
)
def test_shortfall(counts: tuple[int, int, int], more: dict[str, Any], text: str | None) -> None:
    """F5, F7, DF10: missing records fail a task, failed ones that are named only when `max_failed` says so."""
    found = short(*counts, **more)
    if text is None:
        assert found is None
    else:
        assert found is not None
        assert text in found


@given(st.integers(1, 100), st.integers(1, 50))
def test_a_share_that_is_met_exactly_is_enough(percent: int, hundreds: int) -> None:
    """29 of 100 is not more than 0.29 of 100, whatever floats make of it."""
    asked, lost = 100 * hundreds, percent * hundreds
    assert short(asked - lost, lost, 0, asked=asked, max_failed=percent / 100) is None
    if lost < asked:
        assert short(asked - lost - 1, lost + 1, 0, asked=asked, max_failed=percent / 100) is not None


@pytest.mark.parametrize("value", [None, 0, 5, 10**9, 0.001, 0.5, 1.0])
def test_good_values_of_max_failed(value: Any) -> None:
    assert check_max_failed(value) == value


@pytest.mark.parametrize("value", [-1, 0.0, 1.5, -0.1, True, False, "5", "0.1", [], math.nan, math.inf])
def test_bad_values_of_max_failed(value: Any) -> None:
    with pytest.raises(InvalidInputError, match=r"max_failed must be a count .* a share .* or None, not"):
        check_max_failed(value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [(5, 5.0), (0.5, 0.5), (dt.timedelta(minutes=2), 120.0), (dt.timedelta(milliseconds=1), 0.001)],
)
def test_durations(value: Any, expected: float) -> None:
    assert seconds(value, "job_timeout") == expected


@pytest.mark.parametrize("value", [0, -1, True, "30", None, math.nan, math.inf, dt.timedelta(0), dt.timedelta(-1), [5]])
def test_bad_durations(value: Any) -> None:
    with pytest.raises(InvalidInputError, match="job_timeout must be a number of seconds above 0, or a timedelta, not"):
        seconds(value, "job_timeout")
