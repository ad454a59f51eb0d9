"""The extract operator against the sandbox: deprecated, soon gone, and not to be cancelled."""

from __future__ import annotations

import asyncio
import json
import warnings
from pathlib import Path
from typing import Any

import pytest
from airflow.exceptions import AirflowProviderDeprecationWarning
from airflow.sdk.exceptions import AirflowFailException, TaskDeferralTimeout

from airflow_provider_jobs.exceptions import (
    AuthenticationError,
    EndpointGoneError,
    InvalidInputError,
    JobFailedError,
    JobKilledError,
    JobNotFoundError,
    JobTimeoutError,
    NotCancellableError,
    PaymentRequiredError,
    PermissionDeniedError,
    RequestRejectedError,
    ResultIncompleteError,
    RouteNotFoundError,
    StartUncertainError,
)
from airflow_provider_jobs.operators.firecrawl import FirecrawlCancelJobOperator, FirecrawlExtractOperator
from airflow_provider_jobs.sensors.firecrawl import FirecrawlJobSensor
from tests.conftest import FIRECRAWL_KEY
from tests.operators.conftest import Instance, bodies, killed_when, sent

VERSIONS = pytest.mark.parametrize("version", ["v1", "v2"])
REPLACEMENTS = ("batch scrape", "json format", "FirecrawlAgentOperator", "2026-12-10 15:00 UTC")

pytestmark = pytest.mark.usefixtures("firecrawl_default")


@pytest.fixture
def extract(sandbox: Any) -> Any:
    """Return a function that makes the operator."""

    def make(**arguments: Any) -> FirecrawlExtractOperator:
        urls = [f"{sandbox.urls['site']}/articles/15.html"]
        defaults = {"task_id": "job", "urls": urls, "prompt": "the title", "poll_interval": 1}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", AirflowProviderDeprecationWarning)
            return FirecrawlExtractOperator(**{**defaults, **arguments})

    return make


@pytest.fixture
def held(sandbox: Any, task: Instance, extract: Any) -> Any:
    """Start an extract that does not end by itself, and return what its try has deferred with."""

    def start(**arguments: Any) -> Any:
        sandbox.control.settings(firecrawl={"hold": True})
        return task.deferred(extract(deferrable=True, **arguments))

    return start


# -- at construction -------------------------------------------------------------------------------------------------


def test_the_deprecation_names_what_replaces_it() -> None:
    with pytest.warns(AirflowProviderDeprecationWarning) as caught:
        FirecrawlExtractOperator(task_id="job", prompt="x")
    (warning,) = caught
    assert all(word in str(warning.message) for word in REPLACEMENTS)
    assert warning.filename == __file__


def test_to_cancel_it_is_an_error() -> None:
    """Not at kill time, when nobody listens."""
    with pytest.raises(NotCancellableError, match="cannot cancel an extract"):
        FirecrawlExtractOperator(task_id="job", prompt="x", cancel_on_kill=True)
    with pytest.raises(NotCancellableError, match="Firecrawl cannot cancel 'extract'; an extract runs to its end"):
        FirecrawlCancelJobOperator(task_id="cancel", job_id="1", kind="extract")
    with pytest.raises(NotCancellableError, match="Firecrawl cannot cancel 'extract'"):
        FirecrawlJobSensor(task_id="wait", job_id="1", kind="extract", cancel_on_kill=True)
    assert FirecrawlJobSensor(task_id="wait", job_id="1", kind="extract").kind == "extract"


def test_to_leave_it_may_be_said(extract: Any) -> None:
    assert extract(cancel_on_kill=False).cancel_on_kill is False
    assert extract().cancel_on_kill is False


@pytest.mark.parametrize("make", ["cancel", "sensor"])
def test_a_rendered_kind_is_judged_before_the_first_request(sandbox: Any, task: Instance, make: str) -> None:
    operator: Any = (
        FirecrawlCancelJobOperator(task_id="x", job_id="1", kind="{{ a }}")
        if make == "cancel"
        else FirecrawlJobSensor(task_id="x", job_id="1", kind="{{ a }}", cancel_on_kill=True)
    )
    operator.kind = "extract"
    with pytest.raises(AirflowFailException, match="cannot cancel 'extract'"):
        operator.execute(task.context)
    assert sent(sandbox) == []


# -- the good case ---------------------------------------------------------------------------------------------------


