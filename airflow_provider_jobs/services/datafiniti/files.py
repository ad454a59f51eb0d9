"""Datafiniti's result files: what they are called, how their records are counted, what their host answers."""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Collection, Iterable
from typing import Any
from urllib.parse import unquote, urlsplit

from airflow_provider_jobs.exceptions import (
    RequestRejectedError,
    ResultExpiredError,
    ServiceUnavailableError,
    UnexpectedReplyError,
)
from airflow_provider_jobs.jobs.model import JobRef
from airflow_provider_jobs.services.base import Reply
from airflow_provider_jobs.services.errors import explain


def file_name(link: str, number: int, ref: JobRef, file_format: str, taken: Collection[str] = ()) -> str:
    """Return a safe name for a result file: the service's own where it can be used.

    :param number: place of the link, from 1.
    :param taken: names that other files of the job have already.
    """
    given = unquote(urlsplit(link).path).rsplit("/", 1)[-1]
    if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,150}", given) and given not in taken:
        return given
    stem, ending = f"{re.sub(r'[^A-Za-z0-9-]', '-', ref.job_id)}_{number}", "csv" if file_format == "csv" else "txt"
    name = f"{stem}.{ending}"
    while name in taken:
        stem += "_"
        name = f"{stem}.{ending}"
    return name


class RecordCounter:
    """Counts the records of a result file as its lines go by.

    A JSON file has a record a line, blank ones excepted. A CSV file has a header, and a record goes on while a quote is
    open.

    :raises UnexpectedReplyError: a line of a JSON file is no record; the file host sent something else.
    """

    def __init__(self, file_format: str) -> None:
        self._csv = file_format == "csv"
        self._quoted = False
        self._seen = 0

    @property
    def records(self) -> int:
        """Records so far."""
        return max(0, self._seen - 1) if self._csv else self._seen

    def line(self, line: bytes) -> None:
        """Count one line."""
        if self._csv:
            was_quoted = self._quoted
            self._quoted ^= bool(line.count(b'"') % 2)
            if self._quoted or (not was_quoted and not line.strip()):
                return
            self._seen += 1
        elif record_of(line):
            self._seen += 1


def record_of(line: bytes) -> bytes:
    """Return the record of a line of a JSON file; nothing of a blank line.

    :raises UnexpectedReplyError: the line does not begin like an object.
    """
    record = line.removeprefix(codecs.BOM_UTF8).strip()
    if record and not record.startswith(b"{"):
        raise UnexpectedReplyError(f"a result file holds something else than records: {line[:80]!r}")
    return record


def rows(lines: Iterable[bytes], *, largest: int) -> list[dict[str, Any]]:
    """Return the rows of a CSV file. Cells beyond the header are listed under an empty name.

    :param largest: bytes that one cell may have.
    """
    csv.field_size_limit(largest)
    text = (line.decode("utf-8", errors="replace").removeprefix("\ufeff") for line in lines)
    return list(csv.DictReader(text, restkey=""))


def check_file_reply(name: str, reply: Reply) -> None:
    """Raise when a result file could not be had. The link itself is a secret and is not named.

    :raises ResultExpiredError: the link is older than seven days, or the file is withheld (403, 404).
    :raises ServiceUnavailableError: the file host failed.
    """
    if reply.ok:
        return
    told = f"result file {name}: HTTP {reply.status}"
    if reply.status >= 500 or reply.status in {408, 429}:
        raise ServiceUnavailableError(told, status=reply.status)
    if reply.status in {403, 404}:
        raise ResultExpiredError(
            f"{told}; links live for seven days after the job's end, and files are withheld while overages "
            f"are unpaid: {explain(reply)}"
        )
    raise RequestRejectedError(f"{told}: {explain(reply)}", status=reply.status)
