"""One world for all fault tests of a session."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from fault.world import World, world


@pytest.fixture(scope="session")
def the_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world(tmp_path_factory.mktemp("fault")) as made:
        yield made
