"""A start whose answer was lost, over HTTP: its job is found and gone on with, or it is said why not (P3, F19, DF2)."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_jobs.compat import Owner
from airflow_provider_jobs.exceptions import JobKilledError, StartUncertainError
from airflow_provider_jobs.hooks.datafiniti import DatafinitiHook
from airflow_provider_jobs.hooks.firecrawl import FirecrawlHook
from airflow_provider_jobs.jobs.finding import mark_hash
from airflow_provider_jobs.jobs.history import Closed, Entry
from airflow_provider_jobs.jobs.model import JobSpec
from airflow_provider_jobs.ledger import KEY
from airflow_provider_jobs.ledger_folder import LedgerFolder
from airflow_provider_jobs.operators import recovery
from airflow_provider_jobs.operators.custody import Custody
from airflow_provider_jobs.operators.firecrawl import FirecrawlBatchScrapeOperator
from airflow_provider_jobs.sandbox import Sandbox
from tests.conftest import DATAFINITI_TOKEN, FIRECRAWL_KEY, connection
from tests.operators.context import DagRun, a_try

log = logging.getLogger(__name__)
OVER = {"completed", "failed", "cancelled"}


@pytest.fixture(autouse=True)
def ground(monkeypatch: pytest.MonkeyPatch, sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> None:
    monkeypatch.setenv("AIRFLOW__AIRFLOW_PROVIDER_JOBS__LEDGER_PATH", f"file://{tmp_path_factory.mktemp('ledger')}")
    monkeypatch.setenv("AIRFLOW__AIRFLOW_PROVIDER_JOBS__DEPLOYMENT", "here")
    for name, password in (("firecrawl", FIRECRAWL_KEY), ("datafiniti", DATAFINITI_TOKEN)):
        value = connection(name, sandbox.urls[name], password, timeout=2)
        monkeypatch.setenv(f"AIRFLOW_CONN_{name.upper()}_DEFAULT", value)
    monkeypatch.setattr(recovery, "PAUSES", (0.0, 0.0, 0.0))
    sandbox.control.settings(firecrawl={"hold": True}, datafiniti={"hold": True})


@pytest.fixture
def run() -> DagRun:
    return DagRun()


def firecrawl(kind: str, version: str) -> Callable[[str], tuple[Any, JobSpec]]:
    def make(site: str) -> tuple[Any, JobSpec]:
        hook = FirecrawlHook(api_version=version)
        service = hook.service
        if kind == "batch_scrape":
            return hook, service.batch_scrape([f"{site}/page1.html", f"{site}/page2.html"], api_version=version)
        if kind == "crawl":
            return hook, service.crawl(f"{site}/index.html", limit=3, api_version=version)
        if kind == "extract":
            return hook, service.extract(urls=[f"{site}/page1.html"], prompt="the title", api_version=version)
        urls = [f"{site}/page1.html"] if kind == "agent with urls" else None
        return hook, service.agent("Find the opening hours of the shop", urls=urls)

    return make


def download(site: str) -> tuple[Any, JobSpec]:
    hook = DatafinitiHook()
    return hook, hook.service.download("businesses", "categories:hotels AND country:US", 3)


NEW, OLD = {"server": "2026"}, {"server": "2025"}
FOUND: list[Any] = [
    pytest.param(firecrawl("batch_scrape", "v1"), NEW, id="batch v1"),
    pytest.param(firecrawl("batch_scrape", "v2"), NEW, id="batch v2"),
    pytest.param(firecrawl("crawl", "v1"), NEW, id="crawl v1"),
    pytest.param(firecrawl("crawl", "v2"), NEW, id="crawl v2"),
    pytest.param(firecrawl("crawl", "v1"), OLD, id="crawl v1, old server"),
    pytest.param(firecrawl("crawl", "v2"), OLD, id="crawl v2, old server"),
    pytest.param(firecrawl("agent", "v2"), NEW, id="agent"),
    pytest.param(firecrawl("agent with urls", "v2"), NEW, id="agent with urls"),
    pytest.param(firecrawl("extract", "v2"), NEW, id="extract"),
    pytest.param(download, {"wire": "w1"}, id="download w1"),
    pytest.param(download, {"wire": "w2"}, id="download w2"),
]
LOST = ["lost_reply", "slow", "server_error_after_start", "truncated_json"]


def play(sandbox: Sandbox, settings: dict[str, Any]) -> None:
    if "wire" in settings:
        sandbox.control.settings(datafiniti=settings)
    else:
        sandbox.control.settings(firecrawl=settings)


def lose(sandbox: Sandbox, spec: JobSpec, fault: str = "lost_reply") -> None:
    """Lose the answer to the next start."""
    sandbox.control.fault(spec.service, fault, method="POST", times=1, seconds=5)


def custody(hook: Any, context: dict[str, Any], **changes: Any) -> Custody:
    return Custody(hook, context, **{"cancels": True, "durable": True, "log": log, **changes})


def entries(context: dict[str, Any]) -> list[Entry]:
    return [Entry.from_dict(entry) for entry in context["task_state_store"].get(KEY)]


def posts(sandbox: Sandbox) -> int:
    return len([seen for seen in sandbox.control.requests(method="POST") if seen["path"] != "/v4/auth"])


# --- in the same try --------------------------------------------------------------------------------------------------


@pytest.mark.pitfall("F19", "DF2")
@pytest.mark.parametrize(("make", "settings"), FOUND)
def test_the_job_is_found_and_gone_on_with(sandbox: Sandbox, run: DagRun, make: Any, settings: dict[str, Any]) -> None:
    play(sandbox, settings)
    hook, spec = make(sandbox.urls["site"])
    lose(sandbox, spec)
    context = a_try(run)
    held = custody(hook, context)
    job = held.start(spec)
    (made,) = sandbox.control.jobs()
    assert job.ref.job_id == made["id"]
    assert (job.ref.service, job.ref.kind, job.ref.api_version) == (spec.service, spec.kind, spec.api_version)
    assert (job.asked, job.refused) == (spec.asked, 0)
    assert abs(job.started_at - made["started_at"]) < 2
    assert posts(sandbox) == 1
    (entry,) = entries(context)
    assert entry.job == job
    assert entry.is_open
    assert held.killer.job == job
    held.killer.disarm()


@pytest.mark.parametrize("make", [firecrawl("batch_scrape", "v1"), download], ids=["firecrawl", "datafiniti"])
def test_without_a_folder_a_task_takes_nothing(
    sandbox: Sandbox, run: DagRun, make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another run has started the same a moment ago, and our own start never arrived: its job must not be taken."""
    monkeypatch.delenv("AIRFLOW__AIRFLOW_PROVIDER_JOBS__LEDGER_PATH")
    hook, spec = make(sandbox.urls["site"])
    theirs = custody(hook, a_try(DagRun("another")))
    job = theirs.start(spec)
    lose(sandbox, spec, "502_html")
    context = a_try(run)
    with pytest.raises(StartUncertainError, match=f"only {job.ref.job_id} fits, but without a ledger folder"):
        custody(hook, context).start(spec)
    with pytest.raises(StartUncertainError, match=f"only {job.ref.job_id} fits, but without a ledger folder"):
        custody(hook, a_try(run, number=2)).take_up(spec)
    assert [made["state"] in OVER for made in sandbox.control.jobs()] == [False]
    theirs.killer.disarm()


