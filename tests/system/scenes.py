"""Scenes: what happens to the components of Airflow while stories play.

In the scene "calm" nothing does; its stories play side by side. Every other scene has acts that disturb all of its
stories. A story goes as far as it needs to and waits:

    yield stage.cue("scheduler killed")

When all stories of the scene wait for a cue or are over, the scene performs its next act, and those that waited for it
go on. A story need not wait for every act, and may do things between two. Nothing but Airflow's own wish stops a scene
from having one more story, so paths that need the same act share a scene.

A scene is defined in any module that holds stories:

    def kill(airflow, stages):
        airflow.kill("scheduler")

    def start(airflow, stages):
        airflow.start("scheduler")

    scene("scheduler restarts", ("scheduler killed", kill), ("scheduler started", start))

After its last story, a scene starts what is not running and runs `remote-jobs cleanup` once; then all are judged.
"""

import datetime as dt
import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from tests.airflow.stories import Playing
from tests.support.cluster import AirflowCluster
from tests.support.waiting import wait_until
from tests.system.paths import Story
from tests.system.stage import Cue, SystemStage

AT_ONCE = 10
"""Stories on their way at the same time: every task that starts costs seconds of a CPU."""
PAUSE = 0.2
CLEANUP = ("remote-jobs", "cleanup", "--older-than", "1s")

Act = Callable[[AirflowCluster, Sequence[SystemStage]], None]


@dataclass(frozen=True)
class Scene:
    """A name, and what is done to Airflow, in this order."""

    name: str
    acts: tuple[tuple[str, Act], ...] = ()


SCENES: dict[str, Scene] = {"calm": Scene("calm")}


def scene(name: str, *acts: tuple[str, Act]) -> None:
    """Define a scene."""
    if name in SCENES:
        raise ValueError(f"the scene '{name}' is there already")
    SCENES[name] = Scene(name, acts)


@dataclass
class Verdict:
    """What came of a story."""

    story: Story
    seconds: float = 0.0
    starts: int = 0
    left_before: int = 0
    left_after: int = 0
    false_cancels: int = 0
    duplicates: int = 0
    state: str = ""
    problems: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether the path held what is promised."""
        return not (self.problems or self.left_after or self.false_cancels or self.duplicates)


class Director:
    """Plays a scene."""

    def __init__(self, airflow: AirflowCluster, scene: Scene, say: Callable[[str], None]) -> None:
        """Prepare a scene.

        :param say: is given a line about what happens
        """
        self._airflow, self._scene, self._say = airflow, scene, say
        self._acted: set[str] = set()
        self._stages: dict[str, SystemStage] = {}

    def play(self, stories: Sequence[Story]) -> list[Verdict]:
        """Play all stories to their end, clean up, and judge them."""
        verdicts = {story.name: Verdict(story) for story in stories}
        if len(verdicts) != len(stories):
            raise ValueError(f"two stories of the scene '{self._scene.name}' have the same name")
        try:
            self._perform(stories, verdicts)
            self._heal()
            self._clean_up(verdicts)
        except Exception as error:  # an act went wrong: the other scenes shall play
            self._say(f"--- {self._scene.name}: broken: {str(error).splitlines()[0]}")
            for verdict in verdicts.values():
                verdict.problems.append(f"the scene is broken: {error}")
        finally:
            for stage in self._stages.values():
                stage.end_runs()
            with ThreadPoolExecutor(8) as closing:  # a sandbox takes a second to close
                list(closing.map(SystemStage.close, self._stages.values()))
        return list(verdicts.values())

    def _perform(self, stories: Sequence[Story], verdicts: dict[str, Verdict]) -> None:
        waiting, active = list(stories), list[Playing]()
        acts = list(self._scene.acts)
        while waiting or active:
            while waiting and sum(not _at_cue(playing) for playing in active) < AT_ONCE:
                story = waiting.pop(0)
                stage = SystemStage(self._airflow, story.name, self._acted.__contains__)
                self._stages[story.name] = stage
                active.append(Playing(story.name, story.tell, story.parameters, stage))
            active = [playing for playing in active if not self._step(playing, verdicts[playing.name])]
            if active and not waiting and all(_at_cue(playing) for playing in active):
                if not acts:
                    raise AssertionError(f"'{self._scene.name}' has no act {[p.waits_for for p in active]}")
                name, act = acts.pop(0)
                self._say(f"--- {self._scene.name}: {name}")
                act(self._airflow, [playing.stage for playing in active])
                self._acted.add(name)
            time.sleep(PAUSE)

    def _step(self, playing: Playing, verdict: Verdict) -> bool:
        """Take a story as far as it goes now; tell whether it is over."""
        try:
            playing.go_on()
            return False
        except StopIteration:
            pass
        except Exception as error:  # whatever it is, the other stories go on
            verdict.problems.append(_told(error))
        verdict.seconds = time.monotonic() - playing.began
        self._look(playing.stage, verdict)
        mark = "FAILED " if verdict.problems else ""
        acts = playing.stage.measured()
        self._say(
            f"{verdict.seconds:6.1f} s {mark}{playing.name}" + (f"; from act to DELETE: {acts} s" if acts else "")
        )
        if verdict.problems:
            verdict.problems.append(_explained(playing.stage))
        return True

    def _look(self, stage: SystemStage, verdict: Verdict) -> None:
        """Read the sandbox's record at the end of a story."""
        story = verdict.story
        verdict.starts, verdict.left_before = len(stage.jobs()), len(stage.left())
        verdict.duplicates = max(0, verdict.starts - story.most) + max(0, stage.most_at_once() - story.at_once)
        if verdict.starts < story.fewest:
            verdict.problems.append(f"{verdict.starts} jobs were started, not {story.fewest}")
        if left := stage.left_undeclared():
            verdict.problems.append(f"still running: {left}")
        try:
            verdict.state = stage.states()
        except Exception as error:
            verdict.problems.append(f"the tasks' states: {_told(error)}")
        if story.state is not None and verdict.state != story.state:
            verdict.problems.append(f"the tasks are {verdict.state}, not {story.state}")

    def _heal(self) -> None:
        """Start what an act has left stopped."""
        for name in self._airflow.names:
            if name not in self._airflow.pids:
                self._say(f"--- {self._scene.name}: {name} starts again")
                self._airflow.start(name)

    def _clean_up(self, verdicts: dict[str, Verdict]) -> None:
        answer = self._airflow.cli(*CLEANUP)
        last = (answer.stdout + answer.stderr).strip().splitlines()[-1:]
        self._say(f"--- {self._scene.name}: cleanup ended with {answer.returncode} {' '.join(last)[:200]}")
        for name, verdict in verdicts.items():
            stage = self._stages[name]
            try:
                stage.by_hand()
            except Exception as error:
                verdict.problems.append(_told(error))
            verdict.left_after = len(stage.left())
            verdict.false_cancels = len(stage.false_cancels())
            if lost := stage.lost():
                verdict.problems.append(f"had to run on, and does not: {lost}")
            if not verdict.ok and not verdict.problems:
                verdict.problems.append(_explained(stage))


