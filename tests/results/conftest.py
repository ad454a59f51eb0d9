"""Folders of both sorts: on the disk, and on a storage that only takes whole objects."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import ObjectStoragePath
from airflow.sdk.io import attach
from airflow.sdk.io.store import _STORE_CACHE
from fsspec.implementations.memory import MemoryFileSystem


@dataclass
class Place:
    """A folder, and what stands in it."""

    url: str

    @property
    def folder(self) -> ObjectStoragePath:
        return ObjectStoragePath(self.url)

    def names(self) -> list[str]:
        """Names of the files, sorted; nothing when there is no folder."""
        return sorted(path.name for path in self.folder.iterdir()) if self.folder.exists() else []

    def read(self, name: str) -> bytes:
        content: bytes = (self.folder / name).read_bytes()
        return content

    def lines(self, name: str) -> list[Any]:
        return [json.loads(line) for line in self.read(name).splitlines()]

    def manifest(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.read("_manifest.json"))
        return found

    def write(self, name: str, content: bytes) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / name).write_bytes(content)


@pytest.fixture(params=["file", "path", "memory"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """A folder that does not exist yet: file://, a bare path, and an object store in memory."""
    if request.param != "memory":
        prefix = "file://" if request.param == "file" else ""
        yield Place(f"{prefix}{tmp_path}/results/of a run")
        return
    # fsspec's own storage in memory stands for an object store; Airflow knows the storages of providers only.
    store = attach("memory", fs=MemoryFileSystem())
    _forget_all()
    yield Place("memory://bucket/results/run")
    _forget_all()
    for alias in [alias for alias, kept in _STORE_CACHE.items() if kept is store]:
        del _STORE_CACHE[alias]


def _forget_all() -> None:
    MemoryFileSystem.store.clear()
    MemoryFileSystem.pseudo_dirs[:] = [""]


@pytest.fixture
def spool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for temporary files, which must be empty in the end."""
    folder = tmp_path / "spool"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", os.fspath(folder))
    return folder
