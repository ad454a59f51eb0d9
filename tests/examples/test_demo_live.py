"""The demo with LIVE=1: what it plans, and a whole run in which a sandbox plays the real services."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests import demo
from tests.conftest import ROOT

URLS = {"firecrawl": "http://127.0.0.1:1", "datafiniti": "http://127.0.0.1:2", "site": "http://127.0.0.1:3"}
FIRECRAWL_KEY, DATAFINITI_TOKEN = "fc-canary-of-the-live-demo", "canary-token-of-the-live-demo"


def test_without_live_keys_are_ignored_and_that_is_said() -> None:
    env = {"FIRECRAWL_API_KEY": FIRECRAWL_KEY, "DATAFINITI_API_TOKEN": DATAFINITI_TOKEN, "LIVE": "0", "HOME": "/"}
    plan = demo.make_plan(env)
    assert not plan.live
    assert env == {"LIVE": "0", "HOME": "/"}, "no child process needs the keys"
    (line,) = plan.introduction()
    assert "FIRECRAWL_API_KEY and DATAFINITI_API_TOKEN set, but ignored" in line
    assert "canary" not in repr(plan) + line + json.dumps(plan.connections(URLS))
    assert demo.make_plan({}).introduction() == []


def test_live_without_a_key_is_an_error() -> None:
    with pytest.raises(demo.DemoError, match="FIRECRAWL_API_KEY or DATAFINITI_API_TOKEN"):
        demo.make_plan({"LIVE": "1", "FIRECRAWL_API_KEY": "  "})


def test_live_asks_for_no_more_than_it_says() -> None:
    plan = demo.make_plan({"LIVE": "1", "FIRECRAWL_API_KEY": FIRECRAWL_KEY, "DATAFINITI_API_TOKEN": DATAFINITI_TOKEN})
    assert plan.services == ["firecrawl", "datafiniti"]
    pages = plan.conf("firecrawl", URLS, Path("out"))["urls"]
    assert len(pages) == len(set(pages)) <= 5
    assert all(page.startswith("https://") for page in pages), "the real service cannot reach the sandbox's site"
    assert plan.conf("datafiniti", URLS, Path("out"))["num_records"] <= 5
    told = "\n".join(plan.introduction())
    assert "at most 5 credits" in told
    assert "canary" not in told + repr(plan)
    connections = {name: json.loads(value) for name, value in plan.connections(URLS).items()}
    assert connections["AIRFLOW_CONN_FIRECRAWL_DEFAULT"] == {"conn_type": "firecrawl", "password": FIRECRAWL_KEY}
    assert connections["AIRFLOW_CONN_DATAFINITI_DEFAULT"] == {"conn_type": "datafiniti", "password": DATAFINITI_TOKEN}
    assert connections["AIRFLOW_CONN_DEMO_SANDBOX"]["host"] == URLS["firecrawl"], "the kill never meets a bill"


@pytest.mark.parametrize("service", ["firecrawl", "datafiniti"])
def test_live_with_one_key_skips_the_other_service(service: str) -> None:
    other = next(name for name in demo.KEYS if name != service)
    plan = demo.make_plan({"LIVE": "1", demo.KEYS[service]: "canary"})
    assert plan.services == [service]
    assert f"{demo.LABELS[other]}: skipped, {demo.KEYS[other]} is not set." in "\n".join(plan.introduction())
    assert set(plan.connections(URLS)) == {"AIRFLOW_CONN_DEMO_SANDBOX", f"AIRFLOW_CONN_{service.upper()}_DEFAULT"}


@pytest.fixture
def service_host(sandbox: Any) -> Iterator[Any]:
    """A sandbox that plays the real services, and looks at keys as they do."""
    sandbox.control.settings(firecrawl={"keys": [FIRECRAWL_KEY]})
    sandbox.control.token("datafiniti", "add", DATAFINITI_TOKEN)
    yield sandbox
    sandbox.control.reset()


def start_demo(sandbox: Any, folder: Path, **keys: str) -> subprocess.Popen[str]:
    addresses = {name: sandbox.urls[name] for name in ("firecrawl", "datafiniti", "site")}
    env = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
    env |= {"LIVE": "1", "DEMO_LIVE_ADDRESSES": json.dumps(addresses), "PYTHONPATH": str(ROOT), **keys}
    return subprocess.Popen(
        [sys.executable, "-m", "tests.demo"],
        env=env,
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


@pytest.mark.airflow
def test_live_run(service_host: Any, tmp_path: Path) -> None:
    process = start_demo(service_host, tmp_path, FIRECRAWL_API_KEY=FIRECRAWL_KEY, DATAFINITI_API_TOKEN=DATAFINITI_TOKEN)
    said, _ = process.communicate(timeout=240)
    assert process.returncode == 0, said

    *lines, last = said.splitlines()
    assert lines[0].startswith("LIVE: ")
    told = json.loads(last)
    assert list(told) == ["firecrawl_records", "datafiniti_records", "output", "cancelled_job_id", "seconds"]
    assert (told["firecrawl_records"], told["datafiniti_records"]) == (5, 5)
    assert all(Path(name).is_relative_to(tmp_path / "build" / "demo") for name in told["output"])
    assert sum(len(Path(name).read_text().splitlines()) for name in told["output"]) == 10

    jobs = service_host.control.jobs()
    assert sorted((job["kind"], job["total"], job["state"]) for job in jobs) == [
        ("batch_scrape", 5, "completed"),
        ("download", 5, "completed"),
    ]
    assert told["cancelled_job_id"] not in {job["id"] for job in jobs}, "the kill belongs on the demo's own sandbox"
    assert not service_host.control.requests(method="DELETE")
    sent = {request["headers"].get("authorization") for request in service_host.control.requests(host="firecrawl")}
    assert sent == {f"Bearer {FIRECRAWL_KEY}"}

    written = "".join(path.read_text() for path in tmp_path.rglob("*") if path.is_file())
    assert FIRECRAWL_KEY not in said + written
    assert DATAFINITI_TOKEN not in said + written


@pytest.mark.airflow
def test_interrupt_ends_a_live_job(service_host: Any, tmp_path: Path) -> None:
    """Ctrl-C while a job runs at the service: the job is cancelled, everything stops, the exit code tells."""
    service_host.control.settings(firecrawl={"hold": True})
    process = start_demo(service_host, tmp_path, FIRECRAWL_API_KEY=FIRECRAWL_KEY)
    service_host.control.wait_for(service_host.control.jobs, timeout=120)
    family = psutil.Process(process.pid).children(recursive=True)
    assert len(family) > 4
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=90)
    assert process.returncode == 128 + signal.SIGINT, said
    assert said.splitlines()[-1].startswith("Stopped"), said
    assert re.search("Datafiniti: skipped", said)
    (job,) = service_host.control.jobs()
    assert (job["state"], job["cancelled_by_delete"]) == ("cancelled", True), said
    _, alive = psutil.wait_procs(family, timeout=10)
    assert alive == []
    assert FIRECRAWL_KEY not in said


def test_interrupt_before_anything_costs(service_host: Any, tmp_path: Path) -> None:
    process = start_demo(service_host, tmp_path, FIRECRAWL_API_KEY=FIRECRAWL_KEY)
    assert process.stdout is not None
    until = time.monotonic() + 60
    while "Ctrl-C within" not in process.stdout.readline():
        assert time.monotonic() < until
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=30)
    assert process.returncode == 128 + signal.SIGINT, said
    assert service_host.control.requests() == []
    assert list(tmp_path.iterdir()) == []