@pytest.mark.parametrize("fault", LOST)
@pytest.mark.parametrize("make", [firecrawl("batch_scrape", "v1"), download], ids=["firecrawl", "datafiniti"])
@pytest.mark.pitfall("F19")
def test_however_the_answer_was_lost(sandbox: Sandbox, run: DagRun, make: Any, fault: str) -> None:
    hook, spec = make(sandbox.urls["site"])
    lose(sandbox, spec, fault)
    held = custody(hook, a_try(run))
    assert held.start(spec).ref.job_id == sandbox.control.jobs()[0]["id"]
    assert posts(sandbox) == 1
    held.killer.disarm()


NOT_LISTED: list[Any] = [
    pytest.param(
        firecrawl("batch_scrape", "v1"), OLD, "this server has no GET /v2/team/activity", id="batch, old server"
    ),
    pytest.param(
        download, {"wire": "w3"}, "the list does not show what a download was asked for", id="download w3"
    ),
]  # fmt: skip


@pytest.mark.pitfall("F19", "DF2")
@pytest.mark.parametrize(("make", "settings", "reason"), NOT_LISTED)
@pytest.mark.pitfall("F19")
def test_what_cannot_be_listed_is_told_as_before(
    sandbox: Sandbox, run: DagRun, make: Any, settings: dict[str, Any], reason: str
) -> None:
    play(sandbox, settings)
    hook, spec = make(sandbox.urls["site"])
    lose(sandbox, spec)
    context = a_try(run)
    with pytest.raises(StartUncertainError) as caught:
        custody(hook, context).start(spec)
    text = str(caught.value)
    assert "may be running and billed" in text
    assert text.endswith(f"What {hook.service.label} lists was searched for it: {reason}.")
    assert caught.value.permanent
    (entry,) = entries(context)
    assert entry.is_open
    assert entry.job is None
    assert posts(sandbox) == 1


