from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_jobs.compat import Owner, OwnerView
from airflow_provider_jobs.ledger_folder import LedgerFolder
from tests.cleanup.records import Service
from tests.conftest import DATAFINITI_TOKEN, FIRECRAWL_KEY, connection


class Airflow:
    """What Airflow says of owners: each its state, and of those that are not named, that they are gone."""

    def __init__(self) -> None:
        self.states: dict[Owner, str | None] = {}
        self.asked = 0
        self.before_answer: Callable[[int], None] = lambda _: None

    def views(self, owners: Collection[Owner]) -> dict[Owner, OwnerView]:
        self.asked += 1
        self.before_answer(self.asked)
        return {owner: OwnerView(owner in self.states, self.states.get(owner)) for owner in owners}


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch, sandbox: Any) -> Service:
    """The sandbox, whose jobs run until somebody ends them, and its connections in the environment."""
    for name, password in (("firecrawl", FIRECRAWL_KEY), ("datafiniti", DATAFINITI_TOKEN)):
        monkeypatch.setenv(
            f"AIRFLOW_CONN_{name.upper()}_DEFAULT", connection(name, sandbox.urls[name], password, timeout=2)
        )
    sandbox.control.settings(firecrawl={"hold": True}, datafiniti={"hold": True})
    return Service(sandbox)


@pytest.fixture
def airflow_says() -> Airflow:
    return Airflow()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger"


@pytest.fixture
def folder(path: Path) -> LedgerFolder:
    return LedgerFolder(f"file://{path}", "prod")
