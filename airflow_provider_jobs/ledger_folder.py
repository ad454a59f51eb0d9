"""The record of starts as a folder on any object storage: one object for each event, never rewritten.

It outlives the deletion of a run, and can be read without Airflow's database. Several deployments may share one.
"""

from __future__ import annotations

import hashlib
import os
import random
import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec
from airflow.sdk import ObjectStoragePath, conf

from airflow_provider_jobs.compat import Owner
from airflow_provider_jobs.exceptions import LedgerError, LedgerSettingsError
from airflow_provider_jobs.jobs.history import Closed

SECTION = "airflow_provider_jobs"
"""The section of Airflow's configuration."""
_EVENT = re.compile(r"(\d{6})\.(\d)-([a-z_]+)\.json")
_LONGEST_NAME = 150


class LedgerFolder:
    """One deployment's part of the folder.

    Its objects are ``<ledger_path>/<deployment>/<dag>/<run>/<task>/<map index>/<seq>.<n>-<event>.json``.

    :param path: the folder, on any storage that ObjectStoragePath knows; made when it is missing.
    :param deployment: names this Airflow among those that share the folder.
    :raises LedgerSettingsError: the path cannot be used, or the deployment has no name.
    """

    def __init__(self, path: str, deployment: str) -> None:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", deployment):
            raise LedgerSettingsError(
                f"[{SECTION}] ledger_path needs a deployment beside it, a name of letters, digits, '.', '_' and '-' "
                f"that tells this Airflow from others that share the folder, not {deployment!r}"
            )
        try:
            self._root = ObjectStoragePath(path.rstrip("/")) / deployment
            _ = self._root.fs  # the storage's provider may not be installed
        except (ValueError, ImportError) as error:
            raise LedgerSettingsError(f"[{SECTION}] ledger_path {path!r} cannot be used: {error}") from error
        self._is_local = self._root.protocol in {"", "file", "local"}
        if self._is_local and not Path(path.removeprefix("file://").removeprefix("local://")).is_absolute():
            raise LedgerSettingsError(
                f"[{SECTION}] ledger_path {path!r} is relative to wherever a process happens to run: give it in full"
            )

    @classmethod
    def configured(cls) -> LedgerFolder | None:
        """Return the folder of Airflow's configuration, or None where there is none.

        :raises LedgerSettingsError: the configuration is incomplete.
        """
        path = str(conf.get(SECTION, "ledger_path", fallback="") or "").strip()
        if not path:
            return None
        return cls(path, str(conf.get(SECTION, "deployment", fallback="") or "").strip())

    def __str__(self) -> str:
        return str(self._root)

    def load(self, owner: Owner) -> list[dict[str, Any]]:
        """Return an owner's entries, oldest first.

        :raises LedgerError: they cannot be read.
        """
        folder = self._folder_of(owner)
        with self._told("read"):
            names = _list(folder)
            if names is None:
                return []
            return [self._read(folder / name)[1] for name in _last_events(names).values()]

    def save(self, owner: Owner, entry: dict[str, Any]) -> None:
        """Write an entry down as it is now, for good.

        :raises LedgerError: it cannot be written.
        """
        if entry.get("closed"):
            event = f"{4 if Closed(entry['closed']).is_final else 3}-{entry['closed']}"
        elif entry.get("job"):
            event = "2-started"
        else:
            event = "1-lost" if entry.get("lost_at") else "1-intent"  # the later one sorts after the other
        place = self._folder_of(owner) / f"{entry['seq']:06d}.{event}.json"
        content = msgspec.json.encode({"format": 1, "owner": owner.to_dict(), "entry": entry})
        with self._told("written"):
            if self._is_local:
                place.parent.mkdir(parents=True, exist_ok=True)
                # A reader must never meet half a file.
                temporary = Path(place.parent.path) / f".{uuid.uuid4().hex}.tmp"
                with temporary.open("wb") as file:
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())
                temporary.replace(place.path)
            else:
                place.write_bytes(content)

    def owners(
        self,
        *,
        dag_id: str | None = None,
        open_only: bool = False,
        sample: int | None = None,
        problems: list[str] | None = None,
    ) -> Iterator[tuple[Owner, list[dict[str, Any]]]]:
        """Yield every owner with its entries, oldest first.

        :param open_only: leave out owners of whom all is closed; their objects are not even read.
        :param sample: so many owners, taken at random.
        :param problems: takes what is wrong with single owners, who are left out then. Without it, that is raised.
        :raises LedgerError: something cannot be read.
        """
        root = self._root / _name(dag_id) if dag_id is not None else self._root
        with self._told("read"):
            if _list(root) is None:
                return
            places = sorted(str(place) for place in root.fs.find(root.path))
        folders: dict[str, list[str]] = {}
        for place in places:
            parent, _, name = place.rpartition("/")
            folders.setdefault(parent, []).append(name)
        parents = list(folders) if sample is None else random.sample(list(folders), min(sample, len(folders)))
        for parent in parents:
            names = folders[parent]
            events = _last_events(names).values()
            if open_only and all(_EVENT.fullmatch(name)[2] >= "3" for name in events):  # type: ignore[index]
                continue
            try:
                with self._told("read"):
                    read = [self._read(self._at(f"{parent}/{name}")) for name in events]
            except LedgerError as error:
                if problems is None:
                    raise
                problems.append(str(error))
                continue
            if read:
                yield read[0][0], [entry for _, entry in read]

    # --- storage ----------------------------------------------------------------------------------------------

    def _folder_of(self, owner: Owner) -> ObjectStoragePath:
        names = (owner.dag_id, owner.run_id, owner.task_id, str(owner.map_index))
        return self._root.joinpath(*map(_name, names))

    def _at(self, place: str) -> ObjectStoragePath:
        return self._root / place.removeprefix(self._root.path.rstrip("/")).lstrip("/")

    def _read(self, place: ObjectStoragePath) -> tuple[Owner, dict[str, Any]]:
        try:
            value = msgspec.json.decode(place.read_bytes())
            return Owner.from_dict(value["owner"]), dict(value["entry"])
        except (msgspec.DecodeError, KeyError, TypeError, ValueError) as error:
            raise LedgerError(f"{place} is no record of ours ({error})") from None

    @contextmanager
    def _told(self, what: str) -> Iterator[None]:
        try:
            yield
        except LedgerError:
            raise
        except Exception as error:
            # Every storage has errors of its own.
            raise LedgerError(
                f"the record of starts in {self._root} cannot be {what}: {type(error).__name__}: {error}"
            ) from error


def _list(folder: ObjectStoragePath) -> list[str] | None:
    """Return the names in a folder, or None when there is none. Anything else is an error, never an empty list."""
    folder.fs.invalidate_cache(folder.path)
    try:
        places = [str(place) for place in folder.fs.ls(folder.path, detail=False)]
    except FileNotFoundError:
        return None
    if [place.rstrip("/") for place in places] == [folder.path.rstrip("/")]:
        raise NotADirectoryError(f"{folder} is a file")
    return [Path(place).name for place in places]


def _last_events(names: list[str]) -> dict[str, str]:
    """Return the newest event of each start, by its number. Closed is closed, whoever wrote it."""
    found: dict[str, str] = {}
    for name in sorted(names):
        if event := _EVENT.fullmatch(name):
            found[event[1]] = name
    return found


def _name(text: str) -> str:
    """Return a name that every storage takes; a long one is shortened, its owner stands inside the objects."""
    name = quote(text, safe="")
    if name in {".", ".."}:
        name = name.replace(".", "%2E")
    if len(name) <= _LONGEST_NAME:
        return name
    return f"{name[: _LONGEST_NAME - 17]}~{hashlib.sha256(text.encode()).hexdigest()[:16]}"
