"""`remote-jobs list --service-side`, and a clean-up that looks for the jobs of starts that were never answered."""

from __future__ import annotations

import dataclasses
import json
import time
from typing import Any

import pytest

from airflow_provider_jobs import commands
from airflow_provider_jobs.__main__ import parser
from airflow_provider_jobs.books import Books
from airflow_provider_jobs.cleanup import Ages, Report, clean_up
from airflow_provider_jobs.hooks.datafiniti import DatafinitiHook
from airflow_provider_jobs.hooks.firecrawl import FirecrawlHook
from airflow_provider_jobs.jobs.finding import mark_hash
from airflow_provider_jobs.jobs.history import Closed, Entry
from airflow_provider_jobs.jobs.model import StartedJob
from airflow_provider_jobs.ledger_folder import LedgerFolder
from tests.cleanup.records import HOUR, entry, owner, read, write
from tests.conftest import FIRECRAWL_KEY, connection
from tests.transport.wire import free_port


def lost(job: StartedJob, sandbox: Any, *, seq: int = 1, **changes: Any) -> Entry:
    """What a task writes down about a start whose answer is lost: all but the job."""
    if job.ref.service == "firecrawl":
        hook: Any = FirecrawlHook()
        spec = hook.service.batch_scrape([f"{sandbox.urls['site']}/page1.html"], api_version="v1")
    else:
        hook = DatafinitiHook()
        spec = hook.service.download("businesses", "country:US", 3)
    began = sandbox.control.job(job.ref.job_id)["started_at"]
    made = entry(
        job, seq=seq, intent_at=began - 0.2, sent_at=began - 0.1, lost_at=began + 1, api_version=spec.api_version,
        mark=mark_hash(hook.service.mark(spec)),
    )  # fmt: skip
    return dataclasses.replace(made, job=None, **changes)


class Listed:
    """What the command says."""

    def __init__(self, code: int, out: list[str], err: list[str]) -> None:
        self.code, self.out, self.err = code, out, "\n".join(err)

    @property
    def rows(self) -> list[dict[str, Any]]:
        (text,) = self.out
        return list(json.loads(text))

    def row(self, job: StartedJob) -> dict[str, Any]:
        (found,) = [row for row in self.rows if row["job_id"] == job.ref.job_id]
        return found


