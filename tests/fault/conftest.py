"""One world for all fault tests of a session, whole again before every test, and a report when one is asked for."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fault.report import read_history, write_report
from fault.world import World, world

SEED_VARIABLE = "FEEDLINE_FAULT_SEED"
REPORT_VARIABLE = "FEEDLINE_FAULT_REPORT"


def pytest_report_header() -> str:
    return f"seed of the faults: {_seed()} (${SEED_VARIABLE})"


def _seed() -> int:
    return int(os.environ.get(SEED_VARIABLE, "1"))


@pytest.fixture
def seed() -> int:
    return _seed()


@pytest.fixture(scope="session")
def _one_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world(tmp_path_factory.mktemp("fault")) as made:
        yield made
        told = [read_history(name, folder) for name, folder in made.runs]
        if told and REPORT_VARIABLE in os.environ:
            write_report(told, Path(os.environ[REPORT_VARIABLE]) / time.strftime("%Y%m%d-%H%M%S", time.gmtime()))


@pytest.fixture
def the_world(_one_world: World) -> Iterator[World]:
    yield _one_world
    _one_world.mend()
