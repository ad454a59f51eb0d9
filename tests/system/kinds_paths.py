"""The kinds of jobs beside batch scrape and download: killed like those, except for the one that nobody can cancel."""

from tests.airflow.stories import WAITING, Telling, process_gone
from tests.system.ledger_paths import listed
from tests.system.paths import also, path
from tests.system.stage import SystemStage
from tests.system.triggerer_paths import let_go

CANCELLABLE = [{"kind": "crawl"}, {"kind": "agent"}]


@also("S1", state="failed", each=CANCELLABLE)
def marked_failed(stage: SystemStage, kind: str) -> Telling:
    stage.hold()
    run = stage.start("firecrawl", way=f"{kind}_sync")
    job = yield from stage.begun(run, "running")
    stage.ends(job)
    run.mark("failed")
    yield from stage.over(run, "failed")


@also("D1", state="failed", each=CANCELLABLE)
def marked_failed_while_deferred(stage: SystemStage, kind: str) -> Telling:
    stage.hold()
    run = stage.start("firecrawl", way=f"{kind}_deferred")
    job = yield from stage.begun(run, "deferred")
    stage.ends(job)
    run.mark("failed")
    yield from stage.over(run, "failed")


@also("D2", state="success", starts=2, each=CANCELLABLE)
def cleared_while_deferred(stage: SystemStage, kind: str) -> Telling:
    stage.hold()
    run = stage.start("firecrawl", way=f"{kind}_deferred")
    job = yield from stage.begun(run, "deferred")
    stage.ends(job)
    run.clear("job")
    yield stage.cancelled(job)
    new = yield from stage.begun(run, "deferred", 2)
    assert new["id"] != job["id"]
    stage.finish(new["id"])
    yield run.becomes("success")
    assert run.xcom()["job_id"] == new["id"]


@path(
    "extract",
    mode="all",
    what="the task of an extract is killed; Firecrawl cannot cancel an extract",
    happens="The job runs on, as the log has said before the start; nothing tries to cancel it; `list --all` names it.",
    state="failed",
    each=[{"way": way} for way in WAITING],
)
def extract_killed(stage: SystemStage, way: str) -> Telling:
    stage.hold()
    run = stage.start("firecrawl", way=f"extract_{way}")
    job = yield from stage.begun(run, WAITING[way])
    run.mark("failed")
    yield run.becomes("failed")
    if way == "deferred":
        yield let_go(run, 0)
    yield process_gone(run)
    stage.keeps(job)
    assert stage.deletes() == []
    assert "cannot be cancelled" in run.log()
    yield from listed(stage, run, job["id"], "on purpose")
