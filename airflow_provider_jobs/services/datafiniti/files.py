"""Datafiniti's result files: what they are called, how their records are counted, what their host answers."""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Collection, Iterable, Iterator
from itertools import zip_longest
from typing import Any
from urllib.parse import unquote, urlsplit

from airflow_provider_jobs.exceptions import (
    InvalidInputError,
    RequestRejectedError,
    ResultExpiredError,
    ServiceUnavailableError,
    UnexpectedReplyError,
)
from airflow_provider_jobs.jobs.model import JobRef
from airflow_provider_jobs.services.base import Reply, encode_json
from airflow_provider_jobs.services.datafiniti.checks import FILE_FORMATS
from airflow_provider_jobs.services.errors import explain

LARGEST_CELL = 16 << 20
"""Bytes of one cell: a quote that is never closed must not gather the whole file in memory."""
_PAGES = (b"<!doctype", b"<html", b"<?xml")
_ENDINGS = {"csv": "csv", "txt": "json", "json": "json", "jsonl": "json", "ndjson": "json"}


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


def format_of(status_format: str | None, links: Iterable[str]) -> str:
    """Return the file format of a download that something else has started.

    :param status_format: what the service says of the download; its current reference pages show no such field.
    :param links: the result files; their endings decide where the service says nothing.
    :raises InvalidInputError: neither tells.
    """
    if status_format is not None and status_format.strip().casefold() in FILE_FORMATS:
        return status_format.strip().casefold()
    endings = {urlsplit(link).path.casefold().removesuffix(".gz").rpartition(".")[2] for link in links}
    found = {_ENDINGS.get(ending) for ending in endings}
    if found <= {"json"}:
        return "json"  # also when there is no file at all
    if found == {"csv"}:
        return "csv"
    raise InvalidInputError("whether the result files are json or csv cannot be told; give file_format")


class JsonFile:
    """Reads one result file in JSON format: a record a line, blank lines excepted."""

    header: list[str] | None = None
    doubt: str | None = None

    def __init__(self) -> None:
        self.records = 0

    def count(self, lines: Iterable[bytes]) -> None:
        """Count the records of a file.

        :raises UnexpectedReplyError: a line is no record; the file host sent something else, or not all of it.
        """
        for _ in self.read(lines):
            pass

    def read(self, lines: Iterable[bytes]) -> Iterator[bytes]:
        """Return the records of a file as JSON; errors as for :meth:`count`."""
        for line in lines:
            record = line.removeprefix(codecs.BOM_UTF8).strip()
            if not record:
                continue
            if not (record.startswith(b"{") and record.endswith(b"}")):
                raise UnexpectedReplyError(f"a result file holds something else than records: {line[:80]!r}")
            self.records += 1
            yield record


class CsvFile:
    """Reads one result file in CSV format.

    No document says whether each file of a download begins with a header. The first one does; in a further one, a first
    row that shares nothing with the header is a record.

    :ivar header: the names of the columns.
    :ivar records: rows so far, without the header.
    :ivar doubt: why the number of records may be wrong, or None.
    :param header: that of the download's first file; None for that file itself.
    """

    def __init__(self, header: list[str] | None = None) -> None:
        self.header = header
        self.records = 0
        self.doubt: str | None = None
        self._line = 0

    def count(self, lines: Iterable[bytes]) -> None:
        """Count the records of a file.

        :raises UnexpectedReplyError: the file host sent a page.
        """
        for _ in self._rows(lines):
            pass

    def read(self, lines: Iterable[bytes]) -> Iterator[bytes]:
        """Return the records of a file as JSON, each with all columns; cells beyond the header under an empty name."""
        names: list[str] | None = None
        for row in self._rows(lines):
            names = names or _distinct(self.header or [])
            record: dict[str, Any] = dict(zip_longest(names, row[: len(names)]))
            if len(row) > len(names):
                record[""] = row[len(names) :]
            yield encode_json(record)

    def _rows(self, lines: Iterable[bytes]) -> Iterator[list[str]]:
        first = True
        for row in self._all_rows(lines):
            is_header, first = first and self._is_header(row), False
            if is_header:
                self.header = row
                continue
            self.records += 1
            if self.header is not None and len(row) != len(self.header):
                self._doubt(f"a row has {len(row)} cells, the header {len(self.header)}")
            yield row

    def _is_header(self, row: list[str]) -> bool:
        if self.header is None or row == self.header:
            return True
        known, cells = set(filter(None, self.header)), set(filter(None, row))
        shared = len(known & cells)
        if 0 < shared < len(cells):
            # Other columns, or a record in which a cell happens to be the name of one.
            self._doubt("its first row may be a header or a record")
        return 0 < len(cells) <= 2 * shared

    def _all_rows(self, lines: Iterable[bytes]) -> Iterator[list[str]]:
        csv.field_size_limit(max(csv.field_size_limit(), LARGEST_CELL))
        text = self._text(lines)
        strict = True
        while True:
            try:
                for row in csv.reader(text, strict=strict):
                    if row:
                        yield row
                return
            except csv.Error as error:
                # What was read of it counts as one row; the rest is read as well as it goes.
                self._doubt(str(error))
                strict = False
                yield [""]

    def _text(self, lines: Iterable[bytes]) -> Iterator[str]:
        for line in lines:
            self._line += 1
            if self._line == 1 and line.lstrip().lower().startswith(_PAGES):
                raise UnexpectedReplyError(f"a result file holds something else than records: {line[:80]!r}")
            yield line.decode("utf-8", errors="replace").removeprefix("\ufeff" if self._line == 1 else "")

    def _doubt(self, why: str) -> None:
        self.doubt = self.doubt or f"line {self._line}: {why}"


def result_file(file_format: str, header: list[str] | None = None) -> JsonFile | CsvFile:
    """Return what reads one file of a download.

    :param header: that of the files before it, if they are CSV.
    """
    return CsvFile(header) if file_format == "csv" else JsonFile()


def _distinct(names: list[str]) -> list[str]:
    """Return the names of columns; one that stands twice gets a number, so that no cell hides another."""
    found: list[str] = []
    for name in names:
        number, distinct = 1, name
        while distinct in found:
            number += 1
            distinct = f"{name} ({number})"
        found.append(distinct)
    return found


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
