"""What all operators share that start a job: start, wait or defer, deliver, cancel."""

from __future__ import annotations

import datetime as dt
import time
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.sdk import conf
from airflow.sdk.exceptions import AirflowFailException, TaskDeferralTimeout

from airflow_provider_jobs.compat import FAIL_METHOD, Owner, own_state
from airflow_provider_jobs.durations import seconds
from airflow_provider_jobs.exceptions import (
    JobKilledError,
    JobTimeoutError,
    RemoteJobsError,
    TriggerEventError,
)
from airflow_provider_jobs.hooks.base import timed_out_text
from airflow_provider_jobs.jobs.event import JobEvent, Outcome
from airflow_provider_jobs.jobs.model import JobRef, JobSpec, JobState, JobStatus, JobSummary, StartedJob
from airflow_provider_jobs.jobs.progress import Progress
from airflow_provider_jobs.operators.custody import Custody
from airflow_provider_jobs.operators.delivery import DeliveringOperator
from airflow_provider_jobs.tasks import DEFERRAL_MARGIN, airflow_errors, log_look

if TYPE_CHECKING:
    from airflow.sdk import Context

DAY = 24 * 3600.0


class RemoteJobOperator(DeliveringOperator):
    """Starts a job, waits for it, delivers its result; cancels it when the task is killed.

    :param wait_for_completion: False starts the job, pushes its id and leaves it to others.
    :param deferrable: wait in the triggerer; default from ``[operators] default_deferrable``.
    :param poll_interval: the longest pause between two looks, in seconds or as timedelta. Default 30 s.
    :param job_timeout: wall clock from the job's start, in seconds or as timedelta; then the job is cancelled and the
        task fails. Default 24 h.
    :param cancel_on_kill: False leaves the job running when the task is killed.
    :param durable: the next try goes on with the job that is running or already paid for. False: it cancels a running
        one and starts its own.
    :param output_path: a folder on any object storage for the result; without it, the result is the return value, up
        to 1 MiB of JSON.
    :param max_failed: how many records may fail or be missing: a count (int), a share (float above 0, up to 1), or
        None: none may be missing, and something must have come.
    :param deliver_partial: deliver what a failed or cancelled job has, then fail.
    :param check_options: False sends ``options`` as they are, without a check of keys, types and limits.
    """

    def __init__(
        self,
        *,
        wait_for_completion: bool = True,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        poll_interval: float | dt.timedelta = 30.0,
        job_timeout: float | dt.timedelta = DAY,
        cancel_on_kill: bool = True,
        durable: bool = True,
        check_options: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.wait_for_completion = wait_for_completion
        self.deferrable = deferrable
        self.poll_interval = seconds(poll_interval, "poll_interval")
        self.job_timeout = seconds(job_timeout, "job_timeout")
        self.cancel_on_kill = cancel_on_kill
        self.durable = durable
        self.check_options = check_options
        self._custody: Custody | None = None

    # --- what a service adds ----------------------------------------------------------------------------------

    @property
    def conn_id(self) -> str:
        """The connection's id."""
        raise NotImplementedError

    def build(self) -> JobSpec:
        """Return the job that the rendered arguments describe.

        :raises InvalidInputError: the service would refuse it or bill for nothing.
        """
        raise NotImplementedError

    def name_job(self, job_id: str, api_version: str | None) -> JobRef:
        """Return the name of a job of this operator."""
        raise NotImplementedError

    # --- execute ----------------------------------------------------------------------------------------------

    def execute(self, context: Context) -> Any:
        """Start the job and see it through, or defer."""
        with airflow_errors():
            spec = self.build()
            self._prepare(context)
            self._custody = custody = self._take_custody(context)
            job = custody.take_up(spec) or custody.start(spec)
            with custody.answerable():
                return self._go_on(context, job, custody)

    def _take_custody(self, context: Context) -> Custody:
        return Custody(self.hook, context, cancels=self.cancel_on_kill, durable=self.durable, log=self.log)

    def _go_on(self, context: Context, job: StartedJob, custody: Custody) -> Any:
        custody.killer.check()
        self._push(context, job.ref)
        self.log.info("%s through connection %s", job.ref, self.conn_id)
        if job.refused:
            self.log.warning("%d inputs were refused: %s …", job.refused, ", ".join(job.refused_names[:5]))
        if not self.wait_for_completion:
            custody.killer.check()
            custody.hand_over()
            self.log.info("%s is handed over: it runs on when this task is over", job.ref)
            return _handed_over(job)
        if self.deferrable:
            first = self._first_look(job)
            if first is None or not first.state.is_over:
                self._defer(context, job, custody)
            return self._finish(context, job, first)
        progress = Progress()

        def saw(status: JobStatus) -> None:
            log_look(self.log, job.ref, progress, status)

        status = self.hook.wait(
            job, poll_interval=self.poll_interval, deadline=job.started_at + self.job_timeout, on_status=saw,
            sleep=custody.killer.sleep,
        )  # fmt: skip
        return self._finish(context, job, status)

    def _first_look(self, job: StartedJob) -> JobStatus | None:
        try:
            return self.hook.look(job.ref)
        except RemoteJobsError as error:
            self.log.info("The first look at %s failed, the trigger goes on: %s", job.ref, error)
            return None

    def _defer(self, context: Context, job: StartedJob, custody: Custody) -> NoReturn:
        # Lazy: an operator that does not defer needs no aiohttp.
        from airflow_provider_jobs.triggers.job import JobTrigger

        deadline = self._deadline(context, job)
        trigger = JobTrigger(
            conn_id=self.conn_id,
            job=job.to_dict(),
            owner=Owner.of(context).to_dict(),
            deadline=deadline,
            poll_interval=self.poll_interval,
            cancel_on_kill=self.cancel_on_kill,
            cancel_at_deadline=self.hook.service.kinds[job.ref.kind].cancellable,
            leave_when_lost=custody.may_leave,
        )
        custody.killer.check()
        view = own_state(context)
        custody.killer.check()
        if not view.exists or view.state != "running":
            custody.killer.killed = True
            raise JobKilledError(f"the task is {view.state or 'gone'}: it was ended before it could wait for {job.ref}")
        left = max(0.0, deadline - time.time()) + DEFERRAL_MARGIN
        self.defer(
            trigger=trigger,
            method_name="execute_complete",
            kwargs={"job": job.to_dict()},
            timeout=dt.timedelta(seconds=left),
        )
        raise AssertionError("defer() does not return")

    def _deadline(self, context: Context, job: StartedJob) -> float:
        deadline = job.started_at + self.job_timeout
        if self.execution_timeout is not None:
            # Airflow does not enforce it while a task is deferred.
            begun = context["ti"].start_date.timestamp()
            deadline = min(deadline, begun + self.execution_timeout.total_seconds())
        return deadline

    # --- resumed ----------------------------------------------------------------------------------------------

    def execute_complete(self, context: Context, event: Any = None, job: dict[str, Any] | None = None) -> Any:
        """Go on after the trigger has fired."""
        with airflow_errors():
            started = StartedJob.from_dict(job) if job else self._job_of_this_try(context)
            if started is None:
                raise TriggerEventError("the task was resumed without a word of its job")
            self._custody = custody = self._take_custody(context)
            custody.resume(started)
            with custody.answerable():
                return self._read_event(context, started, JobEvent.of(event, started.ref), custody)

    def _read_event(self, context: Context, job: StartedJob, event: JobEvent, custody: Custody) -> Any:
        if event.outcome is Outcome.OVER and event.status is not None:
            return self._finish(context, job, event.status)
        if event.cancelled:
            custody.cancelled()
        told = "it was cancelled" if event.cancelled else "the trigger did not cancel it"
        if event.outcome is Outcome.TIMED_OUT:
            raise JobTimeoutError(f"{timed_out_text(job, event.status, time.time())}; {told}")
        error = f"{job.ref} could not be watched any more, {told}: {event.error}"
        raise AirflowFailException(error) if event.permanent else RemoteJobsError(error)

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """End the job first when Airflow cut the wait off, or when the trigger broke; then go on as usual."""
        if next_method != FAIL_METHOD:
            return super().resume_execution(next_method, next_kwargs, context)
        with airflow_errors():
            self._custody = custody = self._take_custody(context)
            job = self._job_of_this_try(context)
            if job is not None:
                custody.resume(job)
            with custody.answerable():
                try:
                    return super().resume_execution(next_method, next_kwargs, context)
                except TaskDeferralTimeout as error:
                    custody.end(error)
                    raise

    def _job_of_this_try(self, context: Context) -> StartedJob | None:
        ti = context["ti"]
        map_index = -1 if ti.map_index is None else ti.map_index

        def pull(key: str) -> Any:
            return ti.xcom_pull(task_ids=self.task_id, key=key, map_indexes=map_index)

        job_id = pull("job_id")
        if not job_id:
            return None
        return StartedJob(self.name_job(str(job_id), pull("api_version")), started_at=ti.start_date.timestamp())

    # --- the end ----------------------------------------------------------------------------------------------

    def _saw_end(self, status: JobStatus) -> None:
        if self._custody is not None:
            self._custody.check_mine()
            self._custody.is_over(status)

    def _has_delivered(self) -> None:
        if self._custody is not None:
            # A killed task ends as killed; what it has delivered, its next try delivers again.
            self._custody.killer.check()
            self._custody.delivered()

    # --- kill -------------------------------------------------------------------------------------------------

    def on_kill(self) -> None:
        """Cancel the job; called by Airflow in the middle of whatever ``execute`` is doing."""
        if self._custody is not None:
            self._custody.killer.kill()


def _handed_over(job: StartedJob) -> dict[str, Any]:
    summary = JobSummary(
        service=job.ref.service, kind=job.ref.kind, job_id=job.ref.job_id, state=str(JobState.RUNNING), completed=None,
        total=None, records=0, failed=job.refused, missing=0, credits_used=None,
    )  # fmt: skip
    return summary.to_dict()
