"""The registry of the kill paths: which there are, and which stories play each.

A story is a generator as in `tests.airflow.stories`: it does something and yields what it waits for.

    @path(
        "S1",
        mode="sync",
        what="task marked failed while it waits in the worker",       # the path, as a user would say it
        happens="The job is cancelled at Airflow's next heartbeat.",  # the promise, for docs/guarantees.md
        state="failed",                                               # how the tasks of the story end
        each=[{"service": "firecrawl"}, {"service": "datafiniti"}],   # told once per entry; default: once
    )
    def marked_failed(stage, service):
        stage.hold()
        run = stage.start(service, way="sync")
        job = yield from stage.begun(run, "running")
        stage.ends(job)                       # a cancel of this job is right; any other cancel is a false one
        run.mark("failed")
        yield from stage.over(run, "failed")  # nothing runs any more, the task is over

Further stories of a row: `@also("S1", state=…)`. A row that another one's run answers:
`shared("D26", "D6", reason="…", mode=…, what=…, happens=…)`.

| argument | default | |
|---|---|---|
| `starts` | 1 | jobs that one telling rightly starts; more are duplicates, fewer a failure; `(0, 1)` is a range |
| `at_once` | 1 | jobs that may run at the same time; more are duplicates |
| `state` | | the tasks' last states: distinct, sorted, joined by `/`; `gone`: a deleted run; None: not judged |
| `scene` | "calm" | where the story plays: see `tests.system.scenes` |
| `early` | False | whether it begins before the others, because it waits for long |
| `each` | [{}] | parameters, one dict per telling |

What is judged beside the story's own checks, from the sandbox's record: jobs that still run when the story is over and
were not declared with `stage.leaves(job)` or `stage.keeps(job)` are a failure; what still runs after the scene's
`remote-jobs cleanup`, without `keeps`, is `left_after`; a kept job that was ended is a false cancel.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.airflow.stories import Telling

NUMBERED = {"S": 21, "G": 11, "D": 27, "E": 8, "R": 10, "H": 6, "C": 7}
IDS = [f"{letter}{number}" for letter, last in NUMBERED.items() for number in range(1, last + 1)]
IDS.insert(IDS.index("S6") + 1, "S6-last")
IDS += ["handed-over", "extract", "deployments"]
"""Every row of the table, in its order."""
MOST_SHARED = 15


@dataclass(frozen=True)
class Story:
    """One way of playing a path."""

    path: str
    name: str
    tell: Callable[..., Telling]
    parameters: dict[str, Any]
    fewest: int
    most: int
    at_once: int
    state: str | None
    scene: str
    early: bool


@dataclass
class Path:
    """A row of the table."""

    id: str
    mode: str = ""
    what: str = ""
    happens: str = ""
    shared_with: str | None = None
    reason: str | None = None
    by_hand: bool = False
    """Whether a story of it has a job whose id nobody has: see `SystemStage.nameless`."""
    stories: list[Story] = field(default_factory=list)

    @property
    def is_told(self) -> bool:
        """Whether somebody has described it, and it is played or shares another's run."""
        return bool(self.mode and self.what and self.happens and (self.stories or self.shared_with))


PATHS: dict[str, Path] = {name: Path(name) for name in IDS}


def path(
    id: str, *, mode: str, what: str, happens: str, by_hand: bool = False, **play: Any
) -> Callable[[Callable[..., Telling]], Any]:
    """Describe a row and make the decorated story the first that plays it; `play` is in the module's text."""
    _describe(id, mode, what, happens)
    PATHS[id].by_hand = by_hand
    return also(id, **play)


def also(
    id: str,
    *,
    state: str | None,
    starts: int | tuple[int, int] = 1,
    at_once: int = 1,
    scene: str = "calm",
    early: bool = False,
    each: Sequence[dict[str, Any]] = ({},),
) -> Callable[[Callable[..., Telling]], Any]:
    """Make the decorated story one that plays this row."""
    fewest, most = starts if isinstance(starts, tuple) else (starts, starts)

    def register(tell: Callable[..., Telling]) -> Callable[..., Telling]:
        for parameters in each:
            given = ",".join(str(value) for value in parameters.values())
            name = f"{id} {tell.__name__}" + (f"[{given}]" if given else "")
            PATHS[id].stories.append(Story(id, name, tell, parameters, fewest, most, at_once, state, scene, early))
        return tell

    return register


def shared(id: str, with_: str, *, reason: str, mode: str, what: str, happens: str) -> None:
    """Say that the run of another row answers this one too, and why."""
    _describe(id, mode, what, happens)
    if with_ not in PATHS or with_ == id:
        raise ValueError(f"{id} shares the run of {with_}, which is no other row")
    PATHS[id].shared_with, PATHS[id].reason = with_, reason


def _describe(id: str, mode: str, what: str, happens: str) -> None:
    row = PATHS[id]
    if row.mode:
        raise ValueError(f"{id} is described twice")
    row.mode, row.what, row.happens = mode, what, happens


def load() -> dict[str, Path]:
    """Import the modules that hold stories; return all rows."""
    from importlib import import_module
    from pathlib import Path as File

    for file in sorted(File(__file__).parent.glob("*_paths.py")):
        import_module(f"tests.system.{file.stem}")
    return PATHS
