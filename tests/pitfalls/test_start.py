"""What is sent to start a job, and what is made of the answer."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException

from airflow_provider_jobs.exceptions import InvalidInputError, StartUncertainError
from airflow_provider_jobs.operators import recovery
from airflow_provider_jobs.sandbox import Sandbox
from tests.transport.wire import Asked, WireServer, reply

VERSIONS = pytest.mark.parametrize("version", ["v1", "v2"])
SERVERS = pytest.mark.parametrize("server", ["2025", "2026"])
# Looks right from here; the service wants a dot in it.
REFUSED_THERE = "http://localhost:3000/"


def body(call: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(call["body"])
    return found


LOST = pytest.mark.parametrize("fault", ["lost_reply", "server_error_after_start", "truncated_json"])


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The search for a lost start does not wait."""
    monkeypatch.setattr(recovery, "PAUSES", (0.0, 0.0, 0.0))


@pytest.mark.pitfall("F19", "F21")
@VERSIONS
@LOST
def test_a_start_with_a_lost_answer_is_sent_once(
    sandbox: Sandbox, scrape: Any, pages: Any, sent: Any, at_once: None, version: str, fault: str
) -> None:
    """A server of 2025 lists no batch scrapes, so nobody can find the job."""
    sandbox.control.settings(firecrawl={"server": "2025"})
    sandbox.control.fault("firecrawl", fault, method="POST", times=1)
    task = scrape(pages(1), api_version=version, retries=3)
    with pytest.raises(AirflowFailException, match="no usable answer came back"):
        task.run()
    with pytest.raises(AirflowFailException, match="no answer to it is on record") as again:
        task.run()
    assert isinstance(again.value.__cause__, StartUncertainError)
    assert len(sent("POST")) == len(sandbox.control.jobs()) == 1


@pytest.mark.pitfall("F19")
@VERSIONS
@LOST
@pytest.mark.usefixtures("ledger_folder")
def test_a_start_with_a_lost_answer_is_found_where_it_is_listed(
    sandbox: Sandbox, scrape: Any, pages: Any, sent: Any, at_once: None, version: str, fault: str
) -> None:
    sandbox.control.fault("firecrawl", fault, method="POST", times=1)
    summary = scrape(pages(1), api_version=version, poll_interval=1).run()
    (job,) = sandbox.control.jobs()
    assert (summary["job_id"], summary["records"]) == (job["id"], 1)
    assert len(sent("POST")) == 1


@pytest.mark.pitfall("F20", "F21")
@VERSIONS
def test_a_start_has_no_idempotency_key(
    sandbox: Sandbox, scrape: Any, pages: Any, sent: Any, raw: Any, version: str
) -> None:
    """A key would break every start on this server, which has no database, and v2 does not look at it."""
    key = {"x-idempotency-key": str(uuid.uuid4())}
    with_key = raw("POST", f"/{version}/batch/scrape", json={"urls": pages(1)}, headers=key)
    assert with_key.status_code == (500 if version == "v1" else 200)
    before = len(sent("POST"))
    assert scrape(pages(1), api_version=version).run()["records"] == 1
    (call,) = sent("POST")[before:]
    assert not [name for name in call["headers"] if "idempotency" in name.casefold()]


@pytest.mark.pitfall("F20")
def test_a_used_key_is_a_refusal_and_no_start(sandbox: Sandbox, scrape: Any, pages: Any, sent: Any) -> None:
    """A proxy may put one in; the answer has no id of the first job."""
    sandbox.control.fault("firecrawl", "409", method="POST", times=None)
    with pytest.raises(AirflowFailException, match="Idempotency key already used"):
        scrape(pages(1)).run()
    assert len(sent("POST")) == 1


