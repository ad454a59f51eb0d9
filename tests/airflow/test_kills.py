"""Jobs that are left on purpose. What ends a job, and what does not, is played by `tests.system`."""

import pytest

from tests.airflow.stories import FAST, WAITING, Stage, Telling, Until, process_gone, story, trigger_gone


@story
@pytest.mark.parametrize("service", ["firecrawl", "datafiniti"])
@pytest.mark.parametrize("way", ["sync", "deferred"])
def test_cancel_on_kill_false_leaves_the_job(stage: Stage, service: str, way: str) -> Telling:
    """A twin that is cancelled shows when the kill has been dealt with."""
    stage.hold()
    left = stage.start(service, way=f"{way}_left")
    job = yield from stage.begun(left, WAITING[way])
    twin = stage.start(service, way=way)
    other = yield from stage.begun(twin, WAITING[way], number=2)
    left.mark("failed")
    twin.mark("failed")
    yield Until("the twin's cancel", lambda: stage.control.job(other["id"])["state"] == "cancelled", FAST)
    yield process_gone(left)
    yield trigger_gone(left)
    assert [j["id"] for j in stage.running()] == [job["id"]]
    assert stage.control.job(job["id"])["deletes"] == 0
    assert left.task()["state"] == "failed"