def test_a_start_that_did_not_arrive_finds_nothing(sandbox: Sandbox, run: DagRun) -> None:
    hook, spec = firecrawl("batch_scrape", "v1")(sandbox.urls["site"])
    sandbox.control.fault("firecrawl", "502_html", method="POST", times=1)
    with pytest.raises(StartUncertainError, match="no such batch_scrape is listed"):
        custody(hook, a_try(run)).start(spec)
    assert len(sandbox.control.requests(path_contains="activity")) == 3, "looked once for each pause"


@pytest.mark.parametrize("fault", ["500", "reset", "html_200", "429_bare"])
def test_a_search_that_fails_leaves_the_question_open(
    sandbox: Sandbox, run: DagRun, fault: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recovery, "LOOK_TIME", 1.0)
    hook, spec = firecrawl("batch_scrape", "v1")(sandbox.urls["site"])
    lose(sandbox, spec)
    sandbox.control.fault("firecrawl", fault, method="GET", times=None)
    with pytest.raises(StartUncertainError, match="lists was searched for it: it could not be asked"):
        custody(hook, a_try(run)).start(spec)
    assert "could not be looked for" in caplog.text


def test_a_search_that_fails_once_is_made_again(sandbox: Sandbox, run: DagRun) -> None:
    hook, spec = firecrawl("batch_scrape", "v1")(sandbox.urls["site"])
    lose(sandbox, spec)
    sandbox.control.fault("firecrawl", "500", method="GET", times=2)
    held = custody(hook, a_try(run))
    assert held.start(spec).ref.job_id == sandbox.control.jobs()[0]["id"]
    held.killer.disarm()


def test_what_is_listed_but_not_there(sandbox: Sandbox, run: DagRun) -> None:
    """A run that Firecrawl noted and then failed to start: to wait for it would be to wait for nothing."""
    hook, spec = firecrawl("agent", "v2")(sandbox.urls["site"])
    lose(sandbox, spec)
    sandbox.control.fault("firecrawl", "json_404", method="GET", path_contains="/v2/agent/", times=None)
    with pytest.raises(StartUncertainError, match="one agent is listed that fits, but the service does not know"):
        custody(hook, a_try(run)).start(spec)


