"""`next`, and results that repeat or are not there."""

from __future__ import annotations

from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException

from airflow_provider_jobs.exceptions import JobCancelledError, JobFailedError
from airflow_provider_jobs.jobs.model import JobState
from airflow_provider_jobs.sandbox import Sandbox

GENERATIONS = ["A", "B", "C", "current"]


def skips(calls: list[dict[str, Any]]) -> list[int]:
    """The places from which documents were asked for; looks ask from beyond the end."""
    found = [dict(part.split("=") for part in call["query"].split("&") if part) for call in calls]
    return [int(query.get("skip", "0")) for query in found if int(query.get("skip", "0")) < 1_000_000]


@pytest.mark.pitfall("F1")
@pytest.mark.parametrize("pagination", GENERATIONS)
def test_next_of_a_running_job_is_not_followed(
    sandbox: Sandbox, hook: Any, pages: Any, raw: Any, sent: Any, pagination: str
) -> None:
    sandbox.control.settings(firecrawl={"hold": True, "pagination": pagination})
    job = hook.start_batch_scrape(pages(1, 2, 3))
    told = raw("GET", f"/v1/batch/scrape/{job.ref.job_id}").json()
    assert told["status"] == "scraping"
    assert told["next"].endswith("?skip=0"), "the same request again"
    naps: list[float] = []

    def sleep(seconds: float) -> None:
        naps.append(seconds)
        if len(naps) == 3:
            sandbox.control.act(job.ref.job_id, "finish")

    before = len(sent("GET"))
    assert hook.wait(job, sleep=sleep).state is JobState.SUCCEEDED
    looks = sent("GET")[before:]
    assert len(looks) == 4, "one request for each look"
    assert skips(looks) == []
    assert len(list(hook.documents(job.ref))) == 3


@pytest.mark.pitfall("F2")
@pytest.mark.parametrize(("action", "error"), [("cancel", JobCancelledError), ("fail", JobFailedError)])
@pytest.mark.parametrize(("pagination", "server"), [("A", "2025"), ("B", "2025"), ("current", "2026")])
def test_next_that_never_ends_is_left(
    sandbox: Sandbox, scrape: Any, pages: Any, raw: Any, sent: Any,
    pagination: str, server: str, action: str, error: type[Exception],
) -> None:  # fmt: skip
    sandbox.control.settings(firecrawl={"hold_after": 2, "pagination": pagination, "server": server})
    task = scrape(pages(1, 2, 3, 4, 5), deferrable=True, deliver_partial=True)
    job_id = task.defer()
    sandbox.control.wait_for(lambda: sandbox.control.job(job_id)["completed"] == 2)
    sandbox.control.act(job_id, action)
    told = raw("GET", f"/v1/batch/scrape/{job_id}?skip=2").json()
    assert told["status"] in {"cancelled", "failed"}
    # A failed job of this stand-in has no pages left, which is how servers of 2025 know the end.
    assert ("next" in told) == ((action, server) != ("fail", "2025"))
    event = task.event()
    before = len(sent("GET"))
    with pytest.raises(error, match="2 records were delivered"):
        task.resume(event)
    assert len(skips(sent("GET")[before:])) <= 5


@pytest.mark.pitfall("F3", "F7")
def test_a_server_that_repeats_its_first_document(
    sandbox: Sandbox, scrape: Any, pages: Any, raw: Any, sent: Any
) -> None:
    sandbox.control.settings(firecrawl={"pagination": "A", "server": "2025", "content_bytes": 3000, "page_bytes": 4000})
    with pytest.raises(AirflowFailException, match="1 delivered, 0 failed, 9 missing"):
        scrape(pages(*range(1, 11))).run()
    assert len(skips(sent("GET", "/batch/scrape/"))) <= 6, "one for each document would be in vain"
    (job,) = sandbox.control.jobs()
    first, last = (raw("GET", f"/v1/batch/scrape/{job['id']}?skip={skip}").json() for skip in (0, 9))
    assert first["data"] == last["data"]
    assert ("next" in first, "next" in last) == (True, False), "it ends as if all were well"


