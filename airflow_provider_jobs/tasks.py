"""What operators and sensors share."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from airflow.sdk.exceptions import AirflowFailException

from airflow_provider_jobs.exceptions import RemoteJobsError
from airflow_provider_jobs.jobs.model import JobRef, JobState, JobStatus
from airflow_provider_jobs.jobs.progress import Progress

DEFERRAL_MARGIN = 120.0
"""Seconds between our deadline and Airflow's: Airflow's runs no code of ours in the triggerer and comes second."""


@contextmanager
def airflow_errors() -> Iterator[None]:
    """Turn permanent errors into the one that Airflow does not retry."""
    try:
        yield
    except RemoteJobsError as error:
        if error.permanent:
            raise AirflowFailException(str(error)) from error
        raise


def is_literal(value: Any) -> bool:
    """Whether a value is known when the DAG is read: no XCom, no template."""
    if isinstance(value, str):
        return "{{" not in value and "{%" not in value and "{#" not in value
    if isinstance(value, dict):
        return all(is_literal(part) for pair in value.items() for part in pair)
    if isinstance(value, list | tuple | set | frozenset):
        return all(map(is_literal, value))
    return value is None or isinstance(value, int | float | bool | bytes | dt.timedelta)


def known(value: Any) -> Any:
    """Return an argument that is known when the DAG is read, and None of one that is not."""
    return value if is_literal(value) else None


def log_look(log: Any, ref: JobRef, progress: Progress, status: JobStatus) -> None:
    """Log a look at a job if it is worth a line; a status word that nobody knows is a warning."""
    line = progress.line(status, time.time())
    if line is None:
        return
    if status.state is JobState.UNKNOWN:
        log.warning("%s has a status that this version does not know, it counts as running: %s", ref, line)
    else:
        log.info("%s: %s", ref, line)