def test_a_kill_ends_the_search_at_once(
    sandbox: Sandbox, run: DagRun, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    monkeypatch.setattr(recovery, "PAUSES", (3600.0,))
    hook, spec = firecrawl("batch_scrape", "v1")(sandbox.urls["site"])
    lose(sandbox, spec)
    context = a_try(run)
    held = custody(hook, context)
    held.killer.killed = True
    with pytest.raises(JobKilledError):
        held.start(spec)
    (entry,) = entries(context)
    assert entry.job is None
    assert entry.is_open
    assert sandbox.control.requests(method="GET") == []


@pytest.mark.pitfall("F19")
def test_the_operator_delivers_what_it_found(sandbox: Sandbox, run: DagRun) -> None:
    sandbox.control.settings(firecrawl={"hold": False})
    urls = [f"{sandbox.urls['site']}/page{number}.html" for number in (1, 2)]
    operator = FirecrawlBatchScrapeOperator(task_id="job", urls=urls, poll_interval=1, deferrable=False)
    sandbox.control.fault("firecrawl", "lost_reply", method="POST")
    context = a_try(run)
    summary = operator.execute(context)
    (made,) = sandbox.control.jobs()
    assert summary["job_id"] == made["id"]
    assert summary["records"] == 2
    assert run.xcoms["job", -1, "job_id"] == made["id"]
    assert entries(context)[0].closed is Closed.DELIVERED


def test_the_record_keeps_no_mark_but_its_hash(sandbox: Sandbox, run: DagRun) -> None:
    sandbox.control.settings(firecrawl=OLD)
    hook = FirecrawlHook(api_version="v1")
    url = f"{sandbox.urls['site']}/page1.html?token=a-secret-of-the-user"
    spec = hook.service.batch_scrape([url], api_version="v1")
    lose(sandbox, spec)
    context = a_try(run)
    with pytest.raises(StartUncertainError) as caught:
        custody(hook, context).start(spec)
    assert "a-secret" not in str(caught.value)
    assert "a-secret" not in str(context["task_state_store"].values)
    assert entries(context)[0].mark == mark_hash(url)


# --- others -----------------------------------------------------------------------------------------------------------


def test_equal_starts_at_one_moment_are_not_told_apart(sandbox: Sandbox, run: DagRun) -> None:
    hook, spec = firecrawl("batch_scrape", "v1")(sandbox.urls["site"])
    hook.start(spec)
    lose(sandbox, spec)
    with pytest.raises(StartUncertainError, match="2 such jobs were started at that moment"):
        custody(hook, a_try(run)).start(spec)
    assert sandbox.control.requests(method="DELETE") == []


def test_the_job_of_a_mapped_task_beside_it_is_not_taken(sandbox: Sandbox, run: DagRun) -> None:
    """It has the same address, and started at the same moment; ours never arrived."""
    hook, spec = firecrawl("batch_scrape", "v1")(sandbox.urls["site"])
    theirs = hook.start(spec)
    a_try(run, map_index=0)["ti"].xcom_push("job_id", theirs.ref.job_id)
    sandbox.control.fault("firecrawl", "502_html", method="POST", times=1)
    with pytest.raises(StartUncertainError, match="is on record as another start's"):
        custody(hook, a_try(run, map_index=1)).start(spec)


def test_two_mapped_tasks_that_look_at_one_moment(sandbox: Sandbox, run: DagRun) -> None:
    """Both have lost their answers, and only one job was made: neither takes it."""
    hook, spec = firecrawl("batch_scrape", "v1")(sandbox.urls["site"])
    made = hook.start(spec)
    claim = {"map_index": 0, "job_id": made.ref.job_id}
    a_try(run, map_index=0)["ti"].xcom_push(recovery.CLAIM, claim)
    sandbox.control.fault("firecrawl", "502_html", method="POST", times=1)
    with pytest.raises(StartUncertainError, match="is on record as another start's"):
        custody(hook, a_try(run, map_index=1)).start(spec)


def test_a_claim_is_made_before_a_job_is_taken(sandbox: Sandbox, run: DagRun) -> None:
    hook, spec = firecrawl("batch_scrape", "v1")(sandbox.urls["site"])
    lose(sandbox, spec)
    held = custody(hook, a_try(run, map_index=1))
    job = held.start(spec)
    assert run.xcoms["job", 1, recovery.CLAIM] == {"map_index": 1, "job_id": job.ref.job_id}
    held.killer.disarm()


def test_another_teams_job_is_not_listed(sandbox: Sandbox, run: DagRun) -> None:
    sandbox.control.settings(firecrawl={"keys": [FIRECRAWL_KEY, "fc-other"]})
    hook, spec = firecrawl("batch_scrape", "v1")(sandbox.urls["site"])
    other = FirecrawlHook(api_version="v1")
    other.__dict__["endpoint"] = hook.endpoint.__class__(
        **{name: getattr(hook.endpoint, name) for name in hook.endpoint.__dataclass_fields__} | {"token": "fc-other"}
    )
    theirs = other.start(spec)
    lose(sandbox, spec)
    held = custody(hook, a_try(run))
    job = held.start(spec)
    assert job.ref.job_id != theirs.ref.job_id
    held.killer.disarm()


def test_a_larger_batch_that_begins_with_the_same_address(sandbox: Sandbox, run: DagRun) -> None:
    site = sandbox.urls["site"]
    hook, spec = firecrawl("batch_scrape", "v1")(site)
    hook.start(hook.service.batch_scrape([f"{site}/page{n}.html" for n in (1, 3, 4)], api_version="v1"))
    sandbox.control.fault("firecrawl", "502_html", method="POST", times=1)
    with pytest.raises(StartUncertainError, match="larger than the one that was asked for"):
        custody(hook, a_try(run)).start(spec)


def in_folder(path: Path, context: dict[str, Any], *, run_id: str) -> tuple[LedgerFolder, Owner]:
    ti = context["ti"]
    return LedgerFolder(f"file://{path}", "prod"), Owner(ti.dag_id, run_id, ti.task_id)


@pytest.mark.parametrize("state", ["started", "lost", "handed over"])
def test_the_start_of_another_run_that_stands_in_the_folder(
    sandbox: Sandbox, run: DagRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: str
) -> None:
    """Two runs of a DAG do the same at one moment, as in a backfill."""
    monkeypatch.setenv("AIRFLOW__AIRFLOW_PROVIDER_JOBS__LEDGER_PATH", f"file://{tmp_path}")
    monkeypatch.setenv("AIRFLOW__AIRFLOW_PROVIDER_JOBS__DEPLOYMENT", "prod")
    hook, spec = firecrawl("batch_scrape", "v1")(sandbox.urls["site"])
    other = a_try(DagRun("another"))
    beside = custody(hook, other)
    theirs = beside.start(spec)
    if state == "handed over":
        beside.hand_over()
    beside.killer.disarm()
    if state == "lost":
        # It knows as little of the job as this one does.
        folder, owner = in_folder(tmp_path, other, run_id="another")
        (known,) = folder.load(owner)
        for place in tmp_path.rglob("*2-started.json"):
            place.unlink()
        folder.save(owner, {**known, "job": None})
    sandbox.control.fault("firecrawl", "502_html", method="POST", times=1)
    reason = "another start without an answer" if state == "lost" else "on record as another start's"
    with pytest.raises(StartUncertainError, match=reason):
        custody(hook, a_try(run)).start(spec)
    assert sandbox.control.job(theirs.ref.job_id)["deletes"] == 0


# --- a later try ------------------------------------------------------------------------------------------------------


def lost_by_a_kill(sandbox: Sandbox, run: DagRun, hook: Any, spec: JobSpec) -> str:
    """Leave a start without an answer on record, whose job runs; the answer is its id."""
    lose(sandbox, spec)
    held = custody(hook, a_try(run))
    held.killer.killed = True
    with pytest.raises(JobKilledError):
        held.start(spec)
    held.killer.disarm()
    return str(sandbox.control.jobs()[-1]["id"])


@pytest.mark.parametrize(("make", "settings"), FOUND)
def test_the_next_try_goes_on_with_it(sandbox: Sandbox, run: DagRun, make: Any, settings: dict[str, Any]) -> None:
    play(sandbox, settings)
    hook, spec = make(sandbox.urls["site"])
    job_id = lost_by_a_kill(sandbox, run, hook, spec)
    context = a_try(run, number=2)
    held = custody(hook, context)
    job = held.take_up(spec)
    assert job is not None
    assert job.ref.job_id == job_id
    assert (job.ref.api_version, job.asked) == (spec.api_version, spec.asked)
    (entry,) = entries(context)
    assert entry.job == job
    assert posts(sandbox) == 1
    assert sandbox.control.requests(method="DELETE") == []
    held.killer.disarm()


@pytest.mark.parametrize(("make", "settings", "reason"), NOT_LISTED)
def test_the_next_try_refuses_where_nothing_can_be_found(
    sandbox: Sandbox, run: DagRun, make: Any, settings: dict[str, Any], reason: str
) -> None:
    play(sandbox, settings)
    hook, spec = make(sandbox.urls["site"])
    lost_by_a_kill(sandbox, run, hook, spec)
    context = a_try(run, number=2)
    with pytest.raises(StartUncertainError) as caught:
        custody(hook, context).take_up(spec)
    assert f"What {hook.service.label} lists was searched for it: {reason}. It is not started again" in str(
        caught.value
    )
    assert entries(context)[0].is_open


def test_the_next_try_ends_what_it_found_if_it_wants_something_else(sandbox: Sandbox, run: DagRun) -> None:
    """The template has changed since: as with any earlier job of the task."""
    hook, spec = firecrawl("batch_scrape", "v1")(sandbox.urls["site"])
    job_id = lost_by_a_kill(sandbox, run, hook, spec)
    other = hook.service.batch_scrape([f"{sandbox.urls['site']}/page3.html"], api_version="v1")
    context = a_try(run, number=2)
    assert custody(hook, context).take_up(other) is None
    assert sandbox.control.job(job_id)["cancelled_by_delete"]
    assert entries(context)[0].closed is Closed.CANCELLED


@pytest.mark.parametrize("looks", [1, 3])
def test_mapped_tasks_that_come_back_at_one_moment(
    sandbox: Sandbox, run: DagRun, monkeypatch: pytest.MonkeyPatch, looks: int
) -> None:
    """Both starts were never answered, and one of them never arrived: one job is not for two."""
    monkeypatch.setattr(recovery, "PAUSES", (0.0,) * looks)
    hook, spec = firecrawl("batch_scrape", "v1")(sandbox.urls["site"])
    for index, fault in enumerate(["lost_reply", "502_html"]):
        lose(sandbox, spec, fault)
        held = custody(hook, a_try(run, map_index=index))
        held.killer.killed = True
        with pytest.raises(JobKilledError):
            held.start(spec)
        held.killer.disarm()
    for index in range(2):
        with pytest.raises(StartUncertainError, match="another start without an answer may have made the job"):
            custody(hook, a_try(run, map_index=index, number=2)).take_up(spec)


def test_a_claim_in_between(sandbox: Sandbox, run: DagRun, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other's claim comes after this one's look at the list, and at its only one."""
    monkeypatch.setattr(recovery, "PAUSES", (0.0,))
    hook, spec = firecrawl("batch_scrape", "v1")(sandbox.urls["site"])
    context, ti = a_try(run, map_index=1), a_try(run, map_index=0)["ti"]
    push = context["ti"].xcom_push

    def both(key: str, value: Any) -> None:
        push(key, value)
        ti.xcom_push(key, {**value, "map_index": 0})

    monkeypatch.setattr(context["ti"], "xcom_push", both)
    lose(sandbox, spec)
    with pytest.raises(StartUncertainError, match="another mapped task may take the job"):
        custody(hook, context).start(spec)


def test_a_process_that_died_in_the_middle(sandbox: Sandbox, run: DagRun) -> None:
    """Nobody could write down when the answer was given up, so that the connection's time-outs bound it."""
    hook, spec = firecrawl("batch_scrape", "v1")(sandbox.urls["site"])
    job_id = lost_by_a_kill(sandbox, run, hook, spec)
    context = a_try(run, number=2)
    store = context["task_state_store"]
    store.set(KEY, [{**entry, "sent_at": None, "lost_at": None} for entry in store.get(KEY)])
    held = custody(hook, context)
    job = held.take_up(spec)
    assert job is not None
    assert job.ref.job_id == job_id
    held.killer.disarm()


def test_a_record_of_an_earlier_version(sandbox: Sandbox, run: DagRun, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has no mark: nothing is asked, and the refusal is as it was."""
    monkeypatch.delenv("AIRFLOW__AIRFLOW_PROVIDER_JOBS__LEDGER_PATH")
    hook, spec = firecrawl("batch_scrape", "v1")(sandbox.urls["site"])
    lost_by_a_kill(sandbox, run, hook, spec)
    context = a_try(run, number=2)
    store = context["task_state_store"]
    new = {"mark", "api_version", "sent_at", "lost_at"}
    store.set(KEY, [{key: value for key, value in entry.items() if key not in new} for entry in store.get(KEY)])
    with pytest.raises(StartUncertainError, match="cannot be told from others in a list"):
        custody(hook, context).take_up(spec)
    assert sandbox.control.requests(method="GET") == []


def test_a_clear_ends_a_job_that_is_found(sandbox: Sandbox, run: DagRun) -> None:
    hook, spec = firecrawl("batch_scrape", "v1")(sandbox.urls["site"])
    job_id = lost_by_a_kill(sandbox, run, hook, spec)
    run.clear_number = 1
    context = a_try(run, max_tries=1)
    held = custody(hook, context)
    assert held.take_up(spec) is None
    assert sandbox.control.job(job_id)["cancelled_by_delete"]
    assert entries(context)[0].closed is Closed.CANCELLED
    new = held.start(spec)
    assert new.ref.job_id != job_id
    held.killer.disarm()


def test_a_clear_delivers_a_job_that_is_found_done(sandbox: Sandbox, run: DagRun) -> None:
    """It is paid for."""
    hook, spec = firecrawl("batch_scrape", "v1")(sandbox.urls["site"])
    job_id = lost_by_a_kill(sandbox, run, hook, spec)
    sandbox.control.act(job_id, "finish")
    held = custody(hook, a_try(run, max_tries=1))
    job = held.take_up(spec)
    assert job is not None
    assert job.ref.job_id == job_id
    held.killer.disarm()


def test_a_clear_after_which_nothing_is_found(
    sandbox: Sandbox, run: DagRun, caplog: pytest.LogCaptureFixture
) -> None:  # fmt: skip
    sandbox.control.settings(firecrawl=OLD)
    hook, spec = firecrawl("batch_scrape", "v1")(sandbox.urls["site"])
    lost_by_a_kill(sandbox, run, hook, spec)
    context = a_try(run, max_tries=1)
    assert custody(hook, context).take_up(spec) is None
    assert entries(context)[0].closed is Closed.UNKNOWN
    assert "this server has no GET /v2/team/activity. The task was cleared since" in caplog.text


def test_a_connection_that_is_gone(
    sandbox: Sandbox, run: DagRun, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    hook, spec = firecrawl("batch_scrape", "v1")(sandbox.urls["site"])
    lost_by_a_kill(sandbox, run, hook, spec)
    monkeypatch.setenv("AIRFLOW_CONN_ANOTHER", connection("firecrawl", sandbox.urls["firecrawl"], FIRECRAWL_KEY))
    monkeypatch.delenv("AIRFLOW_CONN_FIRECRAWL_DEFAULT")
    with pytest.raises(StartUncertainError, match=r"It could not be looked for: .*firecrawl_default"):
        custody(FirecrawlHook("another", api_version="v1"), a_try(run, number=2)).take_up(spec)