def stop_scheduler(airflow: AirflowCluster, stages: Sequence[SystemStage] = ()) -> None:
    """SIGSTOP to the scheduler, at a moment in which it holds no lock in the database: others must be able to work."""
    scheduler = airflow.pids["scheduler"]
    held = "SELECT count(*) FROM pg_stat_activity WHERE state = 'idle in transaction' AND state_change < now() - %s"

    def stopped() -> bool:
        os.kill(scheduler, signal.SIGSTOP)
        time.sleep(0.5)
        if airflow.sql(held, (dt.timedelta(seconds=0.3),))[0][0] == 0:
            return True
        os.kill(scheduler, signal.SIGCONT)
        return False

    wait_until(stopped, 60, "the scheduler to hold no lock", interval=0.17)


def kill_scheduler(airflow: AirflowCluster, stages: Sequence[SystemStage] = ()) -> None:
    """SIGKILL to the scheduler alone. Its workers hold its database connections open: hence between transactions."""
    stop_scheduler(airflow)
    airflow.kill("scheduler")


def plan(stories: Sequence[Story]) -> Iterator[tuple[Scene, list[Story]]]:
    """Yield each scene that is needed, with its stories."""
    unknown = {story.scene for story in stories} - set(SCENES)
    if unknown:
        raise ValueError(f"there is no scene {', '.join(sorted(unknown))}")
    for name, found in SCENES.items():
        of_scene = sorted((story for story in stories if story.scene == name), key=lambda story: not story.early)
        if of_scene:
            yield found, of_scene


def _at_cue(playing: Playing) -> bool:
    return isinstance(playing.waits_for, Cue)


def _told(error: Exception) -> str:
    import traceback

    where = [frame for frame in traceback.extract_tb(error.__traceback__) if "/tests/system/" in frame.filename]
    places = " < ".join(f"{frame.filename.rpartition('/')[2]}:{frame.lineno}" for frame in reversed(where[-2:]))
    return f"{type(error).__name__}: {error} ({places})"


def _explained(stage: SystemStage) -> str:
    try:
        return stage.explain()
    except Exception as error:
        return f"(nothing more is known: {error})"
