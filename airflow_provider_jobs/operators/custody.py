"""A job in the hands of one try: written down, answered for, and given away or ended."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from airflow.sdk.exceptions import AirflowFailException, AirflowTaskTimeout, TaskDeferred

from airflow_provider_jobs.compat import OwnerView, own_state, policy_fails, try_is_left
from airflow_provider_jobs.exceptions import (
    JobKilledError,
    JobNotCancelledError,
    JobTimeoutError,
    RemoteJobsError,
    StartUncertainError,
)
from airflow_provider_jobs.hooks.base import RemoteJobsHook
from airflow_provider_jobs.jobs.history import Closed, Entry, may_be_anothers
from airflow_provider_jobs.jobs.model import JobSpec, JobState, JobStatus, StartedJob
from airflow_provider_jobs.ledger import Ledger
from airflow_provider_jobs.operators.earlier import goes_on, settle
from airflow_provider_jobs.operators.killing import Killer
from airflow_provider_jobs.operators.recovery import Others, find_now, recover


class Custody:
    """What one try does with its job, and the ledger's record of it.

    :param cancels: whether a kill cancels the job.
    :param durable: whether the next try goes on with the job.
    """

    def __init__(
        self, hook: RemoteJobsHook, context: Mapping[str, Any], *, cancels: bool, durable: bool, log: Any
    ) -> None:
        self._hook = hook
        self._context = context
        self._durable = durable
        self._cancels = cancels
        self._log = log
        self.may_leave = durable and try_is_left(context)
        self._entry: Entry | None = None
        self._ledger = Ledger.of(context)
        self.killer = Killer(hook, cancels=cancels, log=log, ask=self._ask, may_leave=self.may_leave)
        self._others = Others(self._ledger, context, check=self.killer.check)

    def _ask(self) -> tuple[OwnerView, bool]:
        view = own_state(self._context)
        # One question less, where the answer cannot matter: the time for them is short.
        return view, not may_be_anothers(view.state) or self._ledger.is_mine()

    # --- in ---------------------------------------------------------------------------------------------------

    def take_up(self, spec: JobSpec) -> StartedJob | None:
        """Go on with a job of an earlier try, if that is right, and end those that must not go on.

        :raises RemoteJobsError: that could not be told or done; nothing may be started.
        """
        # What is found counts as if its answer had come: the plan then says what becomes of it.
        searched = recover(self._ledger, self._hook, spec, others=self._others, log=self._log)
        decided = self._ledger.plan(self._hook.conn_id, spec)
        settle(self._ledger, self._hook, decided, log=self._log, searched=searched)
        entry = decided.ask
        if entry is None or entry.job is None:
            return None
        self._entry = entry
        self.killer.owns(entry.job)
        with self.answerable():
            if goes_on(self._ledger, self._hook, entry, durable=self._durable, log=self._log):
                return entry.job
        self.killer.disarm()
        self._entry = None
        return None

    def start(self, spec: JobSpec) -> StartedJob:
        """Start a job: written down before and after. One whose answer is lost is looked for.

        :raises StartUncertainError: it was not found.
        """
        service = self._hook.service
        request = service.start(spec)
        self.killer.arm()
        self._entry = entry = self._ledger.intend(
            self._hook.conn_id, spec, str(request), leave=not self._cancels, mark=service.mark(spec)
        )
        try:
            job = self._hook.start(spec, sleep=self.killer.sleep)
        except StartUncertainError as error:
            self._entry = entry = self._lost(entry, error)
            if not isinstance(error.__cause__, RemoteJobsError):
                raise  # Airflow ended the try in the middle of it: there is no time left
            job = find_now(
                self._hook, entry, error, asked=spec.asked, others=self._others, sleep=self.killer.sleep, log=self._log
            )
        except RemoteJobsError:
            # A definite no. Anything else leaves the question open.
            self._ledger.close(entry, Closed.NOT_STARTED)
            raise
        with self.answerable():
            self.killer.owns(job)
        try:
            self._entry = self._ledger.started(entry, job)
        except BaseException as error:
            # Without its id on record, no later try and no clean-up could find it.
            self.end(error)
            raise
        return job

    def _lost(self, entry: Entry, error: StartUncertainError) -> Entry:
        try:
            return self._ledger.lost(entry, error.sent_at, error.lost_at)
        except Exception as problem:
            self._log.warning("When the start's answer was given up could not be written down: %s", problem)
            return dataclasses.replace(entry, sent_at=error.sent_at, lost_at=error.lost_at)

    def resume(self, job: StartedJob) -> None:
        """Take a job back from the trigger."""
        self._entry = self._ledger.entry_of(job.ref.job_id)
        self.killer.owns(job)

    # --- out --------------------------------------------------------------------------------------------------

    def check_mine(self) -> None:
        """Make sure that no other try has taken this one's place.

        :raises JobKilledError: one has; it delivers the result.
        """
        if not self._ledger.is_mine():
            raise JobKilledError("another try of the task has taken this one's place")

    def hand_over(self) -> None:
        """The job belongs to somebody else now."""
        self.killer.disarm()
        self._close(Closed.HANDED_OVER)

    def is_over(self, status: JobStatus) -> None:
        """The job has ended: nothing has to end it. A success stays open until it is delivered."""
        self.killer.disarm()
        if status.state is JobState.FAILED:
            self._close(Closed.FAILED)
        elif status.state is JobState.CANCELLED:
            self._close(Closed.CANCELLED)

    def cancelled(self) -> None:
        """The trigger has cancelled the job, verified."""
        self.killer.disarm()
        self._close(Closed.CANCELLED)

    def delivered(self) -> None:
        """The result is where the user wants it."""
        self._close(Closed.DELIVERED)

    def _close(self, why: Closed) -> None:
        if self._entry is not None and self._entry.is_open:
            self._ledger.close(self._entry, why)
            self._entry = None

    # --- what breaks in between -------------------------------------------------------------------------------

    @contextmanager
    def answerable(self) -> Iterator[None]:
        """Whatever breaks while the job is in hand: it is ended, or left for the next try; never forgotten."""
        try:
            yield
        except TaskDeferred:
            # The triggerer's from here on.
            self.killer.disarm()
            raise
        except BaseException as error:
            job = self.killer.job
            if job is None:
                raise
            if self.killer.is_left(final=is_final(error) or policy_fails(self._context, error)):
                self._log.warning("%s runs on: another try goes on with it", job.ref)
                raise
            if isinstance(error, JobKilledError) and not self._cancels:
                self._log.warning("%s is left running, as cancel_on_kill=False asks for", job.ref)
                self._close(Closed.LEFT)
                raise
            self.end(error)
            raise

    def end(self, error: BaseException) -> None:
        """Cancel the job because of an error.

        :raises AirflowFailException: it may still run; a retry would start a second one beside it.
        """
        job = self.killer.job
        if job is not None and not self._hook.service.kinds[job.ref.kind].cancellable:
            self._log.warning("%s runs on and is billed: %s cannot cancel it", job.ref, self._hook.service.label)
            self.killer.disarm()
            self._close(Closed.LEFT)
            if self.may_leave:
                raise AirflowFailException(
                    f"{error}. It runs on, and a retry would start a second one beside it; clear the task to do so"
                ) from error
            return
        try:
            self.killer.cancel_surely(f"the task failed ({type(error).__name__})")
        except JobNotCancelledError as problem:
            raise AirflowFailException(f"{error}; moreover, {problem}") from error
        self._close(Closed.CANCELLED)


def is_final(error: BaseException) -> bool:
    """Whether an error ends the job whatever tries are left: a deadline, or one that a retry cannot mend."""
    if isinstance(error, JobTimeoutError | AirflowTaskTimeout | AirflowFailException):
        return True
    return isinstance(error, RemoteJobsError) and error.permanent
