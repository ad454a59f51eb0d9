"""Calls that answer at once, agents, and extracts until they end."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import pytest
from airflow.exceptions import AirflowProviderDeprecationWarning
from airflow.sdk.exceptions import AirflowFailException

from airflow_provider_jobs.exceptions import (
    CallUncertainError,
    InvalidInputError,
    JobFailedError,
    RemoteJobsError,
    RequestRejectedError,
)
from airflow_provider_jobs.operators.firecrawl import (
    FirecrawlAgentOperator,
    FirecrawlCancelJobOperator,
    FirecrawlCrawlOperator,
    FirecrawlExtractOperator,
    FirecrawlFetchResultsOperator,
    FirecrawlMapOperator,
    FirecrawlScrapeOperator,
    FirecrawlSearchOperator,
)
from airflow_provider_jobs.sandbox import Sandbox
from tests.conftest import FIRECRAWL_KEY
from tests.transport.wire import WireServer, reply

VERSIONS = pytest.mark.parametrize("version", ["v1", "v2"])
REPLACEMENTS = "2026-12-10.*scrape.*batch scrape.*FirecrawlAgentOperator"


@pytest.fixture
def scrape_one(task: Any, sandbox: Sandbox) -> Any:
    """Return a function that makes a task of the scrape of one page of the site."""

    def make(page: str = "page1.html", **arguments: Any) -> Any:
        return task(FirecrawlScrapeOperator(task_id="job", url=f"{sandbox.urls['site']}/{page}", **arguments))

    return make


@pytest.fixture(params=["scrape", "map", "search"])
def call(request: pytest.FixtureRequest, task: Any, sandbox: Sandbox) -> Any:
    """Return a function that makes a task of each kind of call."""
    page = f"{sandbox.urls['site']}/index.html"

    def make(**arguments: Any) -> Any:
        if request.param == "search":
            return task(FirecrawlSearchOperator(task_id="job", query="articles", **arguments))
        kind = FirecrawlScrapeOperator if request.param == "scrape" else FirecrawlMapOperator
        return task(kind(task_id="job", url=page, **arguments))

    return make


@pytest.fixture
def extract(task: Any, pages: Any) -> Any:
    """Return a function that makes a task of an extract."""

    def make(**arguments: Any) -> Any:
        with pytest.warns(AirflowProviderDeprecationWarning, match=REPLACEMENTS):
            return task(FirecrawlExtractOperator(task_id="job", **{"urls": pages(1), "prompt": "why", **arguments}))

    return make


@pytest.fixture
def agent(task: Any) -> Any:
    """Return a function that makes a task of an agent."""
    return lambda prompt="why", **arguments: task(FirecrawlAgentOperator(task_id="job", prompt=prompt, **arguments))


def body(call: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(call["body"])
    return found


# --- scrape -----------------------------------------------------------------------------------------------------------


@pytest.mark.pitfall("F40", "F39")
@VERSIONS
@pytest.mark.parametrize("retry_billed", [False, True])
def test_a_page_that_cannot_be_had_is_a_verdict(scrape_one: Any, sent: Any, version: str, retry_billed: bool) -> None:
    """The same status as a fault of the service; a retry would be billed for nothing."""
    task = scrape_one("drop/1.html", api_version=version, retry_billed=retry_billed)
    with pytest.raises(AirflowFailException, match=r"SCRAPE_ALL_ENGINES_FAILED.*the page cannot be had") as caught:
        task.run()
    assert isinstance(caught.value.__cause__, RequestRejectedError)
    assert [call["status"] for call in sent()] == [500]


@pytest.mark.pitfall("F40", "F19")
def test_a_fault_of_the_service_is_no_verdict(sandbox: Sandbox, scrape_one: Any, sent: Any) -> None:
    sandbox.control.fault("firecrawl", "500", method="POST", times=1)
    task = scrape_one(retry_billed=True)
    with pytest.raises(RemoteJobsError, match="a retry sends it again"):
        task.run()
    assert task.run()["records"] == 1
    assert [call["status"] for call in sent("POST")] == [500, 200]


@pytest.mark.pitfall("F19")
@pytest.mark.parametrize("fault", ["500", "lost_reply", "truncated_json"])
def test_a_call_with_a_lost_answer_is_sent_once(sandbox: Sandbox, call: Any, sent: Any, fault: str) -> None:
    sandbox.control.fault("firecrawl", fault, method="POST", times=1)
    task = call()
    for _ in range(2):
        with pytest.raises(AirflowFailException) as caught:
            task.run()
        assert isinstance(caught.value.__cause__, CallUncertainError)
    assert len(sent("POST")) == 1


@pytest.mark.pitfall("F13", "F43")
@VERSIONS
def test_a_scrape_that_fails_inside_http_200(sandbox: Sandbox, scrape_one: Any, sent: Any, version: str) -> None:
    """An address without a host, on servers of 2026; the error as an object that quotes a page."""
    sandbox.control.fault("firecrawl", "error_object", times=None, status=200, text="the name is not known")
    with pytest.raises(AirflowFailException, match="the name is not known") as caught:
        scrape_one(api_version=version).run()
    assert isinstance(caught.value.__cause__, RequestRejectedError)
    assert len(str(caught.value)) < 800
    assert len(sent()) == 1


@pytest.mark.pitfall("F6")
def test_an_error_page_is_the_document_of_a_scrape(scrape_one: Any) -> None:
    value = scrape_one("error/404.html").run()
    assert [document["metadata"]["statusCode"] for document in value["data"]] == [404]


@pytest.mark.pitfall("F45", "F44")
@pytest.mark.parametrize("document", [{}, {"metadata": None}, {"metadata": ["x"]}, {"metadata": {"scrapeId": 7}}])
def test_the_document_of_a_scrape_may_have_any_form(connect: Any, scrape_one: Any, document: dict[str, Any]) -> None:
    told = {"success": True, "data": document, "brandNew": {"a": 1}}
    with WireServer(lambda asked, line: reply(200, json.dumps(told))) as server:
        connect(server.url)
        value = scrape_one().run()
    assert (value["data"], value["job_id"], value["credits_used"]) == ([document], None, None)


@pytest.mark.pitfall("F26", "F20")
@VERSIONS
def test_calls_are_named_in_origin_and_have_no_key(call: Any, sent: Any, version: str) -> None:
    assert call(api_version=version).run()["records"] >= 1
    (post,) = sent("POST")
    told = body(post)
    assert (told["origin"], "integration" in told) == ("airflow-provider-jobs", False)
    assert not [name for name in post["headers"] if "idempotency" in name.casefold()]


@pytest.mark.pitfall("F46")
def test_a_scrape_sets_no_age_of_its_own(scrape_one: Any, sent: Any) -> None:
    scrape_one(api_version="v2").run()
    scrape_one(api_version="v2", options={"maxAge": 0}).run()
    assert [body(post).get("maxAge") for post in sent("POST")] == [None, 0]


@pytest.mark.pitfall("F27")
@VERSIONS
def test_an_unknown_key_of_a_call_is_named_before_anything_is_sent(
    sandbox: Sandbox, scrape_one: Any, agent: Any, version: str
) -> None:
    with pytest.raises(InvalidInputError, match="did you mean 'onlyMainContent'"):
        scrape_one(api_version=version, options={"onlyMainContents": True})
    with pytest.raises(InvalidInputError, match="did you mean 'strictConstrainToURLs'"):
        agent(options={"strictConstrainToUrls": True})
    assert sandbox.control.requests() == []


@pytest.mark.pitfall("F27", "F39")
@pytest.mark.parametrize("kind", ["scrape", "map", "search", "crawl", "agent", "extract"])
def test_a_key_that_the_service_does_not_know_is_final_and_named(
    task: Any, sandbox: Sandbox, sent: Any, kind: str
) -> None:
    """Unchecked, it is the service that refuses it."""
    page = f"{sandbox.urls['site']}/index.html"
    make: Any = {
        "scrape": lambda **options: FirecrawlScrapeOperator(url=page, **options),
        "map": lambda **options: FirecrawlMapOperator(url=page, **options),
        "search": lambda **options: FirecrawlSearchOperator(query="articles", **options),
        "crawl": lambda **options: FirecrawlCrawlOperator(url=page, limit=2, **options),
        "agent": lambda **options: FirecrawlAgentOperator(prompt="why", **options),
        "extract": lambda **options: FirecrawlExtractOperator(urls=[page], prompt="why", **options),
    }[kind]
    with warnings.catch_warnings(category=AirflowProviderDeprecationWarning, action="ignore"):
        operator = make(task_id="job", options={"brandNew": 1}, check_options=False)
    with pytest.raises(AirflowFailException, match="brandNew"):
        task(operator).run()
    assert [post["status"] for post in sent()] == [400]


@pytest.mark.pitfall("F39")
@pytest.mark.parametrize("fault", ["401", "402", "403", "413", "error_list"])
def test_a_refused_call_is_final(sandbox: Sandbox, call: Any, sent: Any, fault: str) -> None:
    sandbox.control.fault("firecrawl", fault, method="POST", times=None)
    with pytest.raises(AirflowFailException):
        call(retry_billed=True).run()
    assert len(sent()) == 1


# --- extract ----------------------------------------------------------------------------------------------------------


@pytest.mark.pitfall("F41", "F39")
@VERSIONS
def test_extract_is_gone_when_it_is_started(sandbox: Sandbox, extract: Any, sent: Any, version: str) -> None:
    sandbox.control.settings(firecrawl={"extract_gone": True})
    with pytest.raises(AirflowFailException, match=REPLACEMENTS):
        extract(api_version=version, retries=3).run()
    assert [call["status"] for call in sent()] == [410]


@pytest.mark.pitfall("F41", "F39")
@VERSIONS
@pytest.mark.parametrize("deferrable", [False, True])
def test_extract_is_gone_while_it_is_waited_for(
    sandbox: Sandbox, extract: Any, sent: Any, version: str, deferrable: bool
) -> None:
    """A job that runs over the moment cannot be read any more, nor cancelled."""
    sandbox.control.settings(firecrawl={"hold": True})
    task = extract(api_version=version, deferrable=deferrable)
    if deferrable:
        task.defer()
        sandbox.control.settings(firecrawl={"extract_gone": True})
        event = task.event()
        with pytest.raises(AirflowFailException, match=REPLACEMENTS):
            task.resume(event)
    else:
        sandbox.control.fault("firecrawl", "410", method="GET", times=None, skip=1)
        with pytest.raises(AirflowFailException, match=REPLACEMENTS):
            task.run()
    assert [call["status"] for call in sent("GET")].count(410) == 1
    assert sent("DELETE") == []


@pytest.mark.pitfall("F41")
def test_the_result_of_an_extract_is_gone(sandbox: Sandbox, extract: Any, task: Any) -> None:
    value = extract().run()
    assert (value["records"], value["state"]) == (1, "succeeded")
    sandbox.control.settings(firecrawl={"extract_gone": True})
    fetch = FirecrawlFetchResultsOperator(task_id="fetch", kind="extract", job_id=value["job_id"])
    with pytest.raises(AirflowFailException, match=REPLACEMENTS):
        task(fetch).run()


@pytest.mark.pitfall("F43", "F13")
def test_the_error_of_an_extract_may_hold_prompt_and_page(
    sandbox: Sandbox, extract: Any, raw: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    sandbox.control.settings(firecrawl={"server": "2025", "keys": [FIRECRAWL_KEY], "hold": True})
    task = extract(deferrable=True)
    job_id = task.defer()
    sandbox.control.act(job_id, "fail", error="the model gave up")
    headers = {"Authorization": f"Bearer {FIRECRAWL_KEY}"}
    told = raw("GET", f"/v1/extract/{job_id}", headers=headers)
    assert (told.status_code, told.json()["success"]) == (200, False)
    assert len(told.content) > 5000
    event = task.event()
    assert len(json.dumps(event)) < 2000
    with pytest.raises(JobFailedError, match="the model gave up") as caught:
        task.resume(event)
    assert len(str(caught.value)) < 800
    assert "page text " * 50 not in capfd.readouterr().out


# --- agent ------------------------------------------------------------------------------------------------------------


@pytest.mark.pitfall("F44")
@pytest.mark.parametrize("word", ["failed", "cancelled"])
def test_a_cancelled_agent_may_read_as_failed(sandbox: Sandbox, agent: Any, task: Any, sent: Any, word: str) -> None:
    sandbox.control.settings(firecrawl={"agent_cancelled": word, "hold": True})
    job_id = agent(deferrable=True).defer()
    value = task(FirecrawlCancelJobOperator(task_id="cancel", kind="agent", job_id=job_id)).run()
    assert (value["state"], value["cancelled"]) == (word, True)
    assert len(sent("DELETE")) == 1


@pytest.mark.pitfall("F10")
def test_a_finished_agent_is_left_alone(sandbox: Sandbox, agent: Any, task: Any, sent: Any) -> None:
    """A DELETE would be a 409."""
    value = agent().run()
    told = task(FirecrawlCancelJobOperator(task_id="cancel", kind="agent", job_id=value["job_id"])).run()
    assert (told["state"], told["cancelled"]) == ("succeeded", False)
    assert sent("DELETE") == []


@pytest.mark.pitfall("F44")
def test_an_agent_with_a_status_and_a_model_that_nobody_knows(
    sandbox: Sandbox, agent: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    sandbox.control.fault("firecrawl", "status_word", method="GET", times=1, word="pondering")
    value = agent(options={"model": "spark-99"}, job_timeout=20).run()
    assert (value["state"], value["records"]) == ("succeeded", 1)
    assert "a status that this version does not know" in capfd.readouterr().out


@pytest.mark.pitfall("F32")
def test_a_large_answer_of_an_agent_goes_into_files(sandbox: Sandbox, agent: Any, tmp_path: Path) -> None:
    sandbox.control.settings(firecrawl={"content_bytes": 1_500_000})
    with pytest.raises(AirflowFailException, match="set output_path and clear the task"):
        agent().run()
    value = agent(output_path=str(tmp_path / "out")).run()
    assert (value["records"], "data" in value) == (1, False)
    (place,) = value["output"]
    assert Path(place.removeprefix("file://")).stat().st_size >= 1_500_000


@pytest.mark.pitfall("F26", "F20")
def test_what_is_sent_to_start_an_agent(agent: Any, sent: Any) -> None:
    agent(max_credits=50).run()
    (call,) = sent("POST")
    told = body(call)
    assert (told["origin"], "integration" in told, told["maxCredits"]) == ("airflow-provider-jobs", False, 50)
    assert not [name for name in call["headers"] if "idempotency" in name.casefold()]
