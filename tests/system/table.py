"""What came of the paths: the table, its JSON, and the page in the docs."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path as File
from typing import Any

from tests.system.paths import IDS, Path
from tests.system.scenes import Verdict

KEYS = (
    "id", "shared_with", "reason", "starts", "left_before", "left_after", "false_cancels", "duplicates", "state", "ok",
)  # fmt: skip
NUMBERS = ("starts", "left_before", "left_after", "false_cancels", "duplicates")
HELD, AFTER_CLEANUP, BY_HAND, NOT_HELD = "held", "held, after cleanup", "held, by hand", "**not held**"
OUTCOMES = (HELD, AFTER_CLEANUP, BY_HAND, NOT_HELD)
PAGE_HEAD = """\
# What happens on each kill path

Written by `make system-test`, which plays every path on a real Airflow 3.3 (API server, scheduler, DAG processor and
two triggerers as separate processes, LocalExecutor) against the [sandbox](sandbox.md), and judges by the sandbox's own
record of starts and cancels. Do not edit it.

*Held* means: no job was left running without an owner, no healthy job was cancelled, none was started twice, and the
task ended as it should. *Held, after cleanup* means the same once `airflow remote-jobs cleanup` has run: no code of
this package runs at the moment of such a kill. *Held, by hand* means: nothing was started twice, but a job may run
whose id never arrived; the task's log and `remote-jobs list` name its start, and a person has to end it at the
service. How a cancel is sent is in [kill-behaviour.md](kill-behaviour.md).

| id | mode | path | what happens | outcome |
|---|---|---|---|---|
"""


def rows(paths: Mapping[str, Path], verdicts: Iterable[Verdict], ids: Sequence[str] = IDS) -> list[dict[str, Any]]:
    """Sum up the stories of each path; a path that nobody played is not ok."""
    found = list(verdicts)
    return [_row(paths, found, name) for name in ids]


def _row(paths: Mapping[str, Path], verdicts: list[Verdict], name: str) -> dict[str, Any]:
    row = paths[name]
    if row.shared_with is not None:
        return {
            **_row(paths, verdicts, row.shared_with),
            "id": name,
            "shared_with": row.shared_with,
            "reason": row.reason,
        }
    mine = [verdict for verdict in verdicts if verdict.story.path == name]
    states = sorted({state for verdict in mine for state in verdict.state.split("/") if state})
    played = bool(mine) and len(mine) == len(row.stories)
    return {
        "id": name,
        "shared_with": None,
        "reason": None,
        **{number: sum(getattr(verdict, number) for verdict in mine) for number in NUMBERS},
        "state": "/".join(states),
        "ok": played and all(verdict.ok for verdict in mine),
    }


def needed(paths: Mapping[str, Path], ids: Iterable[str]) -> list[str]:
    """Return the ids that must be played to judge these."""
    return sorted({paths[name].shared_with or name for name in ids}, key=IDS.index)


def printed(table: Sequence[dict[str, Any]]) -> str:
    """Return the table as text."""
    lines = [f"{'id':12}{'with':6}{'starts':>7}{'before':>7}{'after':>6}{'false':>6}{'twice':>6}  {'ok':4}state"]
    for row in table:
        numbers = "".join(f"{row[name]:>{width}}" for name, width in zip(NUMBERS, (7, 7, 6, 6, 6), strict=True))
        lines.append(
            f"{row['id']:12}{row['shared_with'] or '':6}{numbers}  {'ok' if row['ok'] else 'BAD':4}{row['state']}"
        )
    bad = [row["id"] for row in table if not row["ok"]]
    lines.append(f"{len(table)} rows, {len(table) - len(bad)} held" + (f", not: {' '.join(bad)}" if bad else ""))
    return "\n".join(lines)


def write_json(table: Sequence[dict[str, Any]], file: File) -> None:
    """Write the table, one object per row."""
    file.parent.mkdir(parents=True, exist_ok=True)
    # S6 has two rows: a try is left, or none.
    named = [{**row, "id": row["id"].removesuffix("-last")} for row in table]
    lines = ",\n".join(json.dumps({key: row[key] for key in KEYS}) for row in named)
    file.write_text(f"[\n{lines}\n]\n")


def page(paths: Mapping[str, Path], table: Sequence[dict[str, Any]]) -> str:
    """Return the page of the docs: nothing in it changes from run to run as long as the promises hold."""
    lines = []
    for row in table:
        described = paths[row["id"]]
        cells = (row["id"], described.mode, described.what, described.happens, _outcome(row, described))
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return PAGE_HEAD + "\n".join(lines) + "\n"


def _outcome(row: Mapping[str, Any], described: Path) -> str:
    if not row["ok"]:
        told = NOT_HELD
    elif described.by_hand:
        told = BY_HAND
    else:
        told = AFTER_CLEANUP if row["left_before"] else HELD
    return f"{told} (as {row['shared_with']}: {row['reason']})" if row["shared_with"] else told