@pytest.fixture
def listing(folder: LedgerFolder, airflow_says: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that runs `list --service-side` on the folder."""

    def run(*line: str) -> Listed:
        out: list[str] = []
        err: list[str] = []
        monkeypatch.setattr(commands, "all_books", lambda: (Books(None, folder), airflow_says))
        monkeypatch.setattr(commands, "_out", out.append)
        monkeypatch.setattr(commands, "_say", err.append)
        args = parser().parse_args(["remote-jobs", "list", "--service-side", "-o", "json", *line])
        work: Any = commands.list_jobs
        while hasattr(work, "__wrapped__"):
            work = work.__wrapped__
        return Listed(work(args), out, err)

    return run


# --- list -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["firecrawl", "datafiniti"])
def test_what_is_on_record_and_what_is_not(
    service: Any, sandbox: Any, folder: LedgerFolder, airflow_says: Any, listing: Any, name: str
) -> None:
    mine, strange = service.start(name), service.start(name)
    write(folder, owner(), entry(mine))
    airflow_says.states[owner()] = "failed"
    told = listing()
    assert (told.code, told.err) == (0, "")
    row = told.row(mine)
    assert list(row) == [
        "dag_id", "run_id", "task_id", "map_index", "generation", "service", "kind", "job_id", "conn_id", "state",
        "completed", "total", "age_s", "orphan", "reason",
    ]  # fmt: skip
    assert (row["dag_id"], row["map_index"], row["generation"], row["orphan"]) == ("a_dag", -1, 0, True)
    assert row["reason"] == "on record: its task is failed"
    assert (row["service"], row["kind"], row["conn_id"]) == (name, mine.ref.kind, f"{name}_default")
    other = told.row(strange)
    assert other["reason"] == "not on record"
    assert {other[key] for key in ("dag_id", "run_id", "task_id", "map_index", "generation", "orphan")} == {None}
    assert 0 <= other["age_s"] < 60


def test_the_job_of_a_start_without_an_answer(
    service: Any, sandbox: Any, folder: LedgerFolder, airflow_says: Any, listing: Any
) -> None:
    job = service.start()
    made = lost(job, sandbox)
    write(folder, owner(), made)
    airflow_says.states[owner()] = "failed"
    reason = listing().row(job)["reason"]
    assert reason.startswith(f"not on record; may be the unanswered start of {owner()} at 2")
    twin = service.start()
    assert listing().row(twin)["reason"] == "not on record", "two equal ones are not told apart"
    assert service.deletes() == 0


def test_the_state_comes_from_the_service(
    service: Any, sandbox: Any, folder: LedgerFolder, listing: Any
) -> None:  # fmt: skip
    """Firecrawl's activity shows none: it is asked for, job by job; Datafiniti's list shows it."""
    batch, done, download = service.start(), service.start(), service.start("datafiniti")
    write(folder, owner(1), entry(batch), entry(done, seq=2))
    write(folder, owner(2), entry(download))
    sandbox.control.act(done.ref.job_id, "finish")
    told = listing()
    assert [told.row(job)["state"] for job in (batch, done)] == [None, None]
    assert told.row(download)["state"] in {"pending", "running"}
    asked = listing("--service-state")
    assert asked.row(batch)["state"] == "running"
    assert done.ref.job_id not in {row["job_id"] for row in asked.rows}, "what is over is left out"
    row = listing("--service-state", "--all").row(done)
    assert (row["state"], row["completed"], row["orphan"]) == ("succeeded", 1, False)


def test_calls_are_no_jobs(service: Any, sandbox: Any, folder: LedgerFolder, listing: Any) -> None:
    write(folder, owner(), entry(service.start()))
    FirecrawlHook(api_version="v2").map(f"{sandbox.urls['site']}/index.html")
    assert {row["kind"] for row in listing().rows} == {"batch_scrape"}
    assert {row["kind"] for row in listing("--all").rows} == {"batch_scrape", "map"}


def test_one_connection(service: Any, folder: LedgerFolder, listing: Any) -> None:
    write(folder, owner(1), entry(service.start()))
    write(folder, owner(2), entry(service.start("datafiniti")))
    assert {row["conn_id"] for row in listing().rows} == {"firecrawl_default", "datafiniti_default"}
    assert {row["conn_id"] for row in listing("--conn-id", "datafiniti_default").rows} == {"datafiniti_default"}


def test_a_connection_that_no_record_names(service: Any, listing: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    job = service.start()
    assert listing().rows == []
    told = listing("--conn-id", "firecrawl_default")
    assert (told.code, told.row(job)["reason"]) == (0, "not on record")
    monkeypatch.setenv("AIRFLOW_CONN_OTHER", json.dumps({"conn_type": "http", "host": "x.test"}))
    for name, reason in (("other", "it is of type http"), ("nowhere", "nowhere")):
        told = listing("--conn-id", name)
        assert (told.code, told.rows) == (1, [])
        assert reason in told.err


def test_one_dag(service: Any, folder: LedgerFolder, listing: Any) -> None:
    """What is on no record belongs to no DAG."""
    mine, other, _strange = (service.start() for _ in range(3))
    write(folder, owner(1), entry(mine))
    write(folder, owner(2, dag_id="another"), entry(other))
    assert [row["job_id"] for row in listing("--dag-id", "a_dag").rows] == [mine.ref.job_id]


def test_a_server_that_cannot_list(
    service: Any, sandbox: Any, folder: LedgerFolder, listing: Any
) -> None:  # fmt: skip
    sandbox.control.settings(firecrawl={"server": "2025"})
    job = service.start()
    write(folder, owner(), entry(job))
    told = listing()
    assert (told.code, told.rows) == (1, [])
    assert "connection firecrawl_default: this server has no GET /v2/team/activity" in told.err


def test_a_service_that_cannot_be_reached(
    service: Any, folder: LedgerFolder, listing: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(folder, owner(1), entry(service.start()))
    job = service.start("datafiniti")
    write(folder, owner(2), entry(job))
    away = connection("firecrawl", f"http://127.0.0.1:{free_port()}", FIRECRAWL_KEY)
    monkeypatch.setenv("AIRFLOW_CONN_FIRECRAWL_DEFAULT", away)
    told = listing()
    assert told.code == 1
    assert [row["job_id"] for row in told.rows] == [job.ref.job_id]
    assert "connection firecrawl_default: " in told.err


def test_the_key_is_not_accepted(service: Any, sandbox: Any, folder: LedgerFolder, listing: Any) -> None:
    write(folder, owner(), entry(service.start()))
    sandbox.control.settings(firecrawl={"keys": ["fc-another"]})
    told = listing()
    assert told.code == 1
    assert "the key was not accepted" in told.err
    assert FIRECRAWL_KEY not in told.err


# --- clean-up ---------------------------------------------------------------------------------------------------------


def cleaned(folder: LedgerFolder, airflow_says: Any, **changes: Any) -> Report:
    return clean_up(Books(None, folder), airflow_says, **{"finds_lost": True, "ages": Ages(0, 0), **changes})


@pytest.mark.parametrize("name", ["firecrawl", "datafiniti"])
@pytest.mark.parametrize("state", ["failed", "deleted"])
def test_a_clean_up_ends_what_a_lost_start_has_made(
    service: Any, sandbox: Any, folder: LedgerFolder, airflow_says: Any, name: str, state: str
) -> None:
    job = service.start(name)
    write(folder, owner(), lost(job, sandbox))
    if state != "deleted":
        airflow_says.states[owner()] = state
    assert [f.record.job.ref for f in cleaned(folder, airflow_says, dry_run=True).ended] == [job.ref]
    assert service.is_untouched(job)
    report = cleaned(folder, airflow_says)
    assert [f.record.job.ref for f in report.ended] == [job.ref]
    assert (report.unanswered, report.is_clean) == ([], True)
    assert service.is_cancelled(job)
    assert read(folder, owner())[0].closed is Closed.CANCELLED
    assert cleaned(folder, airflow_says) == Report()


def test_a_clean_up_that_was_not_asked_to_look(
    service: Any, sandbox: Any, folder: LedgerFolder, airflow_says: Any
) -> None:  # fmt: skip
    """The sweep of a starting triggerer has no time for it."""
    job = service.start()
    write(folder, owner(), lost(job, sandbox))
    airflow_says.states[owner()] = "failed"
    asked = len(service.control.requests())
    report = cleaned(folder, airflow_says, finds_lost=False)
    assert len(report.unanswered) == 1
    assert len(service.control.requests()) == asked


def unanswered(report: Report) -> str:
    assert (report.ended, report.over, report.failed) == ([], [], [])
    (finding,) = report.unanswered
    return str(finding.problem)


def test_one_that_is_young(service: Any, sandbox: Any, folder: LedgerFolder, airflow_says: Any) -> None:
    job = service.start()
    write(folder, owner(), lost(job, sandbox))
    airflow_says.states[owner()] = "failed"
    assert "younger than 120 s" in unanswered(cleaned(folder, airflow_says, ages=Ages()))
    assert service.is_untouched(job)


def test_one_that_is_to_be_left(service: Any, sandbox: Any, folder: LedgerFolder, airflow_says: Any) -> None:
    job = service.start()
    write(folder, owner(), lost(job, sandbox, leave=True))
    airflow_says.states[owner()] = "failed"
    assert "left running on purpose" in unanswered(cleaned(folder, airflow_says))
    assert service.is_untouched(job)


@pytest.mark.parametrize("state", ["running", "deferred", None, "up_for_retry"])
def test_one_whose_task_may_come_back(
    service: Any, sandbox: Any, folder: LedgerFolder, airflow_says: Any, state: str | None
) -> None:
    job = service.start()
    write(folder, owner(), lost(job, sandbox))
    airflow_says.states[owner()] = state
    assert cleaned(folder, airflow_says) == Report()
    assert service.is_untouched(job)


@pytest.mark.parametrize("why", [None, Closed.HANDED_OVER, Closed.LEFT, Closed.DELIVERED])
def test_the_only_job_that_fits_is_another_tasks(
    service: Any, sandbox: Any, folder: LedgerFolder, airflow_says: Any, why: Closed | None
) -> None:
    """Ours never arrived. Theirs is closed, so that nothing of it stands among the open ones."""
    job = service.start()
    write(folder, owner(1), lost(job, sandbox))
    write(folder, owner(2), entry(job, closed=why))
    airflow_says.states |= {owner(1): "failed", owner(2): "success" if why else "running"}
    assert "on record as another start's" in unanswered(cleaned(folder, airflow_says))
    assert service.is_untouched(job)


def test_two_lost_starts_and_one_job(service: Any, sandbox: Any, folder: LedgerFolder, airflow_says: Any) -> None:
    job = service.start()
    for number in (1, 2):
        write(folder, owner(number), lost(job, sandbox))
        airflow_says.states[owner(number)] = "failed"
    report = cleaned(folder, airflow_says)
    assert len(report.unanswered) == 2
    assert report.ended == []
    assert service.is_untouched(job)


def test_a_record_that_cannot_all_be_read(
    service: Any, sandbox: Any, folder: LedgerFolder, airflow_says: Any, path: Any
) -> None:
    """Whose the job is may stand in what could not be read."""
    job = service.start()
    write(folder, owner(1), lost(job, sandbox))
    airflow_says.states[owner(1)] = "failed"
    write(folder, owner(2), entry(service.start("datafiniti")))
    for place in path.rglob("manual__2/**/*started.json"):
        place.write_text("{")
    report = cleaned(folder, airflow_says)
    assert "could not all be read" in str(report.unanswered[0].problem)
    assert report.problems
    assert service.is_untouched(job)


def test_another_airflows_database(service: Any, sandbox: Any, folder: LedgerFolder, airflow_says: Any) -> None:
    """It knows none of the tasks: nothing is looked for, and nothing ended."""
    job = service.start()
    write(folder, owner(1), lost(job, sandbox))
    write(folder, owner(2), dataclasses.replace(entry(None), intent_at=time.time() - HOUR))
    report = cleaned(folder, airflow_says)
    assert len(report.unanswered) == 2
    assert service.is_untouched(job)
