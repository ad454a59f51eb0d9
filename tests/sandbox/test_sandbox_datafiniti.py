"""Downloads of the stand-in: states, wire generations, result files, errors."""

from __future__ import annotations

import csv
import io
import json
import re
from typing import Any

import pytest
import requests

from airflow_provider_jobs.sandbox import Sandbox

W2_START = [
    "status", "num_downloaded", "num_records_suppressed", "people_cost", "property_cost", "product_cost",
    "business_cost", "total_cost", "fields", "sort", "auto_trace", "only_traceable", "format",
    "suppressed_fields", "enriched_fields", "query", "num_records", "data_type", "user", "results",
    "date_started", "date_updated", "_id", "is_suppression_job", "is_enrichment_job", "id",
]  # fmt: skip
W1_DONE = [
    "id", "results", "user_id", "status", "date_started", "date_updated", "num_downloaded", "data_type", "query",
    "format", "num_records", "total_cost",
]  # fmt: skip
ISO = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
ALL = {"query": "*:*", "download": True}


@pytest.fixture
def begin(sandbox: Sandbox, datafiniti: Any) -> Any:
    def start(data_type: str = "businesses", **body: Any) -> dict[str, Any]:
        reply = datafiniti("POST", f"/v4/{data_type}/search", {**ALL, **body})
        assert reply.ok, reply.text
        return dict(reply.json())

    return start


@pytest.fixture
def done(sandbox: Sandbox, datafiniti: Any, begin: Any) -> Any:
    def run(data_type: str = "businesses", **body: Any) -> Any:
        job_id = begin(data_type, **body)["id"]
        sandbox.control.advance(1000)
        return datafiniti("GET", f"/v4/downloads/{job_id}").json()

    return run


def lines(link: str) -> list[Any]:
    return [json.loads(line) for line in requests.get(link, timeout=30).text.splitlines()]


def test_from_queued_to_completed(sandbox: Sandbox, datafiniti: Any) -> None:
    sandbox.control.settings(datafiniti={"t_queue": 10, "rate": 1})
    body = {"query": "province:TX", "download": True, "num_records": 20, "format": "json"}
    reply = datafiniti("POST", "/v4/businesses/search", body)
    job = reply.json()
    assert reply.status_code == 202
    assert list(job) == W2_START
    assert (job["status"], job["num_downloaded"], job["results"], job["total_cost"]) == ("queued", 0, [], 0)
    assert job["id"] == str(job["_id"])
    assert re.fullmatch(ISO, job["date_started"])
    path = f"/v4/downloads/{job['id']}"
    sandbox.control.advance(15)
    running = datafiniti("GET", path).json()
    assert list(running) == [name for name in W2_START if name != "fields"]
    assert (running["status"], running["num_downloaded"], running["total_cost"]) == ("running", 5, 0)
    sandbox.control.advance(20)
    complete = datafiniti("GET", path).json()
    assert (complete["status"], complete["num_downloaded"]) == ("completed", 20)
    assert (complete["business_cost"], complete["total_cost"], complete["product_cost"]) == (20, 20, 0)
    assert len(complete["results"]) == 1
    assert datafiniti("GET", path).json()["results"] == complete["results"]
    link = complete["results"][0]
    pattern = (
        re.escape(sandbox.urls["files"]) + r"/\d+/\d+_1\.txt\?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Date=\d{8}T\d{6}Z"
    )
    assert re.match(pattern, link)
    assert "X-Amz-Expires=604800" in link
    records = lines(link)
    assert len(records) == 20
    assert {record["province"] for record in records} == {"TX"}
    assert requests.get(link, timeout=30).content.endswith(b"}\n")


def test_w1(sandbox: Sandbox, datafiniti: Any, begin: Any) -> None:
    sandbox.control.settings(datafiniti={"wire": "w1", "start_status": 200, "rate": 1})
    job = begin(num_records=50)
    assert (job["status"], job["total_cost"], job["results"]) == ("running", 50, [])
    assert isinstance(job["id"], int)
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.0", job["date_started"])
    sandbox.control.advance(60)
    job = datafiniti("GET", f"/v4/downloads/{job['id']}").json()
    assert list(job) == W1_DONE
    assert job["status"] == "completed"
    assert list(datafiniti("GET", "/v4/downloads").json()) == ["num_found", "records"]