@VERSIONS
@pytest.mark.usefixtures("quick")
def test_the_value_is_one_record(sandbox: Any, task: Instance, extract: Any, version: str) -> None:
    schema = {"type": "object", "properties": {"title": {"type": "string"}}}
    summary = task.execute(extract(api_version=version, schema=schema, options={"showSources": True}))
    (job,) = sandbox.control.jobs()
    assert summary == {
        "service": "firecrawl", "kind": "extract", "job_id": job["id"], "state": "succeeded", "completed": None,
        "total": None, "records": 1, "failed": 0, "missing": 0, "credits_used": 1.0, "output": [],
        "data": [{"title": "Beekeeping"}],
    }  # fmt: skip
    assert {seen["path"].split("/")[1] for seen in sent(sandbox)} == {version}
    assert bodies(sandbox, "/extract") == [
        {
            "origin": "python-sdk@airflow-provider-jobs", "showSources": True, "prompt": "the title", "schema": schema,
            "urls": [f"{sandbox.urls['site']}/articles/15.html"],
        }
    ]  # fmt: skip
    assert task.pushed == {"job_id": job["id"], "api_version": version}
    assert task.closed == ["delivered"]


@pytest.mark.usefixtures("quick")
def test_into_a_folder(task: Instance, extract: Any, tmp_path: Path) -> None:
    summary = task.execute(extract(output_path=str(tmp_path)))
    assert [Path(name).name for name in summary["output"]] == ["part-00000.jsonl"]
    assert "pages" in json.loads((tmp_path / "part-00000.jsonl").read_text())


@VERSIONS
@pytest.mark.usefixtures("quick")
def test_a_prompt_is_enough(sandbox: Any, task: Instance, extract: Any, version: str) -> None:
    assert task.execute(extract(urls=None, api_version=version))["records"] == 1
    assert "urls" not in bodies(sandbox, "/extract")[0]


def test_the_log_says_first_that_a_kill_leaves_it(task: Instance, held: Any, capsys: Any) -> None:
    held()
    told = capsys.readouterr().out
    assert "An extract cannot be cancelled" in told
    assert told.index("An extract cannot be cancelled") < told.index("through connection")


@VERSIONS
def test_the_log_passes_the_services_own_warning_on(
    sandbox: Any, task: Instance, held: Any, extract: Any, version: str, capsys: Any
) -> None:
    deferral = held(api_version=version)
    sandbox.control.act(task.pushed["job_id"], "finish")
    task.resume(extract(api_version=version), deferral, task.fire(deferral))
    assert "is deprecated: use /v2/scrape with a json format" in capsys.readouterr().out


# -- never cancelled -------------------------------------------------------------------------------------------------


def test_a_kill_leaves_it(sandbox: Any, task: Instance, extract: Any) -> None:
    """It is on record as left: listed, and ended by nobody."""
    sandbox.control.settings(firecrawl={"hold": True})
    operator = extract()
    moment = lambda: sandbox.control.wait_for(lambda: sent(sandbox, "GET"))  # noqa: E731
    with killed_when(operator, moment), pytest.raises(JobKilledError):
        task.execute(operator)
    assert sandbox.control.jobs()[0]["state"] == "processing"
    assert sent(sandbox, "DELETE") == []
    assert task.closed == ["left"]


def test_a_deadline_leaves_it(sandbox: Any, task: Instance, extract: Any, capsys: Any) -> None:
    sandbox.control.settings(firecrawl={"hold": True})
    with pytest.raises(JobTimeoutError, match="was not over"):
        task.execute(extract(job_timeout=1))
    assert sent(sandbox, "DELETE") == []
    assert task.closed == ["left"]
    assert "runs on and is billed: Firecrawl cannot cancel it" in capsys.readouterr().out


def test_after_a_deadline_no_retry_starts_a_second_one(sandbox: Any, task: Instance, held: Any, extract: Any) -> None:
    """P3: the first one still runs, and is billed; only a clear starts another."""
    task.max_tries = 1
    sandbox.control.settings(firecrawl={"hold": True})
    with pytest.raises(AirflowFailException, match="a retry would start a second one beside it") as caught:
        task.execute(extract(job_timeout=1))
    assert isinstance(caught.value.__cause__, JobTimeoutError)
    assert task.closed == ["left"]
    task.clear()
    deferral = held(job_timeout=0.5)
    event = task.fire(deferral)
    with pytest.raises(AirflowFailException, match="a retry would start a second one beside it"):
        task.resume(extract(), deferral, event)
    task.clear()
    held()
    operator = extract()
    task.operators.append(operator)
    with pytest.raises(AirflowFailException, match="a retry would start a second one beside it"):
        operator.resume_execution("__fail__", {"error": "Trigger timeout"}, task.context)
    assert task.closed == ["left", "left", "left"]
    assert sent(sandbox, "DELETE") == []


