"""Ending a job because its task ends: in Airflow's signal handler, and again where the wait stood."""

from __future__ import annotations

import threading
from typing import Any

from airflow_provider_jobs.exceptions import JobKilledError, JobNotCancelledError, RemoteJobsError
from airflow_provider_jobs.hooks.base import RemoteJobsHook
from airflow_provider_jobs.jobs.model import StartedJob

JOIN_TIMEOUT = 4.0
"""Seconds that the signal handler waits for the cancel; Airflow sends SIGKILL five seconds after SIGTERM."""


class Killer:
    """Knows the job that a running task owns, and ends it when it must be ended.

    Airflow's signal handler runs ``on_kill`` on the main thread, in the middle of anything: it must not use a
    connection pool, a lock or a log that the interrupted code may hold. The DELETE is therefore sent by a thread with a
    session of its own, and the handler only waits for it.

    :param cancels: whether a kill cancels the job.
    """

    def __init__(self, hook: RemoteJobsHook, *, cancels: bool, log: Any) -> None:
        self._hook = hook
        self._cancels = cancels
        self._log = log
        self._job: StartedJob | None = None
        self._stop = threading.Event()
        self.killed = False

    def owns(self, job: StartedJob) -> None:
        """Take charge of a job that has just been started, or that a resumed task came back to."""
        # Read now: a signal handler must not ask Airflow for a connection.
        _ = self._hook.endpoint
        self._job = job

    def disarm(self) -> None:
        """The job is over or somebody else's now: nothing ends it any more."""
        self._job = None

    def check(self) -> None:
        """Raise when the task has been killed.

        :raises JobKilledError: it was.
        """
        if self.killed:
            raise JobKilledError("the task was told to stop")

    def sleep(self, seconds: float) -> None:
        """Wait, and end the wait at once when the task is killed.

        :raises JobKilledError: it was.
        """
        self._stop.wait(seconds)
        self.check()

    def kill(self) -> None:
        """Note the kill and send one DELETE. For the signal handler: no log, no lock, bounded in time."""
        self.killed = True
        self._stop.set()
        if self._job is None or not self._cancels:
            return
        thread = threading.Thread(target=self._delete, args=(self._job,), name="cancel-job", daemon=True)
        thread.start()
        thread.join(JOIN_TIMEOUT)

    def _delete(self, job: StartedJob) -> None:
        try:
            self._hook.cancel_quickly(job.ref)
        except RemoteJobsError as error:
            self._log.error("The kill could not cancel %s: %s", job.ref, error)
        else:
            self._log.info("The task was killed: asked %s to cancel %s", self._hook.service.label, job.ref)

    def cancel_surely(self, why: str) -> None:
        """Cancel the job that is still owned, verified, with as many attempts as it takes within a minute.

        :raises JobNotCancelledError: it may still run.
        """
        job = self._job
        if job is None:
            return
        try:
            outcome = self._hook.cancel(job.ref)
        except JobNotCancelledError:
            raise
        except Exception as error:
            raise JobNotCancelledError(f"{job.ref} may still run, it could not be cancelled: {error}") from error
        self.disarm()
        self._log.info("Ended because %s: %s", why, outcome.note)