def test_w3(sandbox: Sandbox, datafiniti: Any, begin: Any) -> None:
    sandbox.control.settings(datafiniti={"wire": "w3", "rate": 1})
    job = begin(num_records=50)
    assert list(job) == ["id", "status", "num_records", "results", "created_at"]
    path = f"/v4/downloads/{job['id']}"
    sandbox.control.advance(5)
    assert datafiniti("GET", path).json()["status"] == "in_progress"
    assert list(datafiniti("DELETE", path).json()) == ["message"]
    job = datafiniti("GET", path).json()
    assert job["status"] == "cancelled"
    assert len(lines(job["results"][0]["url"])) == sandbox.control.job(job["id"])["completed"]
    assert datafiniti("GET", "/v4/downloads").json() == [job]


def test_links_come_while_it_runs(sandbox: Sandbox, datafiniti: Any, begin: Any) -> None:
    sandbox.control.settings(datafiniti={"t_queue": 0, "rate": 1, "file_records": 100})
    job_id = begin(num_records=250)["id"]
    path = f"/v4/downloads/{job_id}"
    sandbox.control.advance(150)
    running = datafiniti("GET", path).json()
    assert (running["status"], len(running["results"])) == ("running", 1)
    sandbox.control.advance(150)
    complete = datafiniti("GET", path).json()
    assert complete["results"][0] == running["results"][0]
    found = [lines(link) for link in complete["results"]]
    assert [len(records) for records in found] == [100, 100, 50]
    assert len({record["id"] for records in found for record in records}) == 250


def test_all_matches_without_num_records(sandbox: Sandbox, done: Any) -> None:
    job = done("people")
    assert (job["num_records"], job["num_downloaded"], job["data_type"]) == (100, 100, "people")
    assert job["people_cost"] == job["total_cost"] == 500
    sandbox.control.settings(datafiniti={"multiply": 30})
    job = done("properties")
    assert job["num_downloaded"] == 6000
    assert len({record["id"] for record in lines(job["results"][0])}) == 6000


def test_fewer_than_asked_is_completed(done: Any) -> None:
    job = done("products", num_records=1000)
    assert (job["status"], job["num_records"], job["num_downloaded"]) == ("completed", 1000, 300)


def test_csv(sandbox: Sandbox, done: Any) -> None:
    job = done(num_records=5, format="CSV")
    assert job["format"] == "CSV"
    assert ".csv?" in job["results"][0]
    rows = list(csv.DictReader(io.StringIO(requests.get(job["results"][0], timeout=30).content.decode())))
    assert len(rows) == 5
    assert rows[0]["country"] == "US"
    sandbox.control.settings(datafiniti={"fields_csv": ["id", "city"]})
    assert requests.get(job["results"][0], timeout=30).text.startswith("id,city\nSANDBOXB00001,")


def test_csv_files_of_a_careless_writer(sandbox: Sandbox, done: Any) -> None:
    sandbox.control.settings(datafiniti={"file_records": 2, "fields_csv": ["id", "size"]})
    job = done("products", num_records=3, format="csv")

    def texts() -> list[str]:
        return [requests.get(link, timeout=30).text for link in job["results"]]

    usual = ['id,size\nSANDBOXP00001,"2"" wide"\nSANDBOXP00002,"3"" wide"\n', 'id,size\nSANDBOXP00003,"4"" wide"\n']
    assert texts() == usual
    sandbox.control.settings(datafiniti={"csv_header": "first"})
    assert texts() == [usual[0], usual[1].removeprefix("id,size\n")]
    sandbox.control.settings(datafiniti={"csv_quotes": "bare"})
    assert texts() == ['id,size\nSANDBOXP00001,2" wide\nSANDBOXP00002,3" wide\n', 'SANDBOXP00003,4" wide\n']


