"""What the sensors of all services share."""

from __future__ import annotations

import datetime as dt
import time
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.sdk import BaseSensorOperator, PokeReturnValue, conf
from airflow.sdk.exceptions import AirflowFailException, AirflowSensorTimeout, AirflowSkipException

from airflow_provider_jobs.compat import Owner, own_state, try_is_left
from airflow_provider_jobs.exceptions import JobKilledError, JobNotCancelledError, RemoteJobsError
from airflow_provider_jobs.hooks.base import RemoteJobsHook
from airflow_provider_jobs.jobs.event import JobEvent, Outcome
from airflow_provider_jobs.jobs.model import JobRef, JobState, JobStatus, StartedJob
from airflow_provider_jobs.jobs.progress import Progress
from airflow_provider_jobs.jobs.verdict import GiveUp, Over, Watch
from airflow_provider_jobs.operators.killing import Killer
from airflow_provider_jobs.tasks import DEFERRAL_MARGIN, airflow_errors, log_look

if TYPE_CHECKING:
    from airflow.sdk import Context


DEADLINE = "airflow_provider_jobs.sensor"
"""The key of a sensor's deadline in Airflow's task state store."""


class RemoteJobSensor(BaseSensorOperator):
    """Waits until a job is over. Never cancels it, unless asked to.

    A job that failed or was cancelled fails the sensor without a retry (or skips it, with ``soft_fail``).

    :param poke_interval: the longest pause between two looks, in seconds or as timedelta. Default 60 s.
    :param deferrable: wait in the triggerer; default from ``[operators] default_deferrable``.
    :param cancel_on_kill: cancel the job when a user ends the sensor. In reschedule mode no code runs between two
        looks, so a kill there cancels nothing.
    """

    def __init__(
        self,
        *,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        cancel_on_kill: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.deferrable = deferrable
        self.cancel_on_kill = cancel_on_kill
        self._killer: Killer | None = None
        self._watch: Watch | None = None
        self._progress = Progress()

    def make_hook(self) -> RemoteJobsHook:
        """Return the hook of the connection."""
        raise NotImplementedError

    def name_job(self, hook: RemoteJobsHook) -> JobRef:
        """Return the name of the job to wait for."""
        raise NotImplementedError

    def execute(self, context: Context) -> Any:
        """Wait for the job, here or in the triggerer."""
        with airflow_errors():
            hook = self.make_hook()
            job = StartedJob(self.name_job(hook), started_at=time.time())
            deadline = self._first_deadline(context)
            if self.cancel_on_kill:
                self._killer = Killer(
                    hook, cancels=True, log=self.log, ask=lambda: (own_state(context), True),
                    may_leave=try_is_left(context),
                )  # fmt: skip
                self._killer.owns(job)
        try:
            if not self.deferrable:
                if not self.reschedule:
                    # Airflow counts from the try's start there; one look there is in any case.
                    self.timeout = max(deadline - time.time(), 0.001)
                return super().execute(context)
            first = self._first_look(context)
            if first.is_done:
                return first.xcom_value
            return self._defer(context, hook, job, deadline)
        except JobKilledError:
            self._end_surely()
            raise
        finally:
            if self._killer is not None:
                self._killer.disarm()

    def _end_surely(self) -> None:
        # The signal handler has little time; here the cancel is asked for again, and checked.
        killer = self._killer
        if killer is None or killer.job is None or killer.is_left():
            return
        try:
            killer.cancel_surely("the sensor was killed")
        except JobNotCancelledError as error:
            self.log.error("%s", error)

    def poke(self, context: Context) -> PokeReturnValue:
        """Look at the job once."""
        with airflow_errors():
            if self._killer is not None:
                self._killer.check()
            hook = self.make_hook()
            ref = self.name_job(hook)
            if self._watch is None:
                self._watch = Watch(
                    started_at=self._begun(context),
                    deadline=None,
                    poll_interval=self.poke_interval,
                    floor=hook.service.floor,
                    address_known=False,
                )
            try:
                status = hook.look(ref)
            except RemoteJobsError as error:
                verdict = self._watch.missed(error, time.time())
                if isinstance(verdict, GiveUp):
                    raise
                self.log.warning("A look at %s failed, it is tried again: %s", ref, error)
                return PokeReturnValue(is_done=False)
            log_look(self.log, ref, self._progress, status)
            if isinstance(self._watch.saw(status, time.time()), Over):
                return PokeReturnValue(is_done=True, xcom_value=ended(ref, status))
            return PokeReturnValue(is_done=False)

    def _first_look(self, context: Context) -> PokeReturnValue:
        try:
            return self.poke(context)
        except AirflowFailException as error:
            # As BaseSensorOperator does around its own looks.
            if self.soft_fail or self.never_fail:
                raise AirflowSkipException(f"skipped instead of failed: {error}") from error
            raise

    def _begun(self, context: Context) -> float:
        # In reschedule mode every look is a process of its own, and the wait is older than it.
        first = context["ti"].get_first_reschedule_date(context) if self.reschedule else None
        return first.timestamp() if first is not None else time.time()

    def _first_deadline(self, context: Context) -> float:
        """Return the end of the wait, which a retry does not move; a clear does."""
        store, generation = context.get("task_state_store"), context["ti"].max_tries
        deadline = time.time() + float(self.timeout)
        if store is None:
            return deadline
        kept: Any = store.get(DEADLINE)
        if isinstance(kept, dict) and kept.get("generation") == generation:
            return min(deadline, float(kept["deadline"]))
        store.set(DEADLINE, {"generation": generation, "deadline": deadline})
        return deadline

    def _defer(self, context: Context, hook: RemoteJobsHook, job: StartedJob, deadline: float) -> NoReturn:
        # Lazy: a sensor that does not defer needs no aiohttp.
        from airflow_provider_jobs.triggers.job import JobTrigger

        context["ti"].xcom_push(key="job_id", value=job.ref.job_id)
        if self.execution_timeout is not None:
            # Airflow does not enforce it while a task is deferred.
            begun = context["ti"].start_date.timestamp()
            deadline = min(deadline, begun + self.execution_timeout.total_seconds())
        trigger = JobTrigger(
            conn_id=hook.conn_id,
            job=job.to_dict(),
            owner=Owner.of(context).to_dict(),
            deadline=deadline,
            poll_interval=self.poke_interval,
            cancel_on_kill=self.cancel_on_kill,
            cancel_at_deadline=False,
        )
        self.defer(
            trigger=trigger,
            method_name="execute_complete",
            kwargs={"job": job.to_dict()},
            timeout=dt.timedelta(seconds=max(0.0, deadline - time.time()) + DEFERRAL_MARGIN),
        )
        raise AssertionError("defer() does not return")

    def execute_complete(self, context: Context, event: Any, job: dict[str, Any]) -> Any:
        """Go on after the trigger has fired."""
        with airflow_errors():
            started = StartedJob.from_dict(job)
            found = JobEvent.of(event, started.ref)
            if found.outcome is Outcome.OVER and found.status is not None:
                return ended(found.job, found.status)
            if found.outcome is Outcome.TIMED_OUT:
                seen = found.status.describe() if found.status else "never seen"
                waited = time.time() - started.started_at
                raise AirflowSensorTimeout(
                    f"{started.ref} was not over after {waited:.0f} s of waiting: {seen}; it was left running"
                )
            error = f"{found.job} could not be watched any more: {found.error}"
            raise AirflowFailException(error) if found.permanent else RemoteJobsError(error)

    def on_kill(self) -> None:
        """Cancel the job, where that was asked for."""
        if self._killer is not None:
            self._killer.kill()


def ended(ref: JobRef, status: JobStatus) -> dict[str, Any]:
    """Return what a sensor hands on about a job that succeeded.

    :raises AirflowFailException: the job failed or was cancelled.
    """
    if status.state is not JobState.SUCCEEDED:
        raise AirflowFailException(
            f"{ref} ended as {status.describe()}" + (f": {status.error}" if status.error else "")
        )
    return {
        "service": ref.service,
        "kind": ref.kind,
        "job_id": ref.job_id,
        "state": str(status.state),
        "completed": status.completed,
        "total": status.total,
        "credits_used": status.credits_used,
    }
