"""The operators of calls, which are billed, answer at once, and leave nothing to come back for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException, AirflowTaskTimeout

from airflow_provider_jobs.exceptions import (
    AuthenticationError,
    CallUncertainError,
    InvalidInputError,
    OutputConflictError,
    PageTimeoutError,
    PaymentRequiredError,
    PermissionDeniedError,
    RateLimitedError,
    RemoteJobsError,
    RequestRejectedError,
    ResultNotDeliveredError,
    ResultTooLargeError,
    TransportError,
)
from airflow_provider_jobs.ledger import Ledger
from airflow_provider_jobs.operators.firecrawl import (
    FirecrawlMapOperator,
    FirecrawlScrapeOperator,
    FirecrawlSearchOperator,
)
from tests.conftest import FIRECRAWL_KEY, connection
from tests.operators.conftest import Instance, bodies, sent
from tests.transport.wire import free_port

VERSIONS = pytest.mark.parametrize("version", ["v1", "v2"])
KINDS = pytest.mark.parametrize("kind", ["scrape", "map", "search"])

pytestmark = pytest.mark.usefixtures("firecrawl_default")


@pytest.fixture
def make(sandbox: Any) -> Any:
    """Return a function that makes the operator of a kind, with something to ask for."""
    site = sandbox.urls["site"]

    def operator(kind: str, **arguments: Any) -> Any:
        if kind == "scrape":
            return FirecrawlScrapeOperator(**{"task_id": "job", "url": f"{site}/page1.html", **arguments})
        if kind == "map":
            return FirecrawlMapOperator(**{"task_id": "job", "url": f"{site}/index.html", **arguments})
        return FirecrawlSearchOperator(**{"task_id": "job", "query": "bridges canals", **arguments})

    return operator


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "part-00000.jsonl").read_text().splitlines()]


# -- the good case ---------------------------------------------------------------------------------------------------


@VERSIONS
def test_scrape(sandbox: Any, task: Instance, make: Any, version: str) -> None:
    summary = task.execute(make("scrape", api_version=version, options={"formats": ["html"]}))
    (document,) = summary.pop("data")
    assert "Content of page 1" in document["html"]
    assert summary == {
        "service": "firecrawl", "kind": "scrape", "job_id": document["metadata"]["scrapeId"], "state": "succeeded",
        "completed": 1, "total": 1, "records": 1, "failed": 0, "missing": 0, "credits_used": 1.0, "output": [],
    }  # fmt: skip
    assert [seen["path"] for seen in sent(sandbox)] == [f"/{version}/scrape"]
    assert task.closed == ["delivered"]


@VERSIONS
@pytest.mark.parametrize(("kind", "least"), [("map", 40), ("search", 2)])
def test_map_and_search(sandbox: Any, task: Instance, make: Any, version: str, kind: str, least: int) -> None:
    summary = task.execute(make(kind, api_version=version))
    records = summary.pop("data")
    assert len(records) >= least
    assert f"{sandbox.urls['site']}/articles/3.html" in {record["url"] for record in records}
    if kind == "search":
        assert {record.get("source") for record in records} == ({None} if version == "v1" else {"web"})
    count = len(records)
    assert summary == {
        "service": "firecrawl", "kind": kind, "job_id": None, "state": "succeeded", "completed": count, "total": count,
        "records": count, "failed": 0, "missing": 0, "credits_used": None, "output": [],
    }  # fmt: skip
    assert [seen["path"] for seen in sent(sandbox)] == [f"/{version}/{kind}"]
    assert task.closed == ["delivered"]


@KINDS
@VERSIONS
def test_the_version_is_the_connections(
    sandbox: Any, task: Instance, make: Any, kind: str, version: str, firecrawl_default: Any
) -> None:
    firecrawl_default(api_version=version)
    task.execute(make(kind))
    assert [seen["path"] for seen in sent(sandbox)] == [f"/{version}/{kind}"]


@KINDS
def test_into_a_folder(task: Instance, make: Any, kind: str, tmp_path: Path) -> None:
    summary = task.execute(make(kind, output_path=str(tmp_path / "out")))
    assert "data" not in summary
    assert [Path(name).name for name in summary["output"]] == ["part-00000.jsonl"]
    assert len(lines(tmp_path / "out")) == summary["records"] > 0
    manifest = json.loads((tmp_path / "out" / "_manifest.json").read_text())
    assert manifest["owner"]["task_id"] == "job"


@VERSIONS
def test_a_search_without_a_result_succeeds(
    task: Instance, make: Any, version: str, tmp_path: Path, capsys: Any
) -> None:
    summary = task.execute(make("search", query="zzzz", api_version=version))
    assert (summary["records"], summary["data"]) == (0, [])
    assert "No search results found" in capsys.readouterr().out


def test_origin_may_be_given_and_the_rest_stays_as_it_is(sandbox: Any, task: Instance, make: Any) -> None:
    options = {"origin": "mine", "timeout": 20_000, "onlyMainContent": False}
    task.execute(make("scrape", options=options))
    assert bodies(sandbox, "/scrape") == [{**options, "url": f"{sandbox.urls['site']}/page1.html"}]


def test_unchecked_options_are_sent_as_they_are(sandbox: Any, task: Instance, make: Any) -> None:
    """What this version does not know, the service judges."""
    with pytest.raises(AirflowFailException, match="brandNew"):
        task.execute(make("scrape", options={"brandNew": 1}, check_options=False))
    assert bodies(sandbox, "/scrape")[0]["brandNew"] == 1


def test_the_folder_of_another_task_is_told_before_anything_is_billed(
    sandbox: Any, task: Instance, make: Any, tmp_path: Path
) -> None:
    task.execute(make("scrape", output_path=str(tmp_path)))
    other = Instance()
    other.run_id = "manual__2027"
    with pytest.raises(AirflowFailException) as caught:
        other.execute(make("scrape", output_path=str(tmp_path)))
    assert isinstance(caught.value.__cause__, OutputConflictError)
    assert len(sent(sandbox)) == 1


def test_an_answer_that_is_too_large_for_a_return_value(
    sandbox: Any, task: Instance, make: Any, tmp_path: Path
) -> None:
    """It is gone: to have it again is billed again, and only a clear does so."""
    big = f"{sandbox.urls['site']}/big/1.html?mb=1.5"
    with pytest.raises(AirflowFailException, match="billed again") as caught:
        task.execute(make("scrape", url=big))
    assert isinstance(caught.value.__cause__, ResultTooLargeError)
    assert task.closed == ["failed"]
    task.clear()
    summary = task.execute(make("scrape", url=big, output_path=str(tmp_path)))
    assert summary["records"] == 1
    assert len(sent(sandbox)) == 2


@KINDS
def test_an_answer_that_cannot_be_delivered_is_not_asked_for_again(
    sandbox: Any, task: Instance, make: Any, kind: str, tmp_path: Path
) -> None:
    """P3: it is paid for; the next try would pay again."""
    task.max_tries = 2
    in_the_way = tmp_path / "part-00000.jsonl"
    in_the_way.mkdir()
    with pytest.raises(AirflowFailException, match=r"could not be delivered: IsADirectoryError.* not sent") as caught:
        task.execute(make(kind, output_path=str(tmp_path)))
    assert isinstance(caught.value.__cause__, ResultNotDeliveredError)
    assert task.closed == ["failed"]
    in_the_way.rmdir()
    task.clear()
    task.execute(make(kind, output_path=str(tmp_path)))
    assert len(sent(sandbox)) == 2


def test_unless_the_user_lets_it(sandbox: Any, task: Instance, make: Any, tmp_path: Path) -> None:
    task.max_tries = 1
    in_the_way = tmp_path / "part-00000.jsonl"
    in_the_way.mkdir()
    with pytest.raises(IsADirectoryError):
        task.execute(make("scrape", output_path=str(tmp_path), retry_billed=True))
    in_the_way.rmdir()
    task.retry()
    assert task.execute(make("scrape", output_path=str(tmp_path), retry_billed=True))["records"] == 1
    assert len(sent(sandbox)) == 2


def test_a_task_that_is_ended_in_the_middle_of_the_delivery(
    sandbox: Any, task: Instance, make: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def too_long(*_: Any) -> None:
        raise AirflowTaskTimeout("too long")

    task.max_tries = 1
    with monkeypatch.context() as patch:
        patch.setattr("pathlib.Path.replace", too_long)
        with pytest.raises(AirflowTaskTimeout):
            task.execute(make("scrape", output_path=str(tmp_path)))
    task.retry()
    with pytest.raises(AirflowFailException, match="It is not sent again"):
        task.execute(make("scrape", output_path=str(tmp_path)))
    assert len(sent(sandbox)) == 1


@KINDS
@pytest.mark.parametrize("again", [False, True])
def test_a_worker_that_died_after_the_delivery(sandbox: Any, task: Instance, make: Any, kind: str, again: bool) -> None:
    """Airflow did not hear of it, as when its XCom could not be written."""
    task.max_tries = 1
    task.execute(make(kind))
    task.retry()
    if again:
        task.execute(make(kind, retry_billed=True))
        assert len(sent(sandbox)) == 2
        return
    with pytest.raises(AirflowFailException, match="ended before Airflow took it for a success") as caught:
        task.execute(make(kind))
    assert isinstance(caught.value.__cause__, CallUncertainError)
    assert len(sent(sandbox)) == 1
    task.clear()
    task.execute(make(kind))
    assert len(sent(sandbox)) == 2


# -- a lost answer ---------------------------------------------------------------------------------------------------

LOST = ["lost_reply", "reset", "500", "502_html", "504_empty", "truncated_json", "html_200"]


@KINDS
@pytest.mark.pitfall("F19")
@pytest.mark.parametrize("fault", LOST)
def test_a_lost_answer_is_not_asked_for_again(
    sandbox: Any, task: Instance, make: Any, kind: str, fault: str, capsys: Any
) -> None:
    """P3: not in this try and not in the next; a clear is the user's word to do so."""
    task.max_tries = 2
    sandbox.control.fault("firecrawl", fault, method="POST", times=1)
    with pytest.raises(AirflowFailException, match="may have been carried out and billed") as caught:
        task.execute(make(kind))
    assert isinstance(caught.value.__cause__, CallUncertainError)
    assert f"POST /v1/{kind}" in str(caught.value)
    assert "firecrawl_default" in str(caught.value)
    assert len(sent(sandbox)) == 1
    (entry,) = task.ledger
    assert (entry["closed"], entry["job"], entry["kind"], entry["leave"]) == (None, None, kind, True)

    task.retry()
    with pytest.raises(AirflowFailException, match="It is not sent again; clear the task") as caught:
        task.execute(make(kind))
    assert isinstance(caught.value.__cause__, CallUncertainError)
    assert len(sent(sandbox)) == 1
    assert task.closed == [None]

    task.clear()
    assert task.execute(make(kind))["state"] == "succeeded"
    assert len(sent(sandbox)) == 2
    assert task.closed == ["unknown", "delivered"]
    told = capsys.readouterr().out
    assert "It is sent again" in told
    assert FIRECRAWL_KEY not in told + repr(task.store) + str(caught.value)


