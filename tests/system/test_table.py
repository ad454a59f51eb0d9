"""The registry and the page are complete: checked without playing anything."""

import json
from pathlib import Path

import pytest

from tests.system import table
from tests.system.paths import IDS, MOST_SHARED, PATHS, Story, load
from tests.system.scenes import SCENES, Verdict

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def paths():
    return load()


def test_the_numbers_of_the_paths():
    assert len(IDS) == len(set(IDS)) == 90 + 1 + 3  # one row more for S6, two about the record, and the extract
    assert IDS[5:8] == ["S6", "S6-last", "S7"]


def test_every_path_is_told(paths):
    assert [name for name in IDS if not paths[name].is_told] == []


def test_few_paths_share_a_run_and_say_why(paths):
    shared = [row for row in paths.values() if row.shared_with is not None]
    assert len(shared) <= MOST_SHARED
    for row in shared:
        assert row.reason
        assert not row.stories, f"{row.id} has stories of its own"
        assert paths[row.shared_with].stories, f"{row.id} shares the run of {row.shared_with}, which is not played"


def test_every_story_has_a_scene_and_a_name_of_its_own(paths):
    stories = [story for row in paths.values() for story in row.stories]
    assert {story.scene for story in stories} <= set(SCENES)
    names = [story.name for story in stories]
    assert sorted(names) == sorted(set(names))


def test_the_page_tells_the_same_paths(paths):
    """`make system-test` writes the page, with the outcomes."""
    lines = (ROOT / "docs" / "guarantees.md").read_text().splitlines()
    told = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| ")]
    known = [[row.id, row.mode, row.what, row.happens] for row in (paths[name] for name in IDS)]
    assert [cells[:4] for cells in told[1:]] == known
    assert {cells[4].partition(" (as ")[0] for cells in told[1:]} <= {*table.OUTCOMES}


def verdict(path: str, **found) -> Verdict:
    story = Story(path, f"{path} told", lambda: None, {}, 1, 1, 1, "failed", "calm", False)
    return Verdict(story, starts=1, state="failed", **found)


def row_of(*verdicts: Verdict, name: str = "S1") -> dict:
    known = {"S1": PATHS["S1"].__class__("S1", stories=[v.story for v in verdicts])}
    return table.rows(known, verdicts, [name])[0]


@pytest.mark.parametrize(
    "found", [{"left_after": 1}, {"false_cancels": 1}, {"duplicates": 1}, {"problems": ["a check failed"]}]
)
def test_one_bad_story_makes_a_row_bad(found):
    assert row_of(verdict("S1"), verdict("S1"))["ok"]
    assert not row_of(verdict("S1"), verdict("S1", **found))["ok"]


def test_a_path_that_nobody_played_is_bad():
    assert not row_of()["ok"]


def test_numbers_are_summed():
    row = row_of(verdict("S1", left_before=1), verdict("S1", left_before=1))
    assert (row["starts"], row["left_before"], row["left_after"], row["state"]) == (2, 2, 0, "failed")


def test_the_json_has_exactly_these_keys(tmp_path):
    table.write_json([row_of(verdict("S1"))], tmp_path / "build" / "kill-table.json")
    (found,) = json.loads((tmp_path / "build" / "kill-table.json").read_text())
    table.write_json([{**found, "id": name} for name in ("S6", "S6-last")], tmp_path / "two.json")
    assert [row["id"] for row in json.loads((tmp_path / "two.json").read_text())] == ["S6", "S6"]
    assert list(found) == [
        "id", "shared_with", "reason", "starts", "left_before", "left_after", "false_cancels", "duplicates", "state",
        "ok",
    ]  # fmt: skip