def test_views(sandbox: Sandbox, datafiniti: Any, done: Any) -> None:
    def columns(view: Any) -> list[str]:
        return list(lines(done("products", num_records=1, view=view)["results"][0])[0])

    assert columns("product_flat_prices") == ["id", "name", "prices"]
    assert columns(["name", {"name": "upc", "flatten": True}]) == ["name", "upc"]
    assert columns("default") == columns(None)
    sandbox.control.settings(datafiniti={"views": {"mine": ["id"]}})
    assert columns("mine") == ["id"]
    reply = datafiniti("POST", "/v4/products/search", {**ALL, "view": "product_flat_prices"})
    assert (reply.status_code, reply.json()) == (404, {"errors": ["View not found."]})


def test_compressed_files(sandbox: Sandbox, done: Any) -> None:
    sandbox.control.settings(datafiniti={"gzip_files": True})
    link = done(num_records=5)["results"][0]
    reply = requests.get(link, timeout=30)
    assert reply.headers["Content-Encoding"] == "gzip"
    assert len(reply.text.splitlines()) == 5


def test_files_refuse(sandbox: Sandbox, datafiniti: Any, done: Any) -> None:
    job = done(num_records=5)
    link = job["results"][0]
    reply = requests.get(link, headers=datafiniti.headers, timeout=30)
    assert reply.status_code == 400
    assert "<Code>InvalidArgument</Code>" in reply.text
    assert requests.get(link[:-1] + ("0" if link[-1] != "0" else "1"), timeout=30).status_code == 403
    assert requests.get(f"{sandbox.urls['files']}/1/2_1.txt", timeout=30).status_code == 404
    sandbox.control.settings(datafiniti={"overage": True})
    assert requests.get(link, timeout=30).status_code == 403
    sandbox.control.settings(datafiniti={"overage": False})
    sandbox.control.advance(7 * 24 * 3600 + 1)
    reply = requests.get(link, timeout=30)
    assert reply.status_code == 403
    assert "<Error><Code>AccessDenied</Code><Message>Request has expired</Message>" in reply.text
    assert datafiniti("GET", f"/v4/downloads/{job['id']}").json()["results"] == [link]


def test_cancel(sandbox: Sandbox, datafiniti: Any, begin: Any) -> None:
    sandbox.control.settings(datafiniti={"t_queue": 10, "rate": 1})
    queued, running = begin()["id"], begin()["id"]
    reply = datafiniti("DELETE", f"/v4/downloads/{queued}")
    assert (reply.status_code, reply.json()["status"]) == (200, "cancelled")
    assert (reply.json()["num_downloaded"], reply.json()["results"]) == (0, [])
    sandbox.control.advance(30)
    before = datafiniti("DELETE", f"/v4/downloads/{running}").json()
    sandbox.control.advance(30)
    after = datafiniti("GET", f"/v4/downloads/{running}").json()
    assert (after["status"], after["num_downloaded"], after["total_cost"]) == ("cancelled", 20, 20)
    assert before["results"] == after["results"]
    assert len(lines(after["results"][0])) == 20
    again = datafiniti("DELETE", f"/v4/downloads/{running}")
    assert (again.status_code, again.json()) == (200, after)
    shown = sandbox.control.job(running)
    assert (shown["deletes"], shown["cancelled_by_delete"], shown["state"]) == (2, True, "cancelled")
    sandbox.control.settings(datafiniti={"delete_terminal": "400"})
    assert list(datafiniti("DELETE", f"/v4/downloads/{running}").json()) == ["errors"]


def test_cancel_switches(sandbox: Sandbox, datafiniti: Any, begin: Any) -> None:
    sandbox.control.settings(datafiniti={"hold": True, "t_queue": 0, "cancel_delay": 3, "cancel_body": "empty"})
    path = f"/v4/downloads/{begin()['id']}"
    assert datafiniti("DELETE", path).content == b""
    assert datafiniti("GET", path).json()["status"] == "running"
    sandbox.control.advance(4)
    assert datafiniti("GET", path).json()["status"] == "cancelled"
    sandbox.control.settings(datafiniti={"cancel_race": True, "cancel_body": "message"})
    path = f"/v4/downloads/{begin(num_records=3)['id']}"
    assert list(datafiniti("DELETE", path).json()) == ["message"]
    assert datafiniti("GET", path).json()["status"] == "completed"