@KINDS
@pytest.mark.parametrize("fault", ["lost_reply", "500"])
def test_a_lost_answer_may_be_asked_for_again(
    sandbox: Any, task: Instance, make: Any, kind: str, fault: str, capsys: Any
) -> None:
    sandbox.control.fault("firecrawl", fault, method="POST", times=1)
    task.max_tries = 1
    with pytest.raises(RemoteJobsError, match="a retry sends it again") as caught:
        task.execute(make(kind, retry_billed=True))
    assert not isinstance(caught.value, CallUncertainError)
    assert not caught.value.permanent
    assert len(sent(sandbox)) == 1
    task.retry()
    assert task.execute(make(kind, retry_billed=True))["state"] == "succeeded"
    assert len(sent(sandbox)) == 2
    assert task.closed == ["unknown", "delivered"]


@KINDS
@pytest.mark.parametrize("again", [False, True])
def test_a_worker_that_died_in_the_middle(
    sandbox: Any, task: Instance, make: Any, kind: str, again: bool, capsys: Any
) -> None:
    """Nothing of ours ran any more: all that is left is the intent on record."""
    task.max_tries = 1
    Ledger.of(task.context).intend("firecrawl_default", make(kind).build(), f"POST /v1/{kind}", leave=True)
    task.retry()
    if again:
        assert task.execute(make(kind, retry_billed=True))["state"] == "succeeded"
        assert "It is sent again" in capsys.readouterr().out
        assert task.closed == ["unknown", "delivered"]
        return
    with pytest.raises(AirflowFailException, match=f"sent POST /v1/{kind} through connection firecrawl_default at 20"):
        task.execute(make(kind))
    assert sent(sandbox) == []
    assert task.closed == [None]


