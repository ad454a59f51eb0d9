"""Where a result goes: into the return value, or into a folder on any object storage."""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import os
import tempfile
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Protocol

import msgspec
from airflow.sdk import ObjectStoragePath

from airflow_provider_jobs import __version__
from airflow_provider_jobs.exceptions import (
    InvalidInputError,
    OutputConflictError,
    OutputUnavailableError,
    RemoteJobsError,
    ResultTooLargeError,
    UnexpectedReplyError,
)
from airflow_provider_jobs.jobs.model import JobRef, JobSummary
from airflow_provider_jobs.services.base import decode_json

LARGEST_RETURN_VALUE = 1 << 20
"""Bytes of JSON that a return value may hold: it travels through Airflow's database."""
PART_BYTES = 128 << 20
"""Bytes after which a new part is begun."""
MANIFEST = "_manifest.json"
FAILED = "_failed.jsonl"
REPLACING = "_replacing.json"
"""Stands while files get their names: what to take away if that is broken off."""


class Sink(Protocol):
    """Takes the records of one job."""

    @property
    def data(self) -> list[Any] | None:
        """The records themselves, where they are kept."""

    def add(self, record: bytes) -> None:
        """Take one record as JSON without a line break."""

    def finish(self, summary: JobSummary, failed: list[dict[str, str]], job: JobRef) -> list[str]:
        """Make the result visible and return its data files."""

    def discard(self) -> None:
        """Leave nothing behind."""


class ReturnValue:
    """Keeps the records for the return value.

    :raises ResultTooLargeError: on the record that does not fit any more.
    """

    def __init__(self, job: JobRef, *, limit: int = LARGEST_RETURN_VALUE) -> None:
        self._job = job
        self._limit = limit
        self._size = 0
        self.data: list[Any] = []

    def add(self, record: bytes) -> None:
        """Take one record as JSON."""
        self._size += len(record) + 1
        if self._size > self._limit:
            raise ResultTooLargeError(
                f"the result of {self._job} is larger than the {self._limit:,} bytes that a return value may hold; "
                "set output_path and clear the task: that delivers this job, which is done and paid for, into files"
            )
        try:
            self.data.append(decode_json(record))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise UnexpectedReplyError(f"a record of {self._job} is no JSON: {record[:80]!r}") from None

    def finish(self, summary: JobSummary, failed: list[dict[str, str]], job: JobRef) -> list[str]:
        """There are no files."""
        return []

    def discard(self) -> None:
        """There is nothing to leave behind."""


@dataclass
class _Part:
    """A file that is complete but does not have its name yet."""

    name: str
    place: str
    bytes: int = 0
    records: int = 0
    digest: Any = field(default_factory=hashlib.sha256)

    def entry(self) -> dict[str, Any]:
        return {"name": self.name, "bytes": self.bytes, "records": self.records, "sha256": self.digest.hexdigest()}


