"""Operators and triggers that do what the paths need and no user's DAG does.

Importable by name, because a triggerer does not see what stands in a DAG file.
"""

import asyncio
import datetime as dt
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from airflow.sdk import BaseOperator
from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_jobs.operators.firecrawl import FirecrawlBatchScrapeOperator
from airflow_provider_jobs.triggers.job import JobTrigger


class BreakingTrigger(JobTrigger):
    """Raises once a file is there."""

    def __init__(self, *, breaks: str, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.breaks = breaks

    def serialize(self) -> tuple[str, dict[str, Any]]:
        _, arguments = super().serialize()
        return "tests.system.odd.BreakingTrigger", {**arguments, "breaks": self.breaks}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        event = asyncio.ensure_future(anext(super().run()))
        try:
            while not event.done():
                if Path(self.breaks).exists():
                    raise RuntimeError("a trigger that breaks")
                await asyncio.wait([event], timeout=0.3)
            yield event.result()
        finally:
            event.cancel()


class OddScrapeOperator(FirecrawlBatchScrapeOperator):
    """Defers its first try in another way.

    :param cut_after: seconds after which Airflow cuts the wait off, instead of long after the job's deadline
    :param breaks: a file; once it is there, the trigger raises
    """

    template_fields = (*FirecrawlBatchScrapeOperator.template_fields, "breaks")

    def __init__(self, *, cut_after: float | None = None, breaks: str | None = None, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.cut_after = cut_after
        self.breaks = breaks

    def execute(self, context: Any) -> Any:
        self.is_first = context["ti"].try_number == 1
        if not self.is_first and self.breaks:
            self.deferrable = False  # so that the next try is `running` for as long as the job runs
        return super().execute(context)

    def defer(self, *, trigger: BaseTrigger, timeout: Any = None, **rest: Any) -> Any:
        if self.is_first and self.cut_after is not None:
            timeout = dt.timedelta(seconds=self.cut_after)
        if self.is_first and self.breaks:
            trigger = BreakingTrigger(**trigger.serialize()[1], breaks=self.breaks)
        return super().defer(trigger=trigger, timeout=timeout, **rest)


class BlockingTrigger(BaseTrigger):
    """Stops the event loop of its triggerer, once, as soon as a file is there."""

    def __init__(self, *, go: str, seconds: float) -> None:
        super().__init__()
        self.go, self.seconds = go, seconds

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return "tests.system.odd.BlockingTrigger", {"go": self.go, "seconds": self.seconds}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        while not Path(self.go).exists():
            await asyncio.sleep(0.2)
        Path(self.go).unlink()  # whoever takes this trigger over waits for ever
        time.sleep(self.seconds)
        yield TriggerEvent("unblocked")


class BlockingOperator(BaseOperator):
    """Waits with a trigger that blocks."""

    template_fields = ("go",)

    def __init__(self, *, go: str, seconds: float, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.go, self.seconds = go, seconds

    def execute(self, context: Any) -> None:
        self.defer(trigger=BlockingTrigger(go=self.go, seconds=self.seconds), method_name="resume")

    def resume(self, context: Any, event: Any = None) -> Any:
        return event