# -- a definite no ---------------------------------------------------------------------------------------------------

REFUSALS = [
    ("error_list", {"text": "Unrecognized key in body"}, RequestRejectedError, "Unrecognized key"),
    ("401", {}, AuthenticationError, "the key was not accepted"),
    ("402", {}, PaymentRequiredError, "Insufficient credits"),
    ("403", {}, PermissionDeniedError, "no longer supported"),
    ("html_404", {}, RemoteJobsError, "check the connection's host and the API version"),
    ("409", {}, RequestRejectedError, "HTTP 409"),
    ("410", {}, RemoteJobsError, "shut this endpoint down"),
]


@KINDS
@pytest.mark.pitfall("F39")
@pytest.mark.parametrize(("fault", "params", "error", "told"), REFUSALS, ids=[case[0] for case in REFUSALS])
def test_a_refusal_is_no_lost_answer(
    sandbox: Any, task: Instance, make: Any, kind: str, fault: str, params: Any, error: Any, told: str
) -> None:
    """No try is spent on it, and nothing stands in the way of the next."""
    sandbox.control.fault("firecrawl", fault, method="POST", times=1, **params)
    with pytest.raises(AirflowFailException, match=told) as caught:
        task.execute(make(kind))
    assert isinstance(caught.value.__cause__, error)
    assert not isinstance(caught.value.__cause__, CallUncertainError)
    assert task.closed == ["not_started"]
    task.retry()
    assert task.execute(make(kind))["state"] == "succeeded"
    assert len(sent(sandbox)) == 2


