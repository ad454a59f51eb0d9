"""Datafiniti downloads: their state follows from the clock alone."""

from __future__ import annotations

import csv
import datetime
import hashlib
import hmac
import io
import json
import urllib.parse
from dataclasses import dataclass
from typing import Any

from airflow_provider_jobs.sandbox.datafiniti_data import Record
from airflow_provider_jobs.sandbox.replies import dumps, iso
from airflow_provider_jobs.sandbox.settings import DatafinitiSettings
from airflow_provider_jobs.sandbox.world import World

TERMINAL = {"completed", "cancelled", "failed"}
LINK_SECONDS = 604_800
PEOPLE_CREDITS = 5
SIGNING_KEY = b"sandbox"


@dataclass
class ResultFile:
    """One file of a download."""

    number: int
    first: int
    last: int
    signed_at: float
    link: str


class Download:
    """One download job."""

    def __init__(
        self,
        world: World,
        *,
        number: int,
        account: str,
        token: str,
        data_type: str,
        body: dict[str, Any],
        matches: list[Record],
        view: list[str] | None = None,
    ) -> None:
        settings = world.datafiniti
        self.id = str(number)
        self.account, self.token, self.data_type = account, token, data_type
        self.query = str(body["query"])
        self.format = str(body.get("format") or "json")
        self.options = body
        asked = body.get("num_records")
        self.num_records = len(matches) if asked is None else int(asked)
        self.records = [_seen_through(view, record) for record in matches[: self.num_records]]
        self.started = self.updated = world.clock.now()
        self.ended: float | None = None
        self.forced: str | None = None
        self.cancel_asked: float | None = None
        self.cancelled_by_delete = False
        self.deletes = 0
        self.gone = False
        self.files: list[ResultFile] = []
        self._world = world
        self._downloaded = 0
        self._t_queue = 0.0 if settings.wire == "w1" else settings.t_queue
        self._rate = max(settings.rate, 1e-6)
        self._file_records = max(1, settings.file_records)
        self.held = settings.hold or (not matches and settings.zero_match == "stuck")

    @property
    def user(self) -> int:
        """The number of the account."""
        return 126_609 + (self._world.secret_index(self.account) or 0)

    @property
    def downloaded(self) -> int:
        """Records fetched so far."""
        self._go_on()
        return self._downloaded

    @property
    def state(self) -> str:
        """The state in the words of W2."""
        self._go_on()
        if self.forced is not None:
            return self.forced
        if self.cancel_asked is not None:
            shown_from = self.cancel_asked + self._world.datafiniti.cancel_delay
            return "cancelled" if self._world.clock.now() >= shown_from else "running"
        if self._world.clock.now() < self.started + self._t_queue:
            return "queued"
        return "running"

    @property
    def credits(self) -> int:
        """What the download has cost; nothing is charged before the end."""
        each = PEOPLE_CREDITS if self.data_type == "people" else 1
        return self._downloaded * each if self.state in TERMINAL else 0

    def _go_on(self) -> None:
        """Bring the job to the present."""
        if self.forced is not None or self.cancel_asked is not None or self.held:
            return
        now = self._world.clock.now()
        running = now - self.started - self._t_queue
        if running < 0:
            return
        # The small addition keeps 2.9999 records from being two.
        done = min(len(self.records), int(running * self._rate + 1e-6))
        if done > self._downloaded:
            self.updated = now
        self._downloaded = done
        self._close_full_files()
        if done >= len(self.records):
            self.complete(self.started + self._t_queue + len(self.records) / self._rate)

    def _close_full_files(self) -> None:
        size = self._file_records
        while (len(self.files) + 1) * size <= self._downloaded:
            last = (len(self.files) + 1) * size
            self._add_file(last, self.started + self._t_queue + last / self._rate)

    def _add_file(self, last: int, moment: float) -> None:
        number = len(self.files) + 1
        first = self.files[-1].last if self.files else 0
        moment = min(moment, self._world.clock.now())
        self.files.append(ResultFile(number, first, last, moment, self._signed(number, moment)))

    def _add_rest(self, moment: float) -> None:
        self._close_full_files()
        if self._downloaded > (self.files[-1].last if self.files else 0):
            self._add_file(self._downloaded, moment)

    def complete(self, moment: float | None = None) -> None:
        """End with everything, unless it is over already."""
        if self.forced is not None or self.cancel_asked is not None:
            return
        self.held = False
        self._downloaded = len(self.records)
        self.ended = self.updated = self._world.clock.now() if moment is None else moment
        self._add_rest(self.ended)
        self.forced = "completed"

    def fail(self) -> None:
        """End as failed, a state that no document of the service knows."""
        self._go_on()
        self.forced, self.ended = "failed", self._world.clock.now()
        self.updated = self.ended

    def cancel(self, *, by_delete: bool) -> None:
        """Stop; what has been fetched stays and is charged."""
        self._go_on()
        if self.forced is not None or self.cancel_asked is not None:
            return
        now = self._world.clock.now()
        if by_delete and self._world.datafiniti.cancel_race:
            self.complete(now)
            return
        self.cancelled_by_delete = by_delete
        self._add_rest(now)
        self.cancel_asked = self.ended = self.updated = now

    def _extension(self) -> str:
        return "csv" if self.format.lower() == "csv" else "txt"

    def _signed(self, number: int, moment: float) -> str:
        path = f"/{self.user}/{self.id}_{number}.{self._extension()}"
        at = datetime.datetime.fromtimestamp(moment, datetime.UTC)
        query = urllib.parse.urlencode(
            {
                "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
                "X-Amz-Date": at.strftime("%Y%m%dT%H%M%SZ"),
                "X-Amz-SignedHeaders": "host",
                "X-Amz-Expires": str(LINK_SECONDS),
                "X-Amz-Credential": f"SANDBOX/{at:%Y%m%d}/us-east-1/s3/aws4_request",
            }
        )
        signature = hmac.new(SIGNING_KEY, f"{path}?{query}".encode(), hashlib.sha256).hexdigest()
        return f"{self._world.urls['files']}{path}?{query}&X-Amz-Signature={signature}"

    def links(self) -> list[str]:
        """The links handed out so far; each stays the same string for ever."""
        self._go_on()
        return [file.link for file in self.files]

    def expire_results(self) -> None:
        """Let the links be past their time."""
        self._go_on()
        for file in self.files:
            file.signed_at -= LINK_SECONDS + 1

    def content(self, file: ResultFile) -> bytes:
        """The bytes of a result file."""
        records = self.records[file.first : file.last]
        if self._extension() == "txt":
            return b"".join(dumps(record) + b"\n" for record in records)
        settings = self._world.datafiniti
        columns = settings.fields_csv or list(self.records[0])
        rows = [[_cell(record.get(name)) for name in columns] for record in records]
        if settings.csv_header == "each" or file.number == 1:
            rows.insert(0, columns)
        if settings.csv_quotes == "bare":
            return "".join(",".join(map(_barely_quoted, row)) + "\n" for row in rows).encode()
        out = io.StringIO(newline="")
        csv.writer(out, lineterminator="\n").writerows(rows)
        return out.getvalue().encode()

    def as_dict(self) -> dict[str, Any]:
        """As the control API lists it."""
        return {
            "id": self.id,
            "service": "datafiniti",
            "kind": "download",
            "api_version": "v4",
            "state": self.state,
            "started_at": self.started,
            "ended_at": self.ended,
            "deletes": self.deletes,
            "cancelled_by_delete": self.cancelled_by_delete,
            "completed": self.downloaded,
            "total": self.num_records,
            "token": self._world.secret_index(self.token),
            "input": self.query,
        }


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list | dict) else str(value)


