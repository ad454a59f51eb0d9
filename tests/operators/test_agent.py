"""The agent operator against the sandbox: API v2 of newer servers only, whatever the connection says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException

from airflow_provider_jobs.exceptions import (
    AuthenticationError,
    InvalidInputError,
    JobCancelledError,
    JobFailedError,
    JobKilledError,
    PaymentRequiredError,
    PermissionDeniedError,
    RequestRejectedError,
    ResultIncompleteError,
    RouteNotFoundError,
    StartUncertainError,
)
from airflow_provider_jobs.operators.firecrawl import (
    FirecrawlAgentOperator,
    FirecrawlCancelJobOperator,
    FirecrawlFetchResultsOperator,
)
from airflow_provider_jobs.sensors.firecrawl import FirecrawlJobSensor
from tests.conftest import FIRECRAWL_KEY
from tests.operators.conftest import Instance, bodies, killed_when, sent

pytestmark = pytest.mark.usefixtures("firecrawl_default")


def agent(**arguments: Any) -> FirecrawlAgentOperator:
    defaults = {"task_id": "job", "prompt": "Who keeps bees?", "poll_interval": 1}
    return FirecrawlAgentOperator(**{**defaults, **arguments})


@pytest.fixture
def held(sandbox: Any, task: Instance) -> Any:
    """Start a run that does not end by itself, and return what its try has deferred with."""

    def start(**arguments: Any) -> Any:
        sandbox.control.settings(firecrawl={"hold": True})
        return task.deferred(agent(deferrable=True, **arguments))

    return start


# -- the good case ---------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("connection_version", [None, "v1", "v2"])
@pytest.mark.parametrize("argument", [None, "v2"])
def test_an_answer_is_one_record(
    sandbox: Any, task: Instance, firecrawl_default: Any, connection_version: Any, argument: Any
) -> None:
    firecrawl_default(**({"api_version": connection_version} if connection_version else {}))
    summary = task.execute(agent(api_version=argument))
    (job,) = sandbox.control.jobs()
    assert summary == {
        "service": "firecrawl", "kind": "agent", "job_id": job["id"], "state": "succeeded", "completed": None,
        "total": None, "records": 1, "failed": 0, "missing": 0, "credits_used": 5.0, "output": [],
        "data": [{"answer": "Invented answer to: Who keeps bees?"}],
    }  # fmt: skip
    assert task.pushed == {"job_id": job["id"], "api_version": "v2"}
    assert {seen["path"].split("/")[1] for seen in sent(sandbox)} == {"v2"}
    assert bodies(sandbox, "/agent") == [{"origin": "airflow-provider-jobs", "prompt": "Who keeps bees?"}]
    assert task.closed == ["delivered"]


@pytest.mark.usefixtures("quick")
def test_all_arguments_are_sent(sandbox: Any, task: Instance, tmp_path: Path) -> None:
    urls = [f"{sandbox.urls['site']}/articles/{number}.html" for number in (15, 16)]
    schema = {"type": "object", "properties": {"title": {"type": "string"}}}
    operator = agent(
        urls=urls, schema=schema, max_credits="50", options={"model": "spark-1-mini"}, output_path=str(tmp_path)
    )
    summary = task.execute(operator)
    (body,) = bodies(sandbox, "/agent")
    assert body == {
        "origin": "airflow-provider-jobs", "prompt": "Who keeps bees?", "urls": urls, "schema": schema,
        "maxCredits": 50, "model": "spark-1-mini",
    }  # fmt: skip
    assert [Path(name).name for name in summary["output"]] == ["part-00000.jsonl"]
    assert json.loads((tmp_path / "part-00000.jsonl").read_text()) == {"title": "Beekeeping"}
    assert (summary["records"], summary["credits_used"]) == (1, 10.0)


def test_through_the_triggerer(sandbox: Any, task: Instance, held: Any) -> None:
    deferral = held()
    sandbox.control.act(task.pushed["job_id"], "finish", data={"keepers": ["Ada", "Bo"]})
    summary = task.resume(agent(), deferral, task.fire(deferral))
    assert summary["data"] == [{"keepers": ["Ada", "Bo"]}]


def test_a_run_that_takes_its_time_is_waited_for(sandbox: Any, task: Instance) -> None:
    sandbox.control.settings(firecrawl={"page_seconds": 0.5})
    assert task.execute(agent())["records"] == 1


@pytest.mark.parametrize("value", ["text", 7, False, [{"a": 1}, {"a": 2}]])
def test_an_answer_of_any_kind_is_one_record(sandbox: Any, task: Instance, held: Any, value: Any) -> None:
    deferral = held()
    sandbox.control.act(task.pushed["job_id"], "finish", data=value)
    summary = task.resume(agent(), deferral, task.fire(deferral))
    assert (summary["records"], summary["data"]) == (1, [value])


# -- how a run can end -----------------------------------------------------------------------------------------------


def test_completed_without_an_answer_is_nothing_delivered(sandbox: Any, task: Instance, held: Any) -> None:
    deferral = held()
    sandbox.control.act(task.pushed["job_id"], "finish")
    sandbox.control.act(task.pushed["job_id"], "expire_results")
    with pytest.raises(AirflowFailException, match="nothing was delivered: 0 delivered") as caught:
        task.resume(agent(), deferral, task.fire(deferral))
    assert isinstance(caught.value.__cause__, ResultIncompleteError)
    assert task.pushed["job_id"] in str(caught.value)


@pytest.mark.parametrize(("word", "error"), [("failed", JobFailedError), ("cancelled", JobCancelledError)])
def test_a_run_that_somebody_cancelled(
    sandbox: Any, task: Instance, held: Any, word: str, error: type[Exception]
) -> None:
    """Documented as `cancelled`; servers say `failed`, with a text."""
    sandbox.control.settings(firecrawl={"agent_cancelled": word})
    deferral = held()
    sandbox.control.act(task.pushed["job_id"], "cancel")
    with pytest.raises(error, match="The agent run was cancelled"):
        task.resume(agent(), deferral, task.fire(deferral))
    assert task.closed == [word]


@pytest.mark.parametrize("partial", [False, True])
def test_the_credits_were_used_up(sandbox: Any, task: Instance, partial: bool, tmp_path: Path) -> None:
    """`failed` with a reason, and perhaps with what was found so far."""
    urls = [f"{sandbox.urls['site']}/page{number}.html" for number in range(1, 6)]
    arguments = {"urls": urls, "max_credits": 10, "deliver_partial": partial, "output_path": str(tmp_path / "out")}
    with pytest.raises(JobFailedError, match="credit limit") as caught:
        task.execute(agent(**arguments))
    (job,) = sandbox.control.jobs()
    assert job["id"] in str(caught.value)
    assert "10 credits" in str(caught.value)
    file = tmp_path / "out" / "part-00000.jsonl"
    assert file.exists() is partial
    if partial:
        assert len(json.loads(file.read_text())["pages"]) == 2
        assert "1 records were delivered to" in str(caught.value)
    assert task.closed == ["failed"]


def test_nothing_was_found_before_it_failed(sandbox: Any, task: Instance, held: Any) -> None:
    deferral = held()
    sandbox.control.act(task.pushed["job_id"], "fail", error={"message": "the model gave up", "trace": "x" * 5000})
    with pytest.raises(JobFailedError, match="the model gave up; 0 records were delivered") as caught:
        task.resume(agent(deliver_partial=True), deferral, task.fire(deferral))
    assert len(str(caught.value)) < 1000


def test_a_reason_without_a_text(sandbox: Any, task: Instance, held: Any) -> None:
    deferral = held()
    sandbox.control.act(task.pushed["job_id"], "fail", error="", stop_reason="credit_limit_reached")
    with pytest.raises(JobFailedError, match="credit_limit_reached"):
        task.resume(agent(), deferral, task.fire(deferral))


@pytest.mark.parametrize("word", ["failed", "cancelled"])
def test_a_kill_cancels(sandbox: Any, task: Instance, word: str) -> None:
    """P1; a run that reads `failed` after its cancel is over, too."""
    sandbox.control.settings(firecrawl={"hold": True, "agent_cancelled": word})
    operator = agent()
    moment = lambda: sandbox.control.wait_for(lambda: sent(sandbox, "GET"))  # noqa: E731
    with killed_when(operator, moment), pytest.raises(JobKilledError):
        task.execute(operator)
    (job,) = sandbox.control.jobs()
    assert (job["state"], job["cancelled_by_delete"]) == ("cancelled", True)
    assert {seen["path"] for seen in sent(sandbox, "DELETE")} == {f"/v2/agent/{job['id']}"}
    assert task.closed == ["cancelled"]


def test_a_run_that_is_not_over_in_time_is_cancelled(sandbox: Any, task: Instance, held: Any) -> None:
    deferral = held(job_timeout=0.5)
    event = task.fire(deferral)
    with pytest.raises(Exception, match=r"was not over.*it was cancelled"):
        task.resume(agent(), deferral, event)
    assert sandbox.control.job(task.pushed["job_id"])["cancelled_by_delete"]
    assert task.closed == ["cancelled"]


# -- retries and clears ----------------------------------------------------------------------------------------------


def test_a_retry_goes_on_with_the_run(sandbox: Any, task: Instance, held: Any) -> None:
    task.max_tries = 1
    held()
    (job,) = sandbox.control.jobs()
    task.retry()
    deferral = held()
    sandbox.control.act(job["id"], "finish")
    assert task.resume(agent(), deferral, task.fire(deferral))["job_id"] == job["id"]
    assert len(sent(sandbox, "POST")) == 1


@pytest.mark.parametrize("word", ["failed", "cancelled"])
def test_a_clear_ends_the_run_and_starts_anew(sandbox: Any, task: Instance, held: Any, word: str) -> None:
    sandbox.control.settings(firecrawl={"agent_cancelled": word})
    held()
    task.clear()
    held()
    first, second = sandbox.control.jobs()
    assert (first["cancelled_by_delete"], second["state"]) == (True, "processing")
    assert task.closed == ["cancelled", None]


# -- what the service says to a start --------------------------------------------------------------------------------

REFUSALS = [
    ("error_list", {"text": "Unrecognized key in body"}, RequestRejectedError, "Unrecognized key"),
    ("401", {}, AuthenticationError, "the key was not accepted"),
    ("402", {}, PaymentRequiredError, "Insufficient credits"),
    ("403", {}, PermissionDeniedError, "no longer supported"),
]


@pytest.mark.pitfall("F39")
@pytest.mark.parametrize(("fault", "params", "error", "told"), REFUSALS, ids=[case[0] for case in REFUSALS])
def test_a_refused_start(
    sandbox: Any, task: Instance, fault: str, params: Any, error: type[Exception], told: str
) -> None:
    sandbox.control.fault("firecrawl", fault, method="POST", times=None, **params)
    with pytest.raises(AirflowFailException, match=told) as caught:
        task.execute(agent())
    assert isinstance(caught.value.__cause__, error)
    assert "POST /v2/agent" in str(caught.value)
    assert FIRECRAWL_KEY not in str(caught.value) + repr(task.store)
    assert len(sent(sandbox, "POST")) == 1
    assert task.closed == ["not_started"]


def test_too_few_credits(sandbox: Any, task: Instance) -> None:
    """A run needs 20 to begin."""
    sandbox.control.settings(firecrawl={"credits": 19})
    with pytest.raises(AirflowFailException, match="Insufficient credits"):
        task.execute(agent())


def test_a_thread_that_is_busy(sandbox: Any, task: Instance, held: Any) -> None:
    """409: refused, so nothing was started."""
    options = {"threadId": "0b8f5b34-5f8a-4a0e-8f6f-d7c3a3c0f0aa"}
    held(options=options)
    (busy,) = sandbox.control.jobs()
    other = Instance()
    other.task_id = "another"
    with pytest.raises(AirflowFailException, match="thread_busy") as caught:
        other.execute(agent(options=options))
    assert isinstance(caught.value.__cause__, RequestRejectedError)
    assert "This thread has a run in progress" in str(caught.value)
    assert other.closed == ["not_started"]
    assert [job["id"] for job in sandbox.control.jobs()] == [busy["id"]]
    assert sent(sandbox, "DELETE") == []


def test_a_server_without_agents(sandbox: Any, task: Instance) -> None:
    sandbox.control.settings(firecrawl={"server": "2025"})
    with pytest.raises(AirflowFailException, match="Cannot POST /v2/agent") as caught:
        task.execute(agent())
    assert isinstance(caught.value.__cause__, RouteNotFoundError)
    assert task.closed == ["not_started"]


def test_a_server_that_could_not_pass_it_on(sandbox: Any, task: Instance, monkeypatch: pytest.MonkeyPatch) -> None:
    """HTTP 500, and no run in the list: nobody knows, so it is not sent again."""
    monkeypatch.setattr("airflow_provider_jobs.operators.recovery.PAUSES", (0.01,))
    text = "Failed to passthrough agent request."
    sandbox.control.fault("firecrawl", "error_text", method="POST", times=None, status=500, text=text)
    with pytest.raises(AirflowFailException, match=text) as caught:
        task.execute(agent())
    assert isinstance(caught.value.__cause__, StartUncertainError)
    assert len(sent(sandbox, "POST")) == 1
    assert task.closed == [None]


@pytest.mark.pitfall("F19")
@pytest.mark.parametrize("newer", [True, False])
@pytest.mark.usefixtures("ledger_folder")
def test_a_start_whose_answer_was_lost_is_found_in_a_list(
    sandbox: Any, task: Instance, held: Any, newer: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the list of agents, and on servers without it in the team's activity."""
    monkeypatch.setattr("airflow_provider_jobs.operators.recovery.PAUSES", (0.01, 0.01))
    sandbox.control.settings(firecrawl={"agent_newer": newer})
    sandbox.control.fault("firecrawl", "lost_reply", method="POST", times=1)
    held()
    (job,) = sandbox.control.jobs()
    assert task.pushed == {"job_id": job["id"], "api_version": "v2"}
    assert len(sent(sandbox, "POST")) == 1


