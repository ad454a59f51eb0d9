"""Recorded exchanges with both services, as plain values. See README.md for where they come from."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from airflow_provider_jobs.services.base import Purpose, Reply, Request

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Exchange:
    """One request that was sent, and the answer that came."""

    service: str
    topic: str
    place: int
    name: str
    section: str
    method: str
    path: str
    query: dict[str, str]
    sent: Any
    status: int
    headers: dict[str, str]
    text: str

    def __str__(self) -> str:
        return f"{self.topic}[{self.place}] {self.name}"

    @property
    def body(self) -> Any:
        """The answer as parsed by Python's own JSON."""
        return json.loads(self.text)

    @property
    def reply(self) -> Reply:
        """The answer as the package takes it."""
        return Reply(self.status, self.headers, self.text.encode())

    def request(self, purpose: Purpose = Purpose.POLL) -> Request:
        """The request as the package makes it."""
        return Request(self.method, self.path, purpose, query=self.query, json=self.sent)


def document(path: str, number: int) -> dict[str, Any]:
    """A document that stands for one which the record left out; the same place of a job is the same document."""
    identity = uuid.uuid5(uuid.NAMESPACE_URL, f"{path.rstrip('/')}#{number}")
    return {
        "markdown": f"Document {number}",
        "metadata": {"scrapeId": str(identity), "sourceURL": f"http://pages.test/{number}", "statusCode": 200},
    }


@cache
def exchanges(service: str) -> tuple[Exchange, ...]:
    """All exchanges of a service, in the order in which they were recorded."""
    return tuple(
        _read(service, file.stem, place, entry)
        for file in sorted((HERE / service).glob("*.json"))
        for place, entry in enumerate(json.loads(file.read_text("utf-8")))
    )


def one(service: str, topic: str, name: str, **more: Any) -> Exchange:
    """The only exchange of that topic (its beginning is enough) and name."""
    found = [
        exchange
        for exchange in exchanges(service)
        if exchange.topic.startswith(topic)
        and exchange.name == name
        and all(getattr(exchange, key) == value for key, value in more.items())
    ]
    assert len(found) == 1, f"{len(found)} exchanges of {topic} are named {name!r}"
    return found[0]


def _read(service: str, topic: str, place: int, entry: dict[str, Any]) -> Exchange:
    text = entry["body"]
    left_out = entry.get("documents")
    if left_out:
        body = json.loads(text)
        body["data"] += [document(entry["path"], left_out["from"] + n) for n in range(left_out["count"])]
        text = json.dumps(body, separators=(",", ":"))
    return Exchange(
        service=service,
        topic=topic,
        place=place,
        name=entry["name"],
        section=entry.get("section", entry.get("wire", "")),
        method=entry["method"],
        path=entry["path"],
        query=dict(parse_qsl(entry.get("query", ""), keep_blank_values=True)),
        sent=entry.get("request"),
        status=entry["status"],
        headers=entry["headers"],
        text=text,
    )
