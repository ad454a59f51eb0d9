"""Where results go: small ones into the return value, others into a folder that is never half written."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_jobs import __version__
from airflow_provider_jobs.exceptions import (
    InvalidInputError,
    OutputConflictError,
    OutputUnavailableError,
    ResultTooLargeError,
    UnexpectedReplyError,
)
from airflow_provider_jobs.jobs.model import JobRef, JobSummary
from airflow_provider_jobs.results import LARGEST_RETURN_VALUE, OutputFolder, ReturnValue
from tests.results.conftest import Place

JOB = JobRef("firecrawl", "batch_scrape", "abc", "v1")
OWNER = {"dag_id": "d", "run_id": "r", "task_id": "t", "map_index": -1}
OTHER = {**OWNER, "map_index": 3}
FAILED = [{"url": "https://a.test/1", "error": "timed out", "code": "SCRAPE_TIMEOUT"}]


def summary(records: int = 2, **more: Any) -> JobSummary:
    given = {
        "state": "succeeded",
        "completed": records,
        "total": records,
        "failed": 0,
        "missing": 0,
        "credits_used": 2.0,
    }
    return JobSummary("firecrawl", "batch_scrape", "abc", records=records, **{**given, **more})


def record(number: int) -> bytes:
    return json.dumps({"n": number}).encode()


def deliver(place: Place, *numbers: int, owner: Any = OWNER, part_bytes: int = 1 << 20, failed: Any = ()) -> list[str]:
    folder = OutputFolder(place.url, owner, part_bytes=part_bytes)
    for number in numbers:
        folder.add(record(number))
    return folder.finish(summary(len(numbers)), list(failed), JOB)


# --- return value -------------------------------------------------------------------------------------------------


def test_a_return_value_keeps_the_records() -> None:
    value = ReturnValue(JOB)
    value.add(b'{"markdown":"\xc3\xa4"}')
    value.add(b"[1]")
    assert value.data == [{"markdown": "ä"}, [1]]
    assert value.finish(summary(), [], JOB) == []


def test_a_return_value_has_a_limit_of_a_mebibyte() -> None:
    """F32: results are not for XCom; the text says what to do, and that nothing is lost."""
    assert LARGEST_RETURN_VALUE == 1024 * 1024
    value, chunk = ReturnValue(JOB), json.dumps("x" * 1021).encode()
    for _ in range(1024):
        value.add(chunk)
    assert len(json.dumps(value.data, separators=(",", ":"))) <= LARGEST_RETURN_VALUE + 1
    with pytest.raises(ResultTooLargeError) as caught:
        value.add(b"1")
    text = str(caught.value)
    assert text.startswith("the result of firecrawl batch_scrape abc is larger than the 1,048,576 bytes")
    assert "set output_path" in text
    assert "paid for" in text
    assert "clear the task: that delivers this job" in text
    assert caught.value.permanent


def test_one_record_that_is_too_large_is_not_parsed() -> None:
    with pytest.raises(ResultTooLargeError):
        ReturnValue(JOB, limit=10).add(b"not even json, but too long")


def test_a_record_that_is_no_json_is_named() -> None:
    with pytest.raises(UnexpectedReplyError, match="a record of firecrawl batch_scrape abc is no JSON"):
        ReturnValue(JOB).add(b'{"a": NaN}')


def test_half_an_emoji_is_no_reason_to_lose_a_result() -> None:
    value = ReturnValue(JOB)
    value.add(rb'{"a":"\ud83d"}')
    assert value.data == [{"a": "�"}]


# --- layout -------------------------------------------------------------------------------------------------------


def test_a_folder_holds_parts_and_a_manifest(place: Place, spool: Path) -> None:
    output = deliver(place, 1, 2)
    assert place.names() == ["_manifest.json", "part-00000.jsonl"]
    assert place.lines("part-00000.jsonl") == [{"n": 1}, {"n": 2}]
    assert output == [f"{place.url}/part-00000.jsonl"]
    assert list(spool.iterdir()) == []


def test_the_manifest_tells_what_is_there(place: Place) -> None:
    folder = OutputFolder(place.url, OWNER, part_bytes=1)
    for number in range(2):
        folder.add(record(number))
    told = summary(2, completed=4, total=5, failed=1, missing=1, credits_used=None, state="succeeded")
    folder.finish(told, FAILED, JOB)
    manifest = place.manifest()
    finished_at = manifest.pop("finished_at")
    assert finished_at.endswith("+00:00")
    parts = [
        {
            "name": name,
            "bytes": len(place.read(name)),
            "records": 1,
            "sha256": hashlib.sha256(place.read(name)).hexdigest(),
        }
        for name in ("part-00000.jsonl", "part-00001.jsonl")
    ]
    assert manifest == {
        "format": 1,
        "owner": OWNER,
        "job": {"service": "firecrawl", "kind": "batch_scrape", "job_id": "abc", "api_version": "v1"},
        "state": "succeeded",
        "completed": 4,
        "total": 5,
        "records": 2,
        "failed": 1,
        "missing": 1,
        "credits_used": None,
        "parts": parts,
        "written_by": f"airflow-provider-jobs {__version__}",
    }
    assert place.lines("_failed.jsonl") == FAILED


@pytest.mark.parametrize(
    ("part_bytes", "sizes"),
    [(1, [1, 1, 1, 1, 1]), (9, [1, 1, 1, 1, 1]), (10, [2, 2, 1]), (18, [2, 2, 1]), (19, [3, 2]), (1000, [5])],
)
def test_parts_are_begun_anew_at_a_size(place: Place, part_bytes: int, sizes: list[int]) -> None:
    """Each record is 8 bytes and a line break; no record is split, none is lost, the order stays."""
    output = deliver(place, *range(5), part_bytes=part_bytes)
    names = [f"part-{number:05d}.jsonl" for number in range(len(sizes))]
    assert [url.rsplit("/", 1)[-1] for url in output] == names
    assert [len(place.lines(name)) for name in names] == sizes
    assert [line["n"] for name in names for line in place.lines(name)] == list(range(5))


def test_a_result_without_a_record_is_a_manifest(place: Place) -> None:
    assert deliver(place) == []
    assert place.names() == ["_manifest.json"]
    assert place.manifest()["parts"] == []


def test_files_keep_their_own_names(place: Place) -> None:
    folder = OutputFolder(place.url, OWNER)
    with folder.file("847070_1.csv") as writer:
        writer.write(b"a,b\n1,2\n")
        writer.part.records = 1
    output = folder.finish(summary(1), [], JOB)
    assert output == [f"{place.url}/847070_1.csv"]
    assert place.read("847070_1.csv") == b"a,b\n1,2\n"
    assert place.manifest()["parts"][0]["bytes"] == 8


# --- never half a result ------------------------------------------------------------------------------------------


def test_no_name_is_given_before_the_end(place: Place) -> None:
    folder = OutputFolder(place.url, OWNER, part_bytes=1)
    for number in range(3):
        folder.add(record(number))
    assert not [name for name in place.names() if not name.startswith("_tmp-")]
    folder.finish(summary(3), [], JOB)
    assert not [name for name in place.names() if name.startswith("_tmp-")]


def test_the_manifest_comes_last(tmp_path: Path) -> None:
    """A reader that sees the manifest sees all of the result: none stands when a name could not be given."""
    place = Place(str(tmp_path / "out"))
    (tmp_path / "out" / "part-00001.jsonl").mkdir(parents=True)
    with pytest.raises(OSError, match="part-00001"):
        deliver(place, 1, 2, part_bytes=1)
    assert "part-00000.jsonl" in place.names()
    assert "_manifest.json" not in place.names()


def test_discard_leaves_nothing(place: Place, spool: Path) -> None:
    folder = OutputFolder(place.url, OWNER, part_bytes=1)
    for number in range(3):
        folder.add(record(number))
    with folder.file("a.csv") as writer:
        writer.write(b"x")
    folder.add(record(4))
    folder.discard()
    assert place.names() == []
    assert list(spool.iterdir()) == []
    folder.discard()


def test_a_file_that_breaks_off_leaves_nothing_and_does_not_count(place: Place, spool: Path) -> None:
    folder = OutputFolder(place.url, OWNER)
    with pytest.raises(ConnectionError), folder.file("a.csv") as writer:
        writer.write(b"half")
        raise ConnectionError("broken off")
    assert place.names() == []
    assert list(spool.iterdir()) == []
    assert folder.finish(summary(0), [], JOB) == []
    assert place.manifest()["parts"] == []


def test_nothing_is_made_before_the_first_record(place: Place) -> None:
    folder = OutputFolder(place.url, OWNER)
    assert folder.check() is None
    folder.discard()
    assert not place.folder.exists()


# --- an earlier job -----------------------------------------------------------------------------------------------


def test_an_earlier_job_of_this_task_is_replaced_with_all_its_parts(place: Place) -> None:
    deliver(place, *range(5), part_bytes=1, failed=FAILED)
    assert len(place.names()) == 7
    deliver(place, 10, 11)
    assert place.names() == ["_manifest.json", "part-00000.jsonl"]
    assert place.lines("part-00000.jsonl") == [{"n": 10}, {"n": 11}]
    assert place.manifest()["records"] == 2


def test_files_of_others_in_the_folder_are_left_alone(place: Place) -> None:
    place.write("notes.txt", b"mine")
    deliver(place, 1, 2, part_bytes=1)
    deliver(place, 3)
    assert place.read("notes.txt") == b"mine"
    assert place.names() == ["_manifest.json", "notes.txt", "part-00000.jsonl"]


def test_an_earlier_result_stays_until_the_new_one_is_complete(place: Place) -> None:
    deliver(place, 1, 2)
    folder = OutputFolder(place.url, OWNER, part_bytes=1)
    assert folder.check() is not None
    folder.add(record(3))
    folder.add(record(4))
    assert place.lines("part-00000.jsonl") == [{"n": 1}, {"n": 2}]
    folder.discard()
    assert place.names() == ["_manifest.json", "part-00000.jsonl"]
    assert place.manifest()["records"] == 2


def test_what_a_broken_off_finish_left_is_taken_away_by_the_next(tmp_path: Path) -> None:
    """A worker that dies while it gives names: what it named must not stay beside the next result."""
    place = Place(str(tmp_path / "out"))
    deliver(place, *range(5), part_bytes=1)
    (tmp_path / "out" / "part-00005.jsonl").mkdir()
    with pytest.raises(OSError, match="part-00005"):
        deliver(place, *range(20, 26), part_bytes=1)
    assert "_manifest.json" not in place.names()
    with pytest.raises(OutputConflictError):
        OutputFolder(place.url, OTHER).check()
    (tmp_path / "out" / "part-00005.jsonl").rmdir()
    deliver(place, 10)
    assert place.names() == ["_manifest.json", "part-00000.jsonl"]
    assert place.lines("part-00000.jsonl") == [{"n": 10}]


def test_temporary_files_of_a_killed_try_are_taken_away_by_the_next(place: Place) -> None:
    killed, other = OutputFolder(place.url, OWNER), OutputFolder(place.url, OTHER)
    for folder in (killed, other):
        with folder.file("a.csv") as writer:
            writer.write(b"x")
    deliver(place, 2)
    left = [name for name in place.names() if name.startswith("_tmp-")]
    assert len(left) == len(place.names()) - 2 == 1
    other.discard()
    assert place.names() == ["_manifest.json", "part-00000.jsonl"]


def test_a_folder_is_tried_before_anything_is_billed(place: Place, spool: Path) -> None:
    OutputFolder(place.url, OWNER).prepare()
    assert place.names() == []
    assert list(spool.iterdir()) == []


@pytest.mark.parametrize("path", ["file/out", "file"])
def test_a_folder_that_cannot_be_written_is_an_error_that_may_pass(tmp_path: Path, path: str) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputUnavailableError, match="cannot be written, nothing was started") as caught:
        OutputFolder(str(tmp_path / path), OWNER).prepare()
    assert not caught.value.permanent


def test_the_folder_of_another_task_is_refused_by_the_trial_too(place: Place) -> None:
    deliver(place, 1)
    with pytest.raises(OutputConflictError):
        OutputFolder(place.url, OTHER).prepare()
    assert place.names() == ["_manifest.json", "part-00000.jsonl"]


def test_a_record_of_several_lines_stays_one_line(place: Place) -> None:
    folder = OutputFolder(place.url, OWNER)
    folder.add(b'{\n  "n": 1\n}')
    folder.finish(summary(1), [], JOB)
    assert place.lines("part-00000.jsonl") == [{"n": 1}]


def test_the_manifest_of_the_earlier_job_is_given(place: Place) -> None:
    deliver(place, 1, 2)
    found = OutputFolder(place.url, dict(OWNER)).check()
    assert found is not None
    assert (found["job"]["job_id"], found["records"]) == ("abc", 2)


def test_the_folder_of_another_task_is_refused_before_anything_is_written(place: Place) -> None:
    deliver(place, 1, 2)
    folder = OutputFolder(place.url, OTHER)
    with pytest.raises(OutputConflictError) as caught:
        folder.check()
    text = str(caught.value)
    assert text.startswith(
        f"output_path {place.url} holds the result of another task instance (dag_id=d, run_id=r, task_id=t"
    )
    assert "{{ run_id }}" in text
    assert "{{ ti.map_index }}" in text
    assert caught.value.permanent


def test_a_task_that_was_overtaken_does_not_overwrite(place: Place, spool: Path) -> None:
    """Two mapped tasks with one folder by mistake: the second to finish fails and leaves the first's result."""
    folder = OutputFolder(place.url, OTHER)
    folder.check()
    folder.add(record(7))
    deliver(place, 1, 2)
    with pytest.raises(OutputConflictError):
        folder.finish(summary(1), [], JOB)
    folder.discard()
    assert place.names() == ["_manifest.json", "part-00000.jsonl"]
    assert place.lines("part-00000.jsonl") == [{"n": 1}, {"n": 2}]
    assert list(spool.iterdir()) == []


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"[]", b'"x"', b"not json", b"null", b'{"owner": null}', b'{"owner": "me"}']
)
def test_a_manifest_that_is_not_ours_is_never_overwritten(place: Place, content: bytes) -> None:
    place.write("_manifest.json", content)
    with pytest.raises(OutputConflictError, match=r"_manifest\.json|output_path"):
        OutputFolder(place.url, OWNER).check()
    assert place.read("_manifest.json") == content


# --- paths --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["", "  ", None, 5, ["a"], b"x"])
def test_a_path_that_is_none(path: Any) -> None:
    with pytest.raises(InvalidInputError, match="output_path must be a folder such as s3://bucket/folder, not"):
        OutputFolder(path, OWNER)


@pytest.mark.parametrize("path", ["nosuch://x/y", "memory://x/y"])
def test_a_storage_that_is_not_installed(path: str) -> None:
    """Noticed when the folder is named, not after the job was paid for."""
    with pytest.raises(InvalidInputError, match=f"output_path '{path}' cannot be used: .+"):
        OutputFolder(path, OWNER)


def test_paths_of_any_kind(tmp_path: Path) -> None:
    for number, path in enumerate([tmp_path / "a", f"{tmp_path}/b/", f"  file://{tmp_path}/c//  "]):
        folder = OutputFolder(path, OWNER)
        folder.add(record(number))
        [output] = folder.finish(summary(1), [], JOB)
        assert not output.endswith("//part-00000.jsonl")
    assert sorted(found.name for found in tmp_path.iterdir()) == ["a", "b", "c"]
    assert json.loads((tmp_path / "c" / "part-00000.jsonl").read_text()) == {"n": 2}