# -- by id -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("connection_version", ["v1", "v2"])
def test_by_id_it_is_v2_as_well(
    sandbox: Any, task: Instance, held: Any, firecrawl_default: Any, connection_version: str
) -> None:
    firecrawl_default(api_version=connection_version)
    held()
    job_id = task.pushed["job_id"]
    assert FirecrawlCancelJobOperator(task_id="cancel", job_id=job_id, kind="agent").execute({})["job_id"] == job_id
    with pytest.raises(AirflowFailException, match="cancelled"):
        FirecrawlJobSensor(task_id="wait", job_id=job_id, kind="agent").execute(Instance().context)
    with pytest.raises(AirflowFailException) as caught:
        Instance().execute(FirecrawlFetchResultsOperator(task_id="fetch", job_id=job_id, kind="agent"))
    assert isinstance(caught.value.__cause__, JobFailedError)
    assert {seen["path"].split("/")[1] for seen in sent(sandbox)} == {"v2"}


@pytest.mark.parametrize("make", [FirecrawlJobSensor, FirecrawlFetchResultsOperator, FirecrawlCancelJobOperator])
def test_v1_by_id_is_an_error(sandbox: Any, make: Any) -> None:
    with pytest.raises(InvalidInputError, match="Firecrawl has agent in v2 only, not in v1"):
        make(task_id="x", job_id="1", kind="agent", api_version="v1")
    rendered = make(task_id="x", job_id="1", kind="{{ a }}", api_version="v1")
    rendered.kind = "agent"
    with pytest.raises(AirflowFailException, match="agent in v2 only"):
        rendered.execute(Instance().context)
    assert sent(sandbox) == []


def test_v1_is_an_error(sandbox: Any, task: Instance) -> None:
    with pytest.raises(InvalidInputError, match="Firecrawl has agent in v2 only, not in v1"):
        agent(api_version="v1")
    assert "api_version" not in FirecrawlAgentOperator.template_fields
