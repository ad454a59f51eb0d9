from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.airflow.stories import Player, Stage
from tests.support.cluster import AirflowCluster


@pytest.fixture(scope="module")
def told(request: pytest.FixtureRequest, airflow: AirflowCluster) -> Callable[[str], None]:
    """Play all selected stories of the module at once; return a function that tells how one of them ended."""
    items: list[Any] = [item for item in request.session.items if item.fspath == request.node.fspath]
    stories = [
        (item.name, item.function.story, dict(item.callspec.params) if hasattr(item, "callspec") else {})
        for item in items
        if hasattr(item.function, "story")
    ]
    player = Player(lambda name: Stage(airflow, name))
    player.play(stories)
    print(*player.notes, sep="\n")

    def told(name: str) -> None:
        if name in player.failures:
            raise player.failures[name]

    return told
