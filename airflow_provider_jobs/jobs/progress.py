"""Which looks at a job are worth a line in the task's log."""

from __future__ import annotations

from airflow_provider_jobs.jobs.model import JobStatus

STEP = 0.1
"""Share of the expected records that counts as notable progress."""
HEARTBEAT = 300.0
"""Seconds after which a line is written though nothing changed."""


class Progress:
    """Chooses the looks that are logged: the first, a new state, a notable step, and a heartbeat."""

    def __init__(self) -> None:
        self._last: JobStatus | None = None
        self._said_at = 0.0

    def line(self, status: JobStatus, now: float) -> str | None:
        """Return the line to log for this look, or None.

        :param now: seconds since the epoch.
        """
        if not self._is_notable(status, now):
            return None
        self._last, self._said_at = status, now
        return status.describe()

    def _is_notable(self, status: JobStatus, now: float) -> bool:
        last = self._last
        if last is None or status.state != last.state or status.raw_status != last.raw_status:
            return True
        if now - self._said_at >= HEARTBEAT:
            return True
        done, before = status.completed or 0, last.completed or 0
        return bool(status.total) and abs(done - before) >= STEP * (status.total or 1)