@pytest.mark.pitfall("F7")
@pytest.mark.parametrize("pagination", GENERATIONS)
def test_results_that_the_server_has_lost(sandbox: Sandbox, scrape: Any, pages: Any, raw: Any, pagination: str) -> None:
    sandbox.control.settings(firecrawl={"pagination": pagination, "drop_results": 2, "page_documents": 2})
    with pytest.raises(AirflowFailException, match="3 delivered, 0 failed, 2 missing"):
        scrape(pages(1, 2, 3, 4, 5)).run()
    (job,) = sandbox.control.jobs()
    told = raw("GET", f"/v1/batch/scrape/{job['id']}").json()
    assert (told["status"], told["completed"], told["total"]) == ("completed", 5, 5)


@pytest.mark.pitfall("F7", "F33")
def test_results_that_are_gone_an_hour_later(sandbox: Sandbox, scrape: Any, pages: Any, raw: Any, over: Any) -> None:
    """Between the end and the delivery, with no triggerer for an hour."""
    sandbox.control.settings(firecrawl={"pagination": "A", "server": "2025", "hold": True})
    task = scrape(pages(1, 2, 3), deferrable=True)
    job_id = task.defer()
    sandbox.control.act(job_id, "finish")
    event = task.event()
    sandbox.control.advance(3700)
    other = raw("POST", "/v1/batch/scrape", json={"urls": pages(4)}).json()["id"]
    sandbox.control.act(other, "finish")
    told = raw("GET", f"/v1/batch/scrape/{job_id}").json()
    assert (told["status"], told["completed"], told["data"], "next" in told) == ("completed", 3, [], False)
    with pytest.raises(AirflowFailException, match="0 delivered, 0 failed, 3 missing"):
        task.resume(event)


@pytest.mark.pitfall("F8")
def test_a_document_that_comes_twice_is_delivered_once(
    sandbox: Sandbox, scrape: Any, pages: Any, raw: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    sandbox.control.settings(firecrawl={"duplicate_document": True, "page_documents": 2})
    value = scrape(pages(1, 2, 3)).run()
    assert (value["records"], value["missing"]) == (3, 0)
    assert {document["metadata"]["sourceURL"] for document in value["data"]} == set(pages(1, 2, 3))
    assert "1 documents more than once" in capfd.readouterr().out
    told = [raw("GET", f"/v1/batch/scrape/{value['job_id']}?skip={skip}").json()["data"] for skip in (0, 2)]
    assert len([document for page in told for document in page]) == 4


@pytest.mark.pitfall("F8", "F7")
def test_a_repeated_document_does_not_stand_for_a_lost_one(
    sandbox: Sandbox, scrape: Any, pages: Any, raw: Any, over: Any
) -> None:
    """As many documents as the job counts, and one of them is another again."""
    sandbox.control.settings(
        firecrawl={"pagination": "C", "server": "2025", "drop_results": 1, "content_bytes": 2000, "page_bytes": 8000}
    )
    with pytest.raises(AirflowFailException, match="3 delivered, 0 failed, 1 missing"):
        scrape(pages(1, 2, 3, 4)).run()
    (job,) = sandbox.control.jobs()
    told = [raw("GET", f"/v1/batch/scrape/{job['id']}?skip={skip}").json()["data"] for skip in (0, 3)]
    assert [len(page) for page in told] == [3, 1]
    assert told[1][0] == told[0][2]


@pytest.mark.pitfall("F8", "F25")
def test_equal_addresses_are_documents_of_their_own(sandbox: Sandbox, scrape: Any, pages: Any) -> None:
    """The user asked for them, and pays for each."""
    value = scrape(pages(1, 1, 2, 1)).run()
    assert (value["records"], value["missing"], value["credits_used"]) == (4, 0, 4)
    assert [document["metadata"]["sourceURL"] for document in value["data"]].count(pages(1)[0]) == 3
    assert sandbox.control.job(value["job_id"])["input"] == pages(1, 1, 2, 1)
