"""Fixtures for everybody. The folder of a test tells what it needs; see `tests/support` for what they give.

`sandbox`    the local Firecrawl and Datafiniti, in this process, forgotten and quick before each test
`airflow`    one running Airflow for the whole test run, with the DAGs of `tests/airflow/dags` and `example_dags`
`cluster`    start another Airflow with settings of one's own; it ends with the test run unless used as `with`
"""

import atexit
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent

# Airflow reads its settings when it is imported, hence here and not in a fixture: no test may see or touch the
# user's own Airflow.
_home = tempfile.mkdtemp(prefix="jobs-unit-tests-")
atexit.register(shutil.rmtree, _home, ignore_errors=True)
for _name in [name for name in os.environ if name.startswith("AIRFLOW_") and name != "AIRFLOW_CLUSTER_KEEP"]:
    del os.environ[_name]
os.environ["AIRFLOW_HOME"] = _home
os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"
os.environ["AIRFLOW__CORE__UNIT_TEST_MODE"] = "False"
os.environ["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] = f"sqlite:///{_home}/airflow.db"
os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1,localhost"

from tests.support.cluster import AirflowCluster  # noqa: E402  after the settings

# What the sandbox takes as keys: Firecrawl any, as a self-hosted server without a database does.
FIRECRAWL_KEY = "fc-sandbox-key-of-the-test-run"
DATAFINITI_TOKEN = "sandbox-token"  # the one that the sandbox knows from the start

CLUSTER_FIXTURES = {"airflow", "cluster"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that start Airflow's processes, and run them last: what is quick fails first."""
    for item in items:
        if CLUSTER_FIXTURES & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.airflow)
    items.sort(key=lambda item: item.get_closest_marker("airflow") is not None)


def connection(conn_type: str, host: str, password: str, **extra: Any) -> str:
    """Return the value of an AIRFLOW_CONN_… variable."""
    return json.dumps({"conn_type": conn_type, "host": host, "password": password, "extra": extra})


@pytest.fixture(scope="session")
def sandbox_session() -> Iterator[Any]:
    """The sandbox for the whole test run; tests use `sandbox`."""
    from airflow_provider_jobs.sandbox import Sandbox

    with Sandbox(page_seconds=0.0) as running:
        yield running


@pytest.fixture
def sandbox(sandbox_session: Any) -> Any:
    """The sandbox without jobs, requests and faults."""
    sandbox_session.control.reset()
    return sandbox_session


@pytest.fixture(scope="session")
def cluster() -> Iterator[Callable[..., AirflowCluster]]:
    """Return a function that starts an Airflow: `cluster(dags=[…], env={…}, triggerers=2)`."""
    with ExitStack() as running:

        def start(**settings: Any) -> AirflowCluster:
            settings.setdefault("database", os.environ.get("TEST_DATABASE", "postgres"))
            return running.enter_context(AirflowCluster(**settings))

        yield start


@pytest.fixture(scope="session")
def airflow(cluster: Callable[..., AirflowCluster], sandbox_session: Any) -> AirflowCluster:
    """The Airflow that tests share, with `firecrawl_default` and `datafiniti_default` on the sandbox."""
    urls = sandbox_session.urls
    folders = [ROOT / "tests" / "airflow" / "dags", ROOT / "example_dags"]
    return cluster(
        dags=[folder for folder in folders if folder.is_dir()],
        env={
            "AIRFLOW_CONN_FIRECRAWL_DEFAULT": connection("firecrawl", urls["firecrawl"], FIRECRAWL_KEY),
            "AIRFLOW_CONN_DATAFINITI_DEFAULT": connection("datafiniti", urls["datafiniti"], DATAFINITI_TOKEN),
        },
    )


@pytest.fixture
def ledger_folder(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A folder for the record of starts: only with one, a task takes a job that it has found for its own."""
    monkeypatch.setenv("AIRFLOW__AIRFLOW_PROVIDER_JOBS__LEDGER_PATH", f"file://{tmp_path_factory.mktemp('ledger')}")
    monkeypatch.setenv("AIRFLOW__AIRFLOW_PROVIDER_JOBS__DEPLOYMENT", "here")
