"""What all operators share that deliver the result of a job which something else has started."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowFailException

from airflow_provider_jobs.exceptions import JobCancelledError, JobFailedError, JobNotOverError
from airflow_provider_jobs.jobs.model import JobRef, StartedJob
from airflow_provider_jobs.operators.delivery import DeliveringOperator
from airflow_provider_jobs.tasks import airflow_errors

if TYPE_CHECKING:
    from airflow.sdk import Context


class FetchResultsOperator(DeliveringOperator):
    """Delivers the result of a job that is over. Starts nothing, waits for nothing, and never cancels.

    It looks at the job once. A job that still runs is an error, which a retry may mend; one that failed, was cancelled,
    or is not known to the service any more is an error for good.

    :param output_path: a folder on any object storage for the result; without it, the result is the return value, up
        to 1 MiB of JSON.
    :param max_failed: how many records may fail or be missing: a count (int), a share (float above 0, up to 1), or
        None: none may be missing, and something must have come. Nobody knows here how much was asked for, so a share
        is taken of what was delivered, failed or is missing.
    :param deliver_partial: deliver what a failed or cancelled job has, then fail.
    """

    def name_job(self) -> JobRef:
        """Return the name of the job that the rendered arguments describe.

        :raises InvalidInputError: they describe none.
        """
        raise NotImplementedError

    def execute(self, context: Context) -> Any:
        """Deliver the result."""
        with airflow_errors():
            ref = self.name_job()
            self._prepare(context)
            self._push(context, ref)
            status = self.hook.look(ref)
            if not status.state.is_over:
                raise JobNotOverError(
                    f"{ref} is not over yet: {status.describe()}. Left running; wait for it with the sensor first"
                )
            try:
                return self._finish(context, StartedJob(ref, started_at=time.time()), status)
            except (JobFailedError, JobCancelledError) as error:
                # It will not end in another way.
                raise AirflowFailException(str(error)) from error