@pytest.mark.pitfall("F22")
@VERSIONS
@pytest.mark.parametrize("deferrable", [False, True])
def test_addresses_that_the_service_left_out_are_listed(
    sandbox: Sandbox, scrape: Any, pages: Any, raw: Any, tmp_path: Path, version: str, deferrable: bool
) -> None:
    sandbox.control.settings(firecrawl={"hold": deferrable})
    task = scrape(
        [*pages(1), REFUSED_THERE],
        api_version=version,
        options={"ignoreInvalidURLs": True},
        output_path=str(tmp_path / "out"),
        deferrable=deferrable,
    )
    if deferrable:
        sandbox.control.act(task.defer(), "finish")
        value = task.resume(task.event())
    else:
        value = task.run()
    assert (value["records"], value["failed"], value["missing"]) == (1, 1, 0)
    (entry,) = map(json.loads, (tmp_path / "out" / "_failed.jsonl").read_text().splitlines())
    assert (entry["url"], entry["code"]) == (REFUSED_THERE, "INVALID_URL")
    for route in ("", "/errors"):
        assert REFUSED_THERE not in raw("GET", f"/{version}/batch/scrape/{value['job_id']}{route}").text


@pytest.mark.pitfall("F23")
@VERSIONS
@SERVERS
def test_whether_bad_addresses_are_left_out_is_always_said(
    sandbox: Sandbox, scrape: Any, pages: Any, sent: Any, raw: Any, version: str, server: str
) -> None:
    sandbox.control.settings(firecrawl={"server": server})
    urls = [*pages(1), REFUSED_THERE]
    unsaid = raw("POST", f"/{version}/batch/scrape", json={"urls": urls})
    assert unsaid.status_code == (200 if (version, server) == ("v2", "2025") else 400), "the defaults differ"
    before = len(sent("POST"))
    with pytest.raises(AirflowFailException, match="urls"):
        scrape(urls, api_version=version).run()
    (call,) = sent("POST")[before:]
    assert (body(call)["ignoreInvalidURLs"], call["status"]) == (False, 400)
    assert scrape(urls, api_version=version, options={"ignoreInvalidURLs": True}).run()["failed"] == 1
    assert body(sent("POST")[-1])["ignoreInvalidURLs"] is True


@pytest.mark.pitfall("F24")
@pytest.mark.parametrize("urls", [[], ["ftp://example.com/a", "not an address"]])
def test_a_list_without_an_address_is_refused_here(sandbox: Sandbox, raw: Any, hook: Any, urls: list[str]) -> None:
    sandbox.control.settings(firecrawl={"server": "2025"})
    told = raw("POST", "/v1/batch/scrape", json={"urls": urls, "ignoreInvalidURLs": True})
    state = raw("GET", f"/v1/batch/scrape/{told.json()['id']}").json()
    assert (state["status"], state["total"], state["data"]) == ("completed", 0, []), "there it succeeds"
    before = len(sandbox.control.requests())
    with pytest.raises(InvalidInputError, match=r"urls is empty|none of the urls"):
        hook.start_batch_scrape(urls, options={"ignoreInvalidURLs": True})
    assert len(sandbox.control.requests()) == before


@pytest.mark.pitfall("F24", "F5")
def test_a_list_of_which_the_service_takes_nothing_fails(sandbox: Sandbox, scrape: Any) -> None:
    """The service alone knows that the address is none, and its job completes at once."""
    sandbox.control.settings(firecrawl={"server": "2025"})
    with pytest.raises(AirflowFailException, match=r"0 delivered, 1 failed.*localhost:3000"):
        scrape([REFUSED_THERE], options={"ignoreInvalidURLs": True}).run()
    (job,) = sandbox.control.jobs()
    assert (job["state"], job["total"]) == ("completed", 0)


@pytest.mark.pitfall("F26")
@VERSIONS
@SERVERS
def test_the_client_is_named_in_origin(
    sandbox: Sandbox, scrape: Any, pages: Any, sent: Any, raw: Any, version: str, server: str
) -> None:
    sandbox.control.settings(firecrawl={"server": server})
    refused = raw("POST", f"/{version}/batch/scrape", json={"urls": pages(1), "integration": "airflow"})
    assert refused.status_code == 400
    scrape(pages(1), api_version=version).run()
    told = body(sent("POST")[-1])
    assert told["origin"] == "airflow-provider-jobs"
    assert "integration" not in told
    jobs = len(sandbox.control.jobs())
    with pytest.raises((AirflowFailException, InvalidInputError), match="integration"):
        scrape(pages(1), api_version=version, options={"integration": "airflow"}).run()
    assert len(sandbox.control.jobs()) == jobs