class OutputFolder:
    """A flat folder: data files, ``_failed.jsonl``, and ``_manifest.json`` last.

    Files are written under temporary names and get their own when all of them are complete, so a reader never meets
    half a result, and the result of an earlier job stays until then.

    :param path: a folder on any storage that ObjectStoragePath knows; made when it is missing.
    :param owner: the task instance that writes, as plain JSON; a folder of another one is not touched.
    :raises InvalidInputError: the path cannot be used.
    """

    data: list[Any] | None = None

    def __init__(self, path: Any, owner: Mapping[str, Any], *, part_bytes: int = PART_BYTES) -> None:
        self._folder = _folder(path)
        self._owner = dict(owner)
        self._part_bytes = part_bytes
        self._token = uuid.uuid4().hex[:8]
        self._parts: list[_Part] = []
        self._open: _PartWriter | None = None

    def check(self) -> dict[str, Any] | None:
        """Return the manifest of this task's earlier job, if there is one.

        :raises OutputConflictError: the folder holds the result of another task instance.
        """
        return self._read(MANIFEST) or self._read(REPLACING)

    def _read(self, name: str) -> dict[str, Any] | None:
        place = self._folder / name
        if not place.exists():
            return None
        try:
            manifest = msgspec.json.decode(place.read_bytes())
            owner = dict(manifest["owner"])
        except (msgspec.DecodeError, KeyError, TypeError, ValueError):
            raise OutputConflictError(f"{place} is not a manifest of ours; choose another output_path") from None
        if owner != self._owner:
            told = ", ".join(f"{key}={value}" for key, value in owner.items())
            raise OutputConflictError(
                f"output_path {self._folder} holds the result of another task instance ({told}); choose a folder of "
                "its own for each, for example with {{ run_id }} and {{ ti.map_index }}"
            )
        found: dict[str, Any] = manifest
        return found

    def prepare(self) -> None:
        """Make sure, before anything is billed, that the result can be written here.

        :raises OutputConflictError: the folder holds the result of another task instance.
        :raises OutputUnavailableError: nothing can be written.
        """
        try:
            self.check()
            with self.file("probe") as writer:
                writer.write(b"A task that is about to start its job has tried whether it can write here.\n")
        except RemoteJobsError:
            raise
        except Exception as error:
            # Every storage has errors of its own.
            raise OutputUnavailableError(
                f"output_path {self._folder} cannot be written, nothing was started: {type(error).__name__}: {error}"
            ) from error
        finally:
            self.discard()

    def add(self, record: bytes) -> None:
        """Take one record as a line of JSON Lines; parts are named ``part-00000.jsonl`` and on."""
        if self._open is not None and self._open.part.bytes >= self._part_bytes:
            self._close_open()
        if self._open is None:
            self._open = self._begin(f"part-{len(self._parts):05d}.jsonl")
        # A line break can only stand between values, so one that was sent prettily still makes one line.
        self._open.write(record.replace(b"\n", b" ") + b"\n")
        self._open.part.records += 1

    @contextmanager
    def file(self, name: str) -> Iterator[_PartWriter]:
        """Give a file of one's own to write; it counts only when the block ends without an error."""
        writer = self._begin(name)
        try:
            yield writer
        except BaseException:
            writer.abandon()
            raise
        self._parts.append(writer.close())

    def finish(self, summary: JobSummary, failed: list[dict[str, str]], job: JobRef) -> list[str]:
        """Give all files their names, write the manifest, and take away what an earlier job left."""
        if self._open is not None:
            self._close_open()
        parts, names = list(self._parts), {part.name for part in self._parts}
        if failed:
            with self.file(FAILED) as writer:
                for entry in failed:
                    writer.write(msgspec.json.encode(entry) + b"\n")
        kept = {*names, *({FAILED} if failed else ())}
        stale = self._stale_names() - kept
        self._write(REPLACING, {"owner": self._owner, "parts": [{"name": name} for name in sorted(stale | kept)]})
        self._remove([MANIFEST])
        for part in self._parts:
            self._move(part)
        self._remove(sorted(stale))
        self._write(MANIFEST, self._manifest(summary, job, parts))
        self._remove([REPLACING, *self._strays()])
        return [str(self._folder / part.name) for part in parts]

    def discard(self) -> None:
        """Take away every temporary file."""
        if self._open is not None:
            self._open.abandon()
            self._open = None
        for part in self._parts:
            with contextlib.suppress(OSError):
                self._folder.fs.rm_file(part.place)
        self._parts.clear()

    # --- storage ----------------------------------------------------------------------------------------------

    def _begin(self, name: str) -> _PartWriter:
        self._folder.mkdir(parents=True, exist_ok=True)
        place = (self._folder / f"{self._mark}{self._token}-{name}").path
        return _PartWriter(_Part(name, place), self._folder)

    @property
    def _mark(self) -> str:
        """How the temporary files of this owner begin."""
        return f"_tmp-{hashlib.sha256(msgspec.json.encode(self._owner, order='sorted')).hexdigest()[:8]}-"

    def _strays(self) -> list[str]:
        """Return the temporary files that an earlier try of this owner left when it was killed."""
        return [place.name for place in self._folder.iterdir() if place.name.startswith(self._mark)]

    def _stale_names(self) -> set[str]:
        found: set[str] = set()
        for name in (MANIFEST, REPLACING):
            earlier = self._read(name)
            if earlier is not None:
                found |= {str(entry["name"]) for entry in earlier.get("parts", ())} | {FAILED}
        return found

    def _close_open(self) -> None:
        assert self._open is not None
        self._parts.append(self._open.close())
        self._open = None

    def _move(self, part: _Part) -> None:
        target = (self._folder / part.name).path
        if _is_local(self._folder):
            Path(part.place).replace(target)
        else:
            self._folder.fs.mv(part.place, target)

    def _remove(self, names: Iterable[str]) -> None:
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                (self._folder / name).unlink()

    def _manifest(self, summary: JobSummary, job: JobRef, parts: list[_Part]) -> dict[str, Any]:
        return {
            "format": 1,
            "owner": self._owner,
            "job": job.to_dict(),
            "state": summary.state,
            "completed": summary.completed,
            "total": summary.total,
            "records": summary.records,
            "failed": summary.failed,
            "missing": summary.missing,
            "credits_used": summary.credits_used,
            "parts": [part.entry() for part in parts],
            "finished_at": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
            "written_by": f"airflow-provider-jobs {__version__}",
        }

    def _write(self, name: str, content: dict[str, Any]) -> None:
        writer = self._begin(name)
        writer.write(msgspec.json.format(msgspec.json.encode(content), indent=2) + b"\n")
        self._move(writer.close())


class _PartWriter:
    """Writes one file under its temporary name.

    On object storage the file is gathered on the local disk and sent in one go, because a half-written object could
    become visible when an upload is broken off.
    """

    def __init__(self, part: _Part, folder: ObjectStoragePath) -> None:
        self.part = part
        self._folder = folder
        self._local = Path(part.place) if _is_local(folder) else Path(_spool_name())
        self._file: IO[bytes] = self._local.open("wb")

    def write(self, content: bytes) -> int:
        """Write some bytes."""
        self.part.bytes += len(content)
        self.part.digest.update(content)
        return self._file.write(content)

    def close(self) -> _Part:
        """Complete the file."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        if not _is_local(self._folder):
            try:
                self._folder.fs.put_file(str(self._local), self.part.place)
            finally:
                self._local.unlink()
        return self.part

    def abandon(self) -> None:
        """Leave nothing behind."""
        self._file.close()
        self._local.unlink(missing_ok=True)


def _spool_name() -> str:
    handle, name = tempfile.mkstemp(prefix="remote-jobs-")
    os.close(handle)
    return name


def _folder(path: Any) -> ObjectStoragePath:
    if not isinstance(path, str | os.PathLike) or not str(path).strip():
        raise InvalidInputError(f"output_path must be a folder such as s3://bucket/folder, not {path!r}")
    try:
        folder = ObjectStoragePath(str(path).strip().rstrip("/") or "/")
        _ = folder.fs  # the storage's provider may not be installed: noticed here, before anything is billed
        return folder
    except (ValueError, ImportError) as error:
        raise InvalidInputError(f"output_path {path!r} cannot be used: {error}") from error


def _is_local(folder: ObjectStoragePath) -> bool:
    return folder.protocol in {"", "file", "local"}
