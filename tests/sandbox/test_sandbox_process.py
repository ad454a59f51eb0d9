"""The stand-in as a process of its own, and two of them side by side."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import requests

from airflow_provider_jobs.sandbox import ControlClient, Sandbox

COMMAND = [sys.executable, "-m", "airflow_provider_jobs.sandbox"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_process_ends_at_once_with_an_open_job(tmp_path: Path, number: signal.Signals) -> None:
    ready = tmp_path / "ready.json"
    with subprocess.Popen(
        [*COMMAND, "--ready-file", str(ready)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            urls = json.loads(line)
            assert ready.read_text() == line
            assert urls.pop("stand_in") is True
            assert list(urls) == ["firecrawl", "datafiniti", "files", "site", "stranger", "control"]
            assert all(url.startswith("http://127.0.0.1:") for url in urls.values())
            control = ControlClient(urls["control"])
            control.settings(firecrawl={"page_seconds": 0})
            body = {"urls": [f"{urls['site']}/slow/1.html?ms=60000"]}
            reply = requests.post(f"{urls['firecrawl']}/v1/batch/scrape", json=body, timeout=30)
            control.wait_for(lambda: control.requests(host="site"))
            assert control.job(reply.json()["id"])["state"] == "scraping"
            begun = time.monotonic()
            process.send_signal(number)
            assert process.wait(timeout=10) == 0
            assert time.monotonic() - begun < 3
        finally:
            process.kill()
        assert process.stderr is not None
        errors = process.stderr.read()
        assert "STAND-IN" in errors
        assert "Traceback" not in errors


def test_port_in_use(tmp_path: Path) -> None:
    with Sandbox() as sandbox:
        port = sandbox.urls["firecrawl"].rpartition(":")[2]
        done = subprocess.run(
            [*COMMAND, "--firecrawl-port", port], capture_output=True, text=True, timeout=30, check=False
        )
        assert done.returncode == 1
        assert "cannot start" in done.stderr
        with pytest.raises(OSError), Sandbox(ports={"firecrawl": int(port)}):
            pass
        with pytest.raises(ValueError, match="unknown hosts"), Sandbox(ports={"nope": 1}):
            pass


def test_neither_airflow_nor_requests_is_imported() -> None:
    code = (
        "import sys, airflow_provider_jobs.sandbox, airflow_provider_jobs.sandbox.__main__\n"
        "print([name for name in ('airflow', 'requests') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True, env={**os.environ}
    )
    assert done.stdout == "[]\n"


def test_a_kept_connection_is_quick() -> None:
    with Sandbox() as sandbox, requests.Session() as session:
        times = []
        for _ in range(10):
            begun = time.monotonic()
            session.get(f"{sandbox.urls['firecrawl']}/v1/crawl/active", timeout=30)
            times.append(time.monotonic() - begun)
        # An answer that waits for the acknowledgement of its own headers takes 40 ms.
        assert min(times[1:]) < 0.03


def test_two_at_once_know_nothing_of_each_other() -> None:
    with Sandbox(page_seconds=0) as first, Sandbox(page_seconds=0) as second:
        requests.get(f"{first.urls['firecrawl']}/v1/crawl/active", timeout=30)
        assert len(first.control.requests()) == 1
        assert second.control.requests() == []