@KINDS
def test_nobody_there(task: Instance, make: Any, kind: str, monkeypatch: pytest.MonkeyPatch, sandbox: Any) -> None:
    """Surely not sent: Airflow may try again."""
    nobody = connection("firecrawl", f"http://127.0.0.1:{free_port()}", FIRECRAWL_KEY)
    monkeypatch.setenv("AIRFLOW_CONN_FIRECRAWL_DEFAULT", nobody)
    monkeypatch.setattr("airflow_provider_jobs.transport.policy.FIRST_BACKOFF", 0.01)
    with pytest.raises(TransportError):
        task.execute(make(kind))
    assert task.closed == ["not_started"]


@KINDS
def test_too_many_requests(sandbox: Any, task: Instance, make: Any, kind: str) -> None:
    text = "Concurrency limit reached"
    sandbox.control.fault("firecrawl", "429_bare", method="POST", times=1, text=text)
    task.max_tries = 1
    with pytest.raises(RateLimitedError, match=text):
        task.execute(make(kind))
    assert task.closed == ["not_started"]
    task.retry()
    assert task.execute(make(kind))["state"] == "succeeded"


@VERSIONS
@KINDS
def test_a_page_that_was_not_there_in_time(sandbox: Any, task: Instance, make: Any, kind: str, version: str) -> None:
    """408: the service has answered, so nothing is uncertain; Airflow may try again."""
    sandbox.control.settings(firecrawl={"page_seconds": 30})
    task.max_tries = 1
    arguments = {"api_version": version, "options": {"timeout": 1000}}
    with pytest.raises(PageTimeoutError) as caught:
        task.execute(make(kind, **arguments))
    assert "timed out" in str(caught.value)
    assert len(sent(sandbox)) == 1
    assert task.closed == ["failed"]
    task.retry()
    sandbox.control.settings(firecrawl={"page_seconds": 0})
    assert task.execute(make(kind, **arguments))["state"] == "succeeded"


