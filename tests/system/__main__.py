"""Play the kill paths: `python -m tests.system` all of them, `python -m tests.system S1 D2` these."""

import os
import sys
import time
from pathlib import Path

os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1,localhost"

from tests.support.cluster import AirflowCluster
from tests.system import table
from tests.system.paths import IDS, load
from tests.system.scenes import Director, Verdict, plan

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build"
PAGE = ROOT / "docs" / "guarantees.md"
DAGS = [ROOT / "tests" / "airflow" / "dags", ROOT / "tests" / "system" / "dags"]

# Clocks beside those that the test bed shortens, and room for many stories at a time.
SETTINGS = {
    "TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "10",
    "TRIGGERER__RUNNER_HEALTH_CHECK_THRESHOLD": "10",
    "TRIGGERER__MAX_TRIGGER_TO_SELECT_PER_LOOP": "10",
    "CORE__TASK_SUCCESS_OVERTIME": "6",
    "WORKERS__MIN_HEARTBEAT_INTERVAL": "5",  # the default: what falls between two heartbeats is a path of its own
    "CORE__MIN_SERIALIZED_DAG_UPDATE_INTERVAL": "0",
    "CORE__MIN_SERIALIZED_DAG_FETCH_INTERVAL": "1",
    "CORE__PARALLELISM": "32",
    "CORE__MAX_ACTIVE_TASKS_PER_DAG": "64",
    "CORE__MAX_ACTIVE_RUNS_PER_DAG": "64",
}


def main(asked: list[str]) -> int:
    paths = load()
    if unknown := [name for name in asked if name not in paths]:
        print(f"no such path: {' '.join(unknown)}; there are {' '.join(IDS)}", file=sys.stderr)
        return 2
    ids = [name for name in IDS if name in asked] if asked else IDS
    wanted = set(table.needed(paths, ids))
    stories = [story for name in IDS if name in wanted for story in paths[name].stories]
    began = time.monotonic()

    def say(line: str) -> None:
        print(f"{time.monotonic() - began:6.0f}  {line}", flush=True)

    verdicts: list[Verdict] = []
    env = {f"AIRFLOW__{name}": value for name, value in SETTINGS.items()}
    with AirflowCluster(dags=[folder for folder in DAGS if folder.is_dir()], env=env, triggerers=2) as airflow:
        say(f"Airflow runs ({airflow.start_seconds:.0f} s); {len(stories)} stories")
        for scene, of_scene in plan(stories):
            say(f"--- {scene.name}: {len(of_scene)} stories")
            verdicts += judge(Director(airflow, scene, say).play(of_scene), say)
    found = table.rows(paths, verdicts, ids)
    print(table.printed(found))
    table.write_json(found, BUILD / "kill-table.json")
    if ids == IDS:
        PAGE.write_text(table.page(paths, found))
    say("over")
    return 0 if all(row["ok"] for row in found) else 1


def judge(verdicts: list[Verdict], say: object) -> list[Verdict]:
    """Print what did not hold, with all that is known about it."""
    BUILD.mkdir(exist_ok=True)
    with (BUILD / "kill-problems.txt").open("a") as file:
        for verdict in verdicts:
            if verdict.ok:
                continue
            numbers = " ".join(f"{name}={getattr(verdict, name)}" for name in table.NUMBERS)
            head = f"BAD {verdict.story.name}: {numbers} state={verdict.state}"
            print(head, *[f"    {problem.splitlines()[0]}" for problem in verdict.problems[:4]], sep="\n", flush=True)
            print(head, *verdict.problems, "", sep="\n", file=file, flush=True)
    return verdicts


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
