"""How the result files of a Datafiniti download are delivered."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_random_exponential

from airflow_provider_jobs.exceptions import UnexpectedReplyError
from airflow_provider_jobs.hooks.datafiniti import DatafinitiHook
from airflow_provider_jobs.jobs.model import JobRef, JobState, JobStatus, JobSummary
from airflow_provider_jobs.operators.delivery import Delivery
from airflow_provider_jobs.results import LARGEST_RETURN_VALUE, OutputFolder, Sink
from airflow_provider_jobs.services.datafiniti import CsvFile, JsonFile, file_name, result_file
from airflow_provider_jobs.transport.files import FileTransport, is_worth_another_try

FILE_ATTEMPTS = 5


def deliver_files(
    hook: DatafinitiHook, ref: JobRef, status: JobStatus, sink: Sink, file_format: str, *, log: Any
) -> Delivery:
    """Bring all result files of a download that is over into a sink, and compare their rows with the service's counter.

    :param status: the end of the download; its links are asked for again where they are missing.
    :param file_format: ``json`` or ``csv``.
    :raises ResultExpiredError: a file is not kept any more, or withheld.
    :raises UnexpectedReplyError: the service counts records and names no file, or a file holds something else.
    """
    status = _with_links(hook, ref, status)
    records, doubts, header = 0, list[str](), None
    names: set[str] = set()
    with hook.file_conn() as files:
        for number, link in enumerate(dict.fromkeys(status.links), 1):
            name = file_name(link, number, ref, file_format, names)
            names.add(name)
            found = _deliver_file(files, link, name, file_format, header, sink)
            records, header = records + found.records, found.header
            if found.doubt:
                doubts.append(f"{name}, {found.doubt}")
    summary = JobSummary(
        service=ref.service,
        kind=ref.kind,
        job_id=ref.job_id,
        state=str(status.state),
        completed=status.completed,
        total=status.total,
        records=records,
        failed=0,
        missing=max(0, (status.completed or 0) - records),
        credits_used=status.credits_used,
        data=sink.data,
    )
    return Delivery(summary, doubt=_doubt(ref, status, records, doubts, file_format, log))


def _with_links(hook: DatafinitiHook, ref: JobRef, status: JobStatus) -> JobStatus:
    # A trigger's event carries no links, they are secrets. The state that ended the wait stands.
    if not status.links:
        status = dataclasses.replace(status, links=hook.look(ref).links)
    if status.completed and not status.links and status.state is JobState.SUCCEEDED:
        raise UnexpectedReplyError(f"{ref} counts {status.completed} records, and Datafiniti names no file with them")
    return status


def _doubt(ref: JobRef, status: JobStatus, records: int, doubts: list[str], file_format: str, log: Any) -> str | None:
    """Return why the number of records may be wrong, unless the service's own counter says the same."""
    for doubt in doubts:
        log.warning("The rows of a result file are hard to tell apart: %s", doubt)
    counted = status.completed
    if counted is not None and records > counted:
        log.warning("%s counts %d records, its files hold %d", ref, counted, records)
        if file_format == "csv" and not doubts:
            doubts = ["no row of them looks wrong"]
    if not doubts or records == counted:
        return None
    told = "does not say how many there are" if counted is None else f"counts {counted}"
    return f"{records} records were found in the csv files, and the service {told}: {doubts[0]}"


def _deliver_file(
    files: FileTransport, link: str, name: str, file_format: str, header: list[str] | None, sink: Sink
) -> JsonFile | CsvFile:
    retrying = Retrying(
        retry=retry_if_exception(is_worth_another_try),
        stop=stop_after_attempt(FILE_ATTEMPTS),
        wait=wait_random_exponential(multiplier=0.5, max=20),
        reraise=True,
    )
    if isinstance(sink, OutputFolder):
        return retrying(_store, files, link, name, file_format, header, sink)
    reader, records = retrying(_read, files, link, name, file_format, header)
    for record in records:
        sink.add(record)
    return reader


def _store(
    files: FileTransport, link: str, name: str, file_format: str, header: list[str] | None, folder: OutputFolder
) -> JsonFile | CsvFile:
    reader = result_file(file_format, header)
    with folder.file(name) as writer:

        def stored() -> Iterator[bytes]:
            for line in files.lines(link, name):
                writer.write(line)
                yield line

        reader.count(stored())
        writer.part.records = reader.records
    return reader


def _read(
    files: FileTransport, link: str, name: str, file_format: str, header: list[str] | None
) -> tuple[JsonFile | CsvFile, list[bytes]]:
    """Return the records of a file as JSON, and hardly more of them than a return value can hold."""
    reader = result_file(file_format, header)
    records, size = list[bytes](), 0
    for record in reader.read(files.lines(link, name)):
        records.append(record)
        size += len(record)
        if size > LARGEST_RETURN_VALUE:
            break
    return reader, records
