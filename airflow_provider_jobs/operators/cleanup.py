"""The clean-up as a task."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from airflow_provider_jobs.books import Books
from airflow_provider_jobs.cleanup import Ages, clean_up
from airflow_provider_jobs.compat import AirflowOfTask
from airflow_provider_jobs.durations import seconds
from airflow_provider_jobs.exceptions import InvalidInputError, JobNotCancelledError, LedgerError, LedgerSettingsError
from airflow_provider_jobs.ledger_folder import LedgerFolder
from airflow_provider_jobs.tasks import airflow_errors

if TYPE_CHECKING:
    from airflow.sdk import Context


class RemoteJobsCleanupOperator(BaseOperator):
    """Ends the jobs whose task is over, as ``airflow remote-jobs cleanup`` does, from the ledger folder.

    A task cannot read Airflow's database, so ``[airflow_provider_jobs] ledger_path`` must be set.

    :param older_than: leave younger jobs alone, in seconds or as timedelta. Default 2 minutes.
    :param only_report: end nothing, report what would be ended.
    :param force: also when Airflow knows none of the tasks in the folder.
    :raises InvalidInputError: an argument is of another type; at construction.
    :raises LedgerSettingsError: no ledger folder is configured.
    :raises LedgerError: something could not be read; what could be, was dealt with.
    :raises JobNotCancelledError: a job could not be ended.
    """

    def __init__(
        self,
        *,
        older_than: float | dt.timedelta = 120.0,
        only_report: bool = False,
        force: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.older_than = seconds(older_than, "older_than")
        self.only_report = _switch(only_report, "only_report")
        self.force = _switch(force, "force")

    def execute(self, context: Context) -> dict[str, list[str]]:
        """End them, and return what was done, by what became of each job."""
        with airflow_errors():
            return self._clean_up(context)

    def _clean_up(self, context: Context) -> dict[str, list[str]]:
        folder = LedgerFolder.configured()
        if folder is None:
            raise LedgerSettingsError(
                "a task can only clean up what is recorded in a folder: set [airflow_provider_jobs] ledger_path and "
                "deployment, or run airflow remote-jobs cleanup instead"
            )
        report = clean_up(
            Books(None, folder),
            AirflowOfTask(context),
            ages=Ages(self.older_than, self.older_than),
            force=self.force,
            dry_run=self.only_report,
            finds_lost=True,
        )
        if report.refused:
            raise LedgerError(report.refused)
        done: dict[str, list[str]] = {}
        for place in ("ended", "over", "spared", "unanswered", "calls", "failed"):
            findings = getattr(report, place)
            done[place] = [str(finding) for finding in findings]
            for finding in findings:
                self.log.info("%s: %s%s", place, finding, f": {finding.problem}" if finding.problem else "")
        if report.failed:
            raise JobNotCancelledError(
                f"{len(report.failed)} jobs could not be ended and may still run: {'; '.join(done['failed'][:5])}"
            )
        del done["failed"]
        if report.problems:
            raise LedgerError("; ".join(report.problems))
        return done


def _switch(value: Any, name: str) -> bool:
    # A text such as "False" would count as true.
    if not isinstance(value, bool):
        raise InvalidInputError(f"{name} must be True or False, not {value!r}; it cannot be a template")
    return value