@VERSIONS
def test_a_scrape_that_goes_on_is_joined(sandbox: Any, task: Instance, make: Any, version: str) -> None:
    sandbox.control.settings(firecrawl={"scrape_continues": True})
    url = f"{sandbox.urls['site']}/slow/1.html"
    summary = task.execute(make("scrape", url=url, api_version=version, options={"timeout": 1000}))
    assert "Slow content 1" in summary["data"][0]["markdown"]
    first, second = sent(sandbox)
    assert first["body"] == second["body"]
    assert len(sandbox.control.jobs()) == 1


@VERSIONS
@pytest.mark.pitfall("F40")
def test_a_page_that_cannot_be_had(sandbox: Any, task: Instance, make: Any, version: str) -> None:
    sandbox.control.fault("site", "reset", times=None)
    with pytest.raises(AirflowFailException, match="SCRAPE_ALL_ENGINES_FAILED") as caught:
        task.execute(make("scrape", api_version=version))
    assert isinstance(caught.value.__cause__, RequestRejectedError)
    assert [seen["status"] for seen in sent(sandbox)] == [500]
    assert task.closed == ["not_started"]


@VERSIONS
@pytest.mark.pitfall("F13")
def test_success_false_inside_200(sandbox: Any, task: Instance, make: Any, version: str) -> None:
    with pytest.raises(AirflowFailException, match="SCRAPE_DNS_RESOLUTION_ERROR") as caught:
        task.execute(make("scrape", url="http://no-such-host.invalid/a.html", api_version=version))
    assert isinstance(caught.value.__cause__, RequestRejectedError)
    assert [seen["status"] for seen in sent(sandbox)] == [200]
    assert task.closed == ["not_started"]


# -- nothing leaks ---------------------------------------------------------------------------------------------------


@KINDS
def test_the_key_stands_nowhere(
    sandbox: Any, task: Instance, make: Any, kind: str, tmp_path: Path, capsys: Any
) -> None:
    """P5: not in the log, the record, the return value, or a file."""
    summary = task.execute(make(kind, output_path=str(tmp_path)))
    files = "".join(path.read_text() for path in tmp_path.iterdir())
    logged = capsys.readouterr()
    everything = [files, json.dumps(summary), logged.out, logged.err, repr(task.store), json.dumps(task.pushed)]
    assert not any(FIRECRAWL_KEY in text for text in everything)
    assert [seen["headers"]["authorization"] for seen in sent(sandbox)] == [f"Bearer {FIRECRAWL_KEY}"]
    assert all("authorization" not in seen["headers"] for seen in sandbox.control.requests(host="site"))


# -- rendered input --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "fields", "told"),
    [
        ("scrape", {"url": ""}, "url"),
        ("scrape", {"url": None}, "url"),
        ("scrape", {"url": "ftp://example.com/"}, "http"),
        ("map", {"url": ["https://example.com/"]}, "url"),
        ("search", {"query": " "}, "query"),
        ("search", {"query": None}, "query"),
        ("search", {"options": "{}"}, "must be a dictionary"),
        ("scrape", {"options": {"url": "https://example.com/"}}, "argument of its own"),
        ("scrape", {"api_version": "v3"}, "api_version"),
        ("scrape", {"output_path": " "}, "output_path"),
    ],
)
def test_rendered_input_is_judged_before_the_first_request(
    sandbox: Any, task: Instance, make: Any, kind: str, fields: dict[str, Any], told: str
) -> None:
    """P8."""
    operator = make(kind)
    for name, value in fields.items():
        assert name in operator.template_fields
        setattr(operator, name, value)
    with pytest.raises(AirflowFailException, match=told) as caught:
        task.execute(operator)
    assert isinstance(caught.value.__cause__, InvalidInputError)
    assert sent(sandbox) == []
    assert task.ledger == []