def test_control_of_a_download(sandbox: Sandbox, datafiniti: Any, begin: Any) -> None:
    sandbox.control.settings(datafiniti={"hold": True})
    job_id = begin(num_records=7)["id"]
    sandbox.control.advance(1000)
    assert sandbox.control.job(job_id)["state"] == "running"
    assert sandbox.control.act(job_id, "finish")["completed"] == 7
    link = datafiniti("GET", f"/v4/downloads/{job_id}").json()["results"][0]
    sandbox.control.act(job_id, "expire_results")
    assert requests.get(link, timeout=30).status_code == 403
    sandbox.control.act(job_id, "forget")
    reply = datafiniti("GET", f"/v4/downloads/{job_id}")
    assert (reply.status_code, reply.json()) == (404, {"errors": ["Download not found."]})
    failed = begin()["id"]
    sandbox.control.act(failed, "fail")
    assert datafiniti("GET", f"/v4/downloads/{failed}").json()["status"] == "failed"


def test_zero_matches(sandbox: Sandbox, datafiniti: Any, begin: Any, done: Any) -> None:
    query = "city:Nowhere"
    job = done(query=query, num_records=5)
    assert (job["status"], job["results"], job["num_downloaded"]) == ("completed", [], 0)
    sandbox.control.settings(datafiniti={"zero_match": "stuck"})
    assert done(query=query)["status"] == "running"
    sandbox.control.settings(datafiniti={"zero_match": "400"})
    reply = datafiniti("POST", "/v4/people/search", {"query": query, "download": True})
    assert (reply.status_code, reply.json()) == (400, {"errors": ["numRequested cannot be <= 0"]})
    sandbox.control.settings(datafiniti={"zero_match": "404_nonjson"})
    reply = datafiniti("POST", "/v4/people/search", {"query": query, "download": True})
    assert reply.status_code == 404
    assert reply.text == '{ "No result found within the params of your query" }'


@pytest.mark.parametrize(
    ("query", "data_type"),
    [
        ('propertyType:"Single Family Dwelling" AND province:(TX OR CA)', "properties"),
        ("categories:shoes AND -categories:women AND prices:*", "products"),
        ("prices.currency:USD AND brand:Norv*", "products"),
        ("lastName:Peña", "people"),
        ("Bellmont", "people"),
    ],
)
def test_queries(datafiniti: Any, query: str, data_type: str) -> None:
    body = datafiniti("POST", f"/v4/{data_type}/search", {"query": query}).json()
    everything = datafiniti("POST", f"/v4/{data_type}/search", {"query": "*:*"}).json()
    assert list(body) == ["num_found", "total_cost", "records"]
    assert 0 < body["num_found"] < everything["num_found"]
    assert body["total_cost"] == len(body["records"])


def test_who_asks(sandbox: Sandbox, datafiniti: Any) -> None:
    def ask(header: str | None) -> tuple[int, Any]:
        reply = requests.get(
            f"{sandbox.urls['datafiniti']}/v4/downloads/1?api_key=sandbox-token",
            headers={"Authorization": header} if header else {},
            timeout=30,
        )
        return reply.status_code, reply.json()["errors"]

    wanted = (
        "Please provide your token in the Authorization header using the following format: "
        "Bearer << replace all of this with your token >>"
    )
    assert ask(None) == ask("Basic abc") == ask("sandbox-token") == (401, [wanted])
    assert ask("Bearer other") == (401, ["Invalid token."])
    sandbox.control.settings(datafiniti={"bad_token_status": 400})
    assert ask("Bearer other") == (400, ["An invalid user token was provided."])
    assert ask("Bearer sandbox-token") == (404, ["Download not found."])
    sandbox.control.token("datafiniti", "payment", "sandbox-token")
    assert ask("Bearer sandbox-token") == (403, ["There was a problem with this customer's payment information."])
    sandbox.control.token("datafiniti", "disable", "sandbox-token")
    assert ask("Bearer sandbox-token") == (400, ["An inactive user token was provided."])
    sandbox.control.token("datafiniti", "revoke", "sandbox-token")
    assert ask("Bearer sandbox-token") == (400, ["An invalid user token was provided."])
    sandbox.control.token("datafiniti", "add", "sandbox-token")
    assert ask("Bearer sandbox-token") == (404, ["Download not found."])