@pytest.mark.pitfall("F27")
@VERSIONS
def test_an_unknown_key_is_named_before_anything_is_sent(
    sandbox: Sandbox, scrape: Any, hook: Any, pages: Any, version: str
) -> None:
    other = {"v1": "parsers", "v2": "parsePDF"}[version]
    with pytest.raises(InvalidInputError, match="works in " + {"v1": "v2", "v2": "v1"}[version]):
        scrape(pages(1), api_version=version, options={other: True})
    with pytest.raises(InvalidInputError, match="did you mean 'onlyMainContent'"):
        scrape(pages(1), api_version=version, options={"only_main_content": True})
    assert sandbox.control.requests() == []


@pytest.mark.pitfall("F27", "F39")
def test_a_key_that_the_service_does_not_know_is_final_and_named(
    sandbox: Sandbox, scrape: Any, pages: Any, sent: Any
) -> None:
    """Unchecked, it is the service that refuses it; on v1 this key is refused with a text about v2."""
    sandbox.control.settings(firecrawl={"server": "2025"})
    for options in ({"appendToId": str(uuid.uuid4())}, {"brandNew": 1}):
        (name,) = options
        with pytest.raises(AirflowFailException, match=name) as caught:
            scrape(pages(1), api_version="v1", options=options, check_options=False).run()
        assert "POST /v1/batch/scrape" in str(caught.value), "the version in use"
    assert [call["status"] for call in sent("POST")] == [400, 400]


@pytest.mark.pitfall("F42")
def test_a_body_that_is_too_large_is_not_sent(sandbox: Sandbox, hook: Any, raw: Any) -> None:
    sandbox.control.settings(firecrawl={"server": "2025"})
    urls = [f"https://example.com/{'x' * 990}/{number}" for number in range(10_500)]
    refused = raw("POST", "/v1/batch/scrape", json={"urls": urls})
    assert (refused.status_code, "large" in refused.text) == (500, False), "the service does not say why"
    before = len(sandbox.control.requests())
    with pytest.raises(InvalidInputError, match=r"10,000,000; split the urls"):
        hook.start_batch_scrape(urls)
    assert len(sandbox.control.requests()) == before


@pytest.mark.pitfall("F46")
def test_the_age_of_pages_is_the_services_own_unless_it_is_given(
    sandbox: Sandbox, scrape: Any, pages: Any, sent: Any
) -> None:
    """Nothing is set in the user's place; the documentation says what v2 does then."""
    scrape(pages(1), api_version="v2").run()
    scrape(pages(1), api_version="v2", options={"maxAge": 0}).run()
    assert [body(call).get("maxAge") for call in sent("POST")] == [None, 0]
    text = (Path(__file__).parents[2] / "docs" / "services.md").read_text("utf-8")
    assert [line for line in text.splitlines() if "maxAge" in line and "2 days" in line]


@pytest.mark.pitfall("F47", "F4")
def test_addresses_in_the_answer_to_a_start_are_not_used(sandbox: Sandbox, connect: Any, scrape: Any) -> None:
    stranger = sandbox.urls["stranger"]
    started = {"success": True, "id": "abc", "url": f"{stranger}/v1/batch/scrape/abc"}
    status = {"success": True, "status": "completed", "completed": 1, "total": 1, "data": [{"markdown": "x"}]}

    def answer(asked: Asked, _: Any) -> bytes:
        if asked.method == "POST":
            return reply(200, json.dumps(started), {"Location": f"{stranger}/elsewhere"})
        return reply(200, json.dumps({"errors": []} if asked.target.endswith("/errors") else status))

    with WireServer(answer) as server:
        connect(server.url)
        assert scrape(["https://example.com/"]).run()["records"] == 1
    assert {asked.target.partition("?")[0] for asked in server.asked[1:]} == {
        "/v1/batch/scrape/abc",
        "/v1/batch/scrape/abc/errors",
    }
    assert sandbox.control.requests(host="stranger") == []
