"""Drives a flow with replies that a test has prepared. No HTTP: flows and replies are plain values."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

from airflow_provider_jobs.jobs.model import JobRef
from airflow_provider_jobs.services.base import Flow, Pause, Reply, Request

JSON = {"content-type": "application/json; charset=utf-8"}
HTML = {"content-type": "text/html; charset=utf-8"}

BATCH = JobRef("firecrawl", "batch_scrape", "1e4ff47d-ea88-4a8d-8ad0-8bc3cbed625a", "v1")
BATCH_V2 = JobRef("firecrawl", "batch_scrape", "465deb39-f283-4986-9621-3adf95ec804e", "v2")
CRAWL = JobRef("firecrawl", "crawl", "35c18d3c-6c19-4485-8562-02af3b1524c4", "v1")
DOWNLOAD = JobRef("datafiniti", "download", "847070", "v4")


def answer(status: int, body: Any = None, *, headers: dict[str, str] | None = None, cut: bool = False) -> Reply:
    """A reply; a body that is neither text nor bytes is sent as JSON."""
    if isinstance(body, bytes):
        content = body
    elif isinstance(body, str):
        content = body.encode()
    else:
        content = b"" if body is None else json.dumps(body).encode()
    return Reply(status, {**JSON, **(headers or {})}, content, cut)


def page(status: int, text: str) -> Reply:
    """A reply that is a web page."""
    return Reply(status, HTML, f"<html><head><title>Error</title></head><body><h1>{text}</h1></body></html>".encode())


class Talk:
    """A finished conversation: what was sent, how long was waited, and what came of it."""

    def __init__(self, flow: Flow[Any], answers: Callable[[Request], Reply] | Iterable[Reply | Exception]) -> None:
        self.requests: list[Request] = []
        self.pauses: list[float] = []
        self.outcome: Any = None
        self._flow = flow
        self._answers = answers if callable(answers) else iter(answers)

    @property
    def sent(self) -> list[str]:
        """The requests as text."""
        return [str(request) for request in self.requests]

    def run(self, limit: int = 200) -> Any:
        """Carry out the flow and return its outcome; an exception among the answers is thrown into it."""
        step = next(self._flow)
        for _ in range(limit):
            try:
                step = self._next(step)
            except StopIteration as end:
                self.outcome = end.value
                return end.value
        raise AssertionError(f"the flow did not end within {limit} steps: {self.sent}")

    def _next(self, step: Request | Pause) -> Any:
        if isinstance(step, Pause):
            self.pauses.append(step.seconds)
            return self._flow.send(None)
        self.requests.append(step)
        found = self._answers(step) if callable(self._answers) else next(self._answers, None)
        assert found is not None, f"no answer is left for {step}; sent before: {self.sent[:-1]}"
        return self._flow.throw(found) if isinstance(found, Exception) else self._flow.send(found)


def talk(flow: Flow[Any], *answers: Reply | Exception) -> Any:
    """Carry out a flow with these answers, all of which must be used, and return its outcome."""
    left = list(answers)

    def feed() -> Iterable[Reply | Exception]:
        while left:
            yield left.pop(0)

    outcome = Talk(flow, feed()).run()
    assert not left, f"{len(left)} answers were not asked for"
    return outcome