def test_login(sandbox: Sandbox, datafiniti: Any) -> None:
    user = {"email": "user@example.com", "password": "secret"}
    token = datafiniti("POST", "/v4/auth", user, headers={"Authorization": ""}).json()["token"]
    header = {"Authorization": f"Bearer {token}"}
    started = datafiniti("POST", "/v4/people/search", ALL, headers=header).json()
    path = f"/v4/downloads/{started['id']}"
    assert datafiniti("GET", path).status_code == 404
    sandbox.control.token("datafiniti", "revoke", token)
    assert datafiniti("GET", path, headers=header).status_code == 401
    header = {"Authorization": f"Bearer {datafiniti('POST', '/v4/auth', user).json()['token']}"}
    assert datafiniti("GET", path, headers=header).status_code == 200
    sandbox.control.settings(datafiniti={"users": {"user@example.com": "changed"}})
    assert datafiniti("GET", path, headers=header).status_code == 401
    assert datafiniti("POST", "/v4/auth", user).status_code == 401


@pytest.mark.parametrize(
    ("path", "data", "status", "text"),
    [
        ("people", "{", 400, "request body is invalid json"),
        (
            "people",
            "{}",
            400,
            "please provide a request body containing an object with the following fields: query",
        ),
        (
            "people",
            '{"query":"*:*","num_records":11}',
            400,
            "invalid value for num_records. Valid values are any number between 1 - 10",
        ),
        ("person", '{"query":"*:*"}', 404, "person is not a valid data-type"),
        (
            "people",
            '{"query":"*:*","format":"xml"}',
            400,
            "invalid value for format. Valid values are json, csv",
        ),
    ],
)
def test_bodies_that_do_not_fit(datafiniti: Any, path: str, data: str, status: int, text: str) -> None:
    reply = datafiniti("POST", f"/v4/{path}/search", data=data)
    assert (reply.status_code, reply.json()) == (status, {"errors": [text]})


def test_error_families(sandbox: Sandbox, datafiniti: Any) -> None:
    assert datafiniti("GET", "/v4/downloads/abc").json() == {"errors": ["ID must be a number."]}
    sandbox.control.settings(datafiniti={"error_family": "e2"})
    assert datafiniti("GET", "/v4/downloads/1").json() == {
        "error": "Not Found",
        "message": "Download not found.",
        "code": 404,
    }
    sandbox.control.settings(datafiniti={"error_family": "nonjson"})
    reply = datafiniti("GET", "/v4/account", headers={"Authorization": "Bearer other"})
    assert (reply.status_code, reply.text) == (401, "{ Unauthorized }")


def test_account_health_and_list(sandbox: Sandbox, datafiniti: Any, done: Any) -> None:
    assert requests.get(f"{sandbox.urls['datafiniti']}/v4/health", timeout=30).text == "OK"
    first, second = done(num_records=3), done("products", num_records=4)
    account = datafiniti("GET", "/v4/account").json()
    assert account["num_credits_used"] == 7
    assert (account["business_credits_used"], account["product_credits_used"]) == (3, 4)
    for wire, keys in (("w1", {"active", "first_name"}), ("w3", {"product_credits_allotted", "product_credits_used"})):
        sandbox.control.settings(datafiniti={"wire": wire})
        shown = datafiniti("GET", "/v4/account").json()
        assert (shown["num_credits_used"], keys - set(shown)) == (7, set())
    sandbox.control.settings(datafiniti={"wire": "w2"})
    listed = datafiniti("GET", "/v4/downloads").json()
    assert listed == {"num_found": 2, "records": [second, first]}
    assert datafiniti("GET", "/v4/nope").status_code == 404


def test_rate_limit(sandbox: Sandbox, datafiniti: Any) -> None:
    sandbox.control.settings(datafiniti={"rate_limit": 1})
    assert datafiniti("GET", "/v4/account").status_code == 200
    reply = datafiniti("GET", "/v4/account")
    assert (reply.status_code, reply.json()["errors"]) == (
        429,
        ["You have exceeded the maximum concurrent requests."],
    )
