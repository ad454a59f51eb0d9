from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.airflow.cleanup.ground import DEPLOYMENT, Ground
from tests.conftest import ROOT
from tests.support.cluster import AirflowCluster


@pytest.fixture(scope="package")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    """An Airflow with a ledger folder, and a sandbox for as long as it lives; jobs run until somebody ends them."""
    folder = tmp_path_factory.mktemp("ledger") / "of jobs"
    cluster = AirflowCluster(
        dags=[ROOT / "tests" / "airflow" / "dags", ROOT / "example_dags" / "remote_jobs_cleanup.py"],
        env={
            "AIRFLOW__AIRFLOW_PROVIDER_JOBS__LEDGER_PATH": f"file://{folder}",
            "AIRFLOW__AIRFLOW_PROVIDER_JOBS__DEPLOYMENT": DEPLOYMENT,
        },
        database="sqlite" if os.environ.get("TEST_DATABASE") == "sqlite" else "postgres",
    )
    with cluster as airflow:
        made = Ground(airflow, Path(folder))
        try:
            yield made
        finally:
            made.stage.close()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """These start Airflow's processes too, though not by the fixtures of everybody."""
    for item in items:
        if "ground" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.airflow)