def _barely_quoted(cell: str) -> str:
    """A cell as a careless writer makes it: a quote inside stays as it is where nothing else asks for quotes."""
    if any(sign in cell for sign in ",\r\n") or cell.startswith('"'):
        return '"' + cell.replace('"', '""') + '"'
    return cell


def _seen_through(view: list[str] | None, record: Record) -> Record:
    return record if view is None else {name: record[name] for name in view if name in record}


COSTS = ("people", "property", "product", "business")
FIELDS = [{"name": "categories", "flatten": False}, {"name": "id"}, {"name": "name"}]


def wire_object(job: Download, wire: str, *, start: bool = False) -> dict[str, Any]:
    """The job as a generation of the API shows it."""
    while True:
        # Time goes on meanwhile: state, counter and links must be those of one moment.
        moment = (job.state, job.downloaded)
        shown = _wire_object(job, wire, start=start)
        if (job.state, job.downloaded) == moment:
            return shown


def _wire_object(job: Download, wire: str, *, start: bool) -> dict[str, Any]:
    links: list[Any] = job.links()
    if wire == "w3":
        word = "in_progress" if job.state == "running" else job.state
        return {
            "id": job.id,
            "status": word,
            "num_records": job.num_records,
            "results": [{"url": link} for link in links],
            "created_at": iso(job.started),
        }
    if wire == "w1":
        shown = {
            "id": int(job.id),
            "results": links,
            "user_id": job.user,
            "status": "running" if job.state == "queued" else job.state,
            "date_started": _old_date(job.started),
            "date_updated": _old_date(job.updated),
            "num_downloaded": job.downloaded,
            "data_type": job.data_type,
            "query": job.query,
            "format": job.format,
            "num_records": job.num_records,
            "total_cost": job.credits if job.state == "cancelled" else job.num_records,
        }
        if start:
            del shown["date_updated"]
        return shown
    return _wire_2(job, links, start=start)


