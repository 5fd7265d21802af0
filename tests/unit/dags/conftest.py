"""The Dags read as Airflow reads them, with a home folder of the tests' own.

Airflow reads its environment when it is first imported, so tests here import it, and what imports it, inside.
"""

from __future__ import annotations

import secrets
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
for folder in ("dags", "plugins"):
    if str(ROOT / folder) not in sys.path:
        sys.path.insert(0, str(ROOT / folder))


@pytest.fixture(scope="package", autouse=True)
def _airflow_home(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRFLOW_HOME", str(tmp_path_factory.mktemp("airflow")))
        patch.setenv("AIRFLOW__CORE__DAGS_FOLDER", str(ROOT / "dags"))
        patch.setenv("AIRFLOW__CORE__PLUGINS_FOLDER", str(ROOT / "plugins"))
        patch.setenv("AIRFLOW__CORE__LOAD_EXAMPLES", "False")
        # The one that Airflow makes up when there is none is shorter than its own library asks for.
        patch.setenv("AIRFLOW__API_AUTH__JWT_SECRET", secrets.token_hex(64))
        yield


@pytest.fixture(scope="package")
def dags(_airflow_home):
    """Every Dag by its id, and the errors of files that could not be imported."""
    from airflow.dag_processing.dagbag import DagBag

    bag = DagBag(dag_folder=str(ROOT / "dags"), bundle_path=ROOT / "dags")
    assert bag.import_errors == {}
    return bag.dags