def test_the_trigger_leaves_it(sandbox: Any, task: Instance, held: Any, extract: Any) -> None:
    deferral = held(job_timeout=0.5)
    trigger: Any = deferral.trigger
    assert (trigger.cancel_on_kill, trigger.cancel_at_deadline) == (False, False)
    event = task.fire(deferral)
    assert (event["outcome"], event["cancelled"]) == ("timed_out", False)
    with pytest.raises(JobTimeoutError, match="the trigger did not cancel it"):
        task.resume(extract(), deferral, event)
    assert sent(sandbox, "DELETE") == []
    assert task.closed == ["left"]


def test_a_kill_in_the_triggerer_leaves_it(sandbox: Any, task: Instance, held: Any) -> None:
    trigger: Any = held().trigger

    async def killed() -> None:
        waiting = asyncio.create_task(anext(trigger.run()))
        await asyncio.to_thread(sandbox.control.wait_for, lambda: len(sent(sandbox, "GET")) > 1)
        await trigger.on_kill()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    asyncio.run(killed())
    assert sandbox.control.jobs()[0]["state"] == "processing"
    assert sent(sandbox, "DELETE") == []


def test_a_wait_that_airflow_cut_off_leaves_it(sandbox: Any, task: Instance, held: Any, extract: Any) -> None:
    held()
    operator = extract()
    task.operators.append(operator)
    with pytest.raises(TaskDeferralTimeout):
        operator.resume_execution("__fail__", {"error": "Trigger timeout"}, task.context)
    assert sent(sandbox, "DELETE") == []
    assert task.closed == ["left"]


@pytest.mark.parametrize("durable", [True, False])
def test_a_clear_leaves_the_earlier_one_and_starts_anew(
    sandbox: Any, task: Instance, held: Any, durable: bool, capsys: Any
) -> None:
    held(durable=durable)
    task.clear()
    held(durable=durable)
    first, second = sandbox.control.jobs()
    assert (first["state"], second["state"]) == ("processing", "processing")
    assert sent(sandbox, "DELETE") == []
    assert task.closed == ["left", None]
    assert f"firecrawl extract {first['id']} of an earlier try is left running" in capsys.readouterr().out


def test_a_retry_goes_on_with_it(sandbox: Any, task: Instance, held: Any, extract: Any) -> None:
    task.max_tries = 1
    held()
    (job,) = sandbox.control.jobs()
    task.retry()
    deferral = held()
    sandbox.control.act(job["id"], "finish")
    assert task.resume(extract(), deferral, task.fire(deferral))["job_id"] == job["id"]
    assert len(sent(sandbox, "POST")) == 1


# -- gone ------------------------------------------------------------------------------------------------------------


@VERSIONS
@pytest.mark.pitfall("F41")
def test_gone_at_the_start(sandbox: Any, task: Instance, extract: Any, version: str) -> None:
    sandbox.control.settings(firecrawl={"extract_gone": True})
    with pytest.raises(AirflowFailException) as caught:
        task.execute(extract(api_version=version))
    assert isinstance(caught.value.__cause__, EndpointGoneError)
    assert all(word in str(caught.value) for word in REPLACEMENTS)
    assert f"HTTP 410 to POST /{version}/extract" in str(caught.value)
    assert len(sent(sandbox, "POST")) == 1
    assert task.closed == ["not_started"]


@VERSIONS
@pytest.mark.pitfall("F41")
def test_gone_while_it_is_waited_for(sandbox: Any, task: Instance, held: Any, extract: Any, version: str) -> None:
    """The status calls end with it, so what runs over that moment cannot be read."""
    deferral = held(api_version=version)
    sandbox.control.settings(firecrawl={"extract_gone": True})
    event = task.fire(deferral)
    assert (event["outcome"], event["permanent"], event["cancelled"]) == ("gave_up", True, False)
    with pytest.raises(AirflowFailException) as caught:
        task.resume(extract(api_version=version), deferral, event)
    assert all(word in str(caught.value) for word in REPLACEMENTS)
    assert task.pushed["job_id"] in str(caught.value)
    assert sent(sandbox, "DELETE") == []
    assert task.closed == ["left"]


