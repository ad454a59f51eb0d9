"""What the stories of the kill paths play on."""

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from tests.airflow.stories import OVER, Run, Stage, Telling, Until, process_gone
from tests.support.cluster import RUN_IS_OVER, AirflowCluster

BOTH = [{"service": "firecrawl"}, {"service": "datafiniti"}]
FAST = 30.0
"""Seconds from the act to the end of the job; a triggerer that has not been asked anything yet needs up to ten."""
FOREVER = 3600.0


@dataclass(frozen=True)
class Cue(Until):
    """Wait for the scene's act of this name."""

    act: str = ""


class SystemStage(Stage):
    """A stage on which a story says what may become of its jobs."""

    def __init__(self, airflow: AirflowCluster, name: str, acted: Callable[[str], bool] = lambda act: True) -> None:
        """Prepare the stage.

        :param acted: tells whether the scene's act of this name has been performed
        """
        super().__init__(airflow, name)
        self._acted = acted
        self._ends: set[str] = set()
        self._keeps: set[str] = set()
        self._leaves: set[str] = set()
        self._ends_all = False
        self._nameless: dict[str, Run] = {}

    # -- what is right -------------------------------------------------------------------------------------------

    def ends(self, job: str | dict[str, Any]) -> None:
        """From now on a cancel of this job is right; a cancel that it has met already was not."""
        self._declare(self._ends, job)

    def leaves(self, job: str | dict[str, Any]) -> None:
        """The path leaves this job running until `cleanup`, which ends it."""
        self._declare(self._leaves, job)

    def keeps(self, job: str | dict[str, Any]) -> None:
        """This job must run on, also after `cleanup`."""
        self._declare(self._keeps, job)

    def ends_all(self) -> None:
        """From now on a cancel of any job of this story is right."""
        self._ends_all = True

    def nameless(self, job: dict[str, Any], run: Run) -> None:
        """Nobody has this job's id: no code can end it. `remote-jobs list` must show its start; then a person does."""
        self._nameless[str(job["id"])] = run

    def by_hand(self) -> None:
        """Do what the log asks for: end the nameless jobs at the service, once it is sure that they are shown."""
        for job_id, run in self._nameless.items():
            if self.control.job(job_id)["state"] in OVER:
                continue
            entries = listed(run)
            assert [entry["job_id"] for entry in entries] == [None], f"the start is not shown: {entries}"
            self.control.act(job_id, "cancel")

    def _declare(self, into: set[str], job: str | dict[str, Any]) -> None:
        job_id = job if isinstance(job, str) else str(job["id"])
        assert not self.control.job(job_id)["cancelled_by_delete"], f"{job_id} was cancelled before anything happened"
        into.add(job_id)

    # -- what to wait for ----------------------------------------------------------------------------------------

    def cue(self, act: str) -> Cue:
        """Wait until the scene has performed this act: it does so when all its stories wait for a cue, or are over."""
        return Cue(f"the act '{act}'", lambda: self._acted(act), FOREVER, act)

    def over(self, run: Run, state: str, task_id: str = "job", timeout: float = FAST) -> Telling:
        """Wait until nothing of the story runs and the task is over in this state, its process too."""
        yield self.nothing_runs(timeout)
        yield run.becomes(state, task_id)
        yield process_gone(run, task_id)

    def cancelled(self, job: dict[str, Any], timeout: float = FAST) -> Until:
        """Wait until this job was cancelled by a DELETE."""
        return Until(
            f"{job['id']} to be cancelled", lambda: self.control.job(job["id"])["cancelled_by_delete"], timeout
        )

    def end_runs(self) -> None:
        """End the runs that go on after all has been judged, so that they disturb nobody."""
        for run in self.runs:
            with suppress(Exception):
                if self.airflow.run(run.dag_id, run.run_id)["state"] not in RUN_IS_OVER:
                    run.mark_run("failed")

    # -- the verdict ---------------------------------------------------------------------------------------------

    def states(self) -> str:
        """Return the states of all tasks of all runs, distinct and sorted, joined by `/`."""
        found: set[str] = set()
        for run in self.runs:
            answer = self.airflow.api_raw("GET", f"/dags/{run.dag_id}/dagRuns/{run.run_id}/taskInstances")
            tasks = answer.json()["task_instances"] if answer.ok else []
            found |= {str(task["state"]) for task in tasks} or {"gone"}
        return "/".join(sorted(found))

    def left(self) -> list[str]:
        """Return the jobs that run and need not."""
        return [job["id"] for job in self.running() if job["id"] not in self._keeps]

    def left_undeclared(self) -> list[str]:
        """Return the jobs that run, and the story does not say so."""
        return [job_id for job_id in self.left() if job_id not in {*self._leaves, *self._nameless}]

    def false_cancels(self) -> list[str]:
        """Return the jobs that were cancelled and should not have been, until now."""
        if self._ends_all:
            return []
        right = self._ends | self._leaves
        return [job["id"] for job in self.jobs() if job["cancelled_by_delete"] and job["id"] not in right]

    def lost(self) -> list[str]:
        """Return the jobs that had to run on, and do not."""
        running = {job["id"] for job in self.running()}
        return sorted(self._keeps - running)

    def most_at_once(self) -> int:
        """Return how many jobs have run at the same time, at most."""
        changes: list[tuple[float, int]] = []
        for job in self.jobs():
            changes.append((job["started_at"], 1))
            if job["ended_at"] is not None:
                changes.append((job["ended_at"], -1))
        now = peak = 0
        for _, change in sorted(changes):  # at the same moment the end comes first
            now += change
            peak = max(peak, now)
        return peak


def listed(run: Run) -> list[dict[str, Any]]:
    """Return what `remote-jobs list` says of a run."""
    answer = run.airflow.cli("remote-jobs", "list", "--dag-id", run.dag_id, "-o", "json")
    try:
        entries = json.loads(answer.stdout)
    except ValueError:
        raise AssertionError(f"`remote-jobs list` says no JSON: {answer.stdout[-300:]}{answer.stderr[-300:]}") from None
    return [entry for entry in entries if entry["run_id"] == run.run_id]