def _wire_2(job: Download, links: list[Any], *, start: bool) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "status": job.state,
        "num_downloaded": job.downloaded,
        "num_records_suppressed": 0,
    }
    shown |= {f"{name}_cost": job.credits if name == job.data_type else 0 for name in COSTS}
    shown["total_cost"] = job.credits
    if start:
        shown["fields"] = FIELDS
    return shown | {
        "sort": True,
        "auto_trace": False,
        "only_traceable": False,
        "format": job.format,
        "suppressed_fields": [],
        "enriched_fields": [],
        "query": job.query,
        "num_records": job.num_records,
        "data_type": job.data_type,
        "user": job.user,
        "results": links,
        "date_started": iso(job.started),
        "date_updated": iso(job.updated),
        "_id": int(job.id),
        "is_suppression_job": False,
        "is_enrichment_job": False,
        "id": job.id,
    }


def _old_date(moment: float) -> str:
    return datetime.datetime.fromtimestamp(moment, datetime.UTC).strftime("%Y-%m-%d %H:%M:%S.0")


def account_object(settings: DatafinitiSettings, spent: dict[str, int], number: int) -> dict[str, Any]:
    """The account as a generation of the API shows it.

    :param spent: credits by data type.
    """
    used = sum(spent.values())
    if settings.wire == "w1":
        return {
            "active": True,
            "date_created": "2017-10-13 21:49:53.0",
            "date_updated": "2017-10-26 20:58:34.0",
            "email": "user@example.com",
            "id": number,
            "first_name": "Sandbox",
            "last_name": "User",
            "num_credits_used": used,
            "is_admin": False,
        }
    if settings.wire == "w3":
        shown: dict[str, Any] = {"email": "user@example.com", "first_name": "Sandbox", "last_name": "User"}
        shown["num_credits_used"] = used
        for name, credits in spent.items():
            shown |= {f"{name}_credits_allotted": 1_000_000, f"{name}_credits_used": credits}
        return shown
    shown = {"role": "user", "num_credits_used": used}
    shown |= {f"{name}_credits_used": credits for name, credits in spent.items()}
    return shown | {
        "num_scrape_credits_used": 0,
        "disabled_code": 0,
        "plan_ids": ["sandbox-stand-in"],
        "auto_collect_enabled": True,
        "overage_limit": 100,
        "payment_type": "cc",
        "overages_enabled": settings.overage,
        "features": [{"enabledFields": ["view", "download"], "name": f"{name}:search"} for name in spent],
        "date_created": "2024-04-16T20:28:20.279Z",
        "date_updated": "2024-04-22T17:30:15.145Z",
        "is_admin": False,
        "id": number,
    }