@pytest.mark.pitfall("F41")
def test_gone_while_a_worker_waits(sandbox: Any, task: Instance, extract: Any) -> None:
    sandbox.control.settings(firecrawl={"hold": True})
    sandbox.control.fault("firecrawl", "410", method="GET", times=None)
    with pytest.raises(AirflowFailException) as caught:
        task.execute(extract())
    assert isinstance(caught.value.__cause__, EndpointGoneError)
    assert all(word in str(caught.value) for word in REPLACEMENTS)
    assert len(sent(sandbox, "GET", "/extract/")) == 1


@pytest.mark.pitfall("F41")
def test_gone_for_a_sensor(sandbox: Any, task: Instance, held: Any) -> None:
    held()
    sandbox.control.settings(firecrawl={"extract_gone": True})
    sensor = FirecrawlJobSensor(task_id="wait", job_id=task.pushed["job_id"], kind="extract", poke_interval=1)
    with pytest.raises(AirflowFailException, match="FirecrawlAgentOperator"):
        sensor.execute(Instance().context)


# -- how an extract can end ------------------------------------------------------------------------------------------


@VERSIONS
@pytest.mark.pitfall("F13", "F43")
@pytest.mark.parametrize("server", ["2025", "2026"])
def test_a_failure_gives_a_short_text(sandbox: Any, task: Instance, extract: Any, version: str, server: str) -> None:
    """HTTP 200 with success:false; in 2025 with an object of several KB that holds prompt and pages."""
    sandbox.control.settings(firecrawl={"server": server, "keys": [FIRECRAWL_KEY], "hold": True})
    deferral = task.deferred(extract(api_version=version, deferrable=True))
    sandbox.control.act(task.pushed["job_id"], "fail", error="the model gave up")
    with pytest.raises(JobFailedError, match="the model gave up") as caught:
        task.resume(extract(api_version=version), deferral, task.fire(deferral))
    assert len(str(caught.value)) < 800
    assert "page text" not in str(caught.value)
    assert task.closed == ["failed"]


def test_completed_without_a_value(sandbox: Any, task: Instance, held: Any, extract: Any) -> None:
    deferral = held()
    sandbox.control.act(task.pushed["job_id"], "finish")
    sandbox.control.act(task.pushed["job_id"], "expire_results")
    with pytest.raises(AirflowFailException, match="nothing was delivered") as caught:
        task.resume(extract(), deferral, task.fire(deferral))
    assert isinstance(caught.value.__cause__, ResultIncompleteError)


@VERSIONS
def test_a_server_of_2025_makes_a_job(sandbox: Any, task: Instance, extract: Any, version: str) -> None:
    """Self-hosted ones do the work inside the start, unless its origin names an SDK."""
    sandbox.control.settings(firecrawl={"server": "2025", "hold": True})
    deferral = task.deferred(extract(deferrable=True, api_version=version))
    sandbox.control.act(task.pushed["job_id"], "finish")
    assert task.resume(extract(api_version=version), deferral, task.fire(deferral))["records"] == 1


@VERSIONS
def test_a_server_that_does_the_work_inside_the_start(
    sandbox: Any, task: Instance, extract: Any, version: str, firecrawl_default: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """With an origin of the user's own: it may take longer than other answers, and then holds no job to go on with."""
    firecrawl_default(timeout=0.3)
    monkeypatch.setattr("airflow_provider_jobs.operators.recovery.PAUSES", (0.01,))
    sandbox.control.settings(firecrawl={"server": "2025", "page_seconds": 1.0})
    with pytest.raises(AirflowFailException) as caught:
        task.execute(extract(api_version=version, options={"origin": "mine"}))
    assert isinstance(caught.value.__cause__, StartUncertainError)
    assert "without an id" in str(caught.value)


# -- what the service says to a start --------------------------------------------------------------------------------

REFUSALS = [
    ("error_list", {"text": "Unrecognized key in body"}, RequestRejectedError, "Unrecognized key"),
    ("401", {}, AuthenticationError, "the key was not accepted"),
    ("402", {}, PaymentRequiredError, "Insufficient credits"),
    ("403", {}, PermissionDeniedError, "no longer supported"),
    ("html_404", {}, RouteNotFoundError, "check the connection's host and the API version"),
]


@VERSIONS
@pytest.mark.pitfall("F39")
@pytest.mark.parametrize(("fault", "params", "error", "told"), REFUSALS, ids=[case[0] for case in REFUSALS])
def test_a_refused_start(
    sandbox: Any, task: Instance, extract: Any, version: str, fault: str, params: Any, error: Any, told: str
) -> None:
    sandbox.control.fault("firecrawl", fault, method="POST", times=None, **params)
    with pytest.raises(AirflowFailException, match=told) as caught:
        task.execute(extract(api_version=version))
    assert isinstance(caught.value.__cause__, error)
    assert FIRECRAWL_KEY not in str(caught.value) + repr(task.store)
    assert len(sent(sandbox, "POST")) == 1
    assert task.closed == ["not_started"]


@pytest.mark.pitfall("F19")
@pytest.mark.parametrize("fault", ["500", "502_html", "reset"])
def test_a_start_that_may_have_happened(
    sandbox: Any, task: Instance, extract: Any, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("airflow_provider_jobs.operators.recovery.PAUSES", (0.01,))
    sandbox.control.fault("firecrawl", fault, method="POST", times=1)
    task.max_tries = 1
    for _ in range(2):
        with pytest.raises(AirflowFailException, match="clear the task to start a new one"):
            task.execute(extract())
        task.retry()
    assert len(sent(sandbox, "POST")) == 1
    assert task.closed == [None]


@pytest.mark.usefixtures("ledger_folder")
def test_a_start_whose_answer_was_lost_is_found_in_a_list(
    sandbox: Any, task: Instance, held: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("airflow_provider_jobs.operators.recovery.PAUSES", (0.01, 0.01))
    sandbox.control.fault("firecrawl", "lost_reply", method="POST", times=1)
    held()
    (job,) = sandbox.control.jobs()
    assert task.pushed["job_id"] == job["id"]
    assert len(sent(sandbox, "POST")) == 1


# -- looks that fail -------------------------------------------------------------------------------------------------


@pytest.mark.pitfall("F17")
@pytest.mark.parametrize("fault", ["500", "502_html", "429_seconds", "reset", "truncated_json"])
def test_a_look_that_fails_does_not_end_the_wait(sandbox: Any, task: Instance, extract: Any, fault: str) -> None:
    sandbox.control.fault("firecrawl", fault, method="GET", path_contains="/extract/", times=1, seconds=1)
    assert task.execute(extract())["state"] == "succeeded"


def test_an_id_that_is_gone(sandbox: Any, task: Instance, held: Any, extract: Any) -> None:
    """Results live for six hours."""
    task.max_tries = 1
    held()
    job_id = task.pushed["job_id"]
    sandbox.control.act(job_id, "forget")
    sensor = FirecrawlJobSensor(task_id="wait", job_id=job_id, kind="extract", poke_interval=1)
    hook = sensor.make_hook()
    with pytest.raises(JobNotFoundError, match="Extract job not found"):
        hook.look(sensor.name_job(hook))


# -- input -----------------------------------------------------------------------------------------------------------


def test_v1_takes_ten_urls(sandbox: Any, task: Instance, extract: Any) -> None:
    urls = [f"https://example.com/{number}" for number in range(11)]
    with pytest.raises(AirflowFailException, match="at most 10 urls, not 11") as caught:
        task.execute(extract(urls=urls))
    assert isinstance(caught.value.__cause__, InvalidInputError)
    assert sent(sandbox) == []
    sandbox.control.settings(firecrawl={"hold": True})
    task.deferred(extract(urls=urls, api_version="v2", deferrable=True))
    other = Instance()
    other.deferred(extract(urls=urls[:10], deferrable=True))
    assert len(sandbox.control.jobs()) == 2


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"urls": None, "prompt": None}, "urls, a prompt, or both"),
        ({"urls": []}, "empty"),
        ({"urls": "https://example.com/"}, "must be a list"),
        ({"prompt": " "}, "prompt"),
        ({"prompt": "x" * 10_001}, "10,001 characters"),
        ({"schema": "{}"}, "JSON schema as a dictionary"),
        ({"options": {"urls": []}}, "argument of its own"),
        ({"api_version": "v3"}, "api_version"),
    ],
)
def test_input(extract: Any, arguments: dict[str, Any], told: str) -> None:
    with pytest.raises(InvalidInputError, match=told):
        extract(**arguments)
