"""How the local Airflow is set up."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from feedline.local.airflow import AirflowConfig, airflow_environment, airflow_login
from feedline.local.warehouse import WarehouseConfig, connection_arguments


@pytest.fixture
def config(tmp_path):
    warehouse = WarehouseConfig(folder=tmp_path / "warehouse", log=tmp_path / "log", port=3)
    return AirflowConfig(
        folder=tmp_path / "airflow",
        log=tmp_path / "log",
        port=1,
        project=Path("/project"),
        settings_file=tmp_path / "settings.json",
        bootstrap="127.0.0.1:2",
        registry_url="http://127.0.0.1:4/apis/ccompat/v7",
        warehouse=connection_arguments(warehouse),
    )


def test_the_login_is_made_up_once_and_only_its_owner_reads_it(tmp_path):
    login = airflow_login(tmp_path)
    assert airflow_login(tmp_path) == login
    assert airflow_login(tmp_path / "other")[1] != login[1]
    assert stat.S_IMODE((tmp_path / "passwords.json").stat().st_mode) == 0o600


def test_the_dags_find_their_connections(config):
    environment = airflow_environment(config)
    kafka = json.loads(environment["AIRFLOW_CONN_FEEDLINE_KAFKA"])
    assert kafka == {"conn_type": "kafka", "extra": {"bootstrap.servers": "127.0.0.1:2"}}
    snowflake = json.loads(environment["AIRFLOW_CONN_FEEDLINE_SNOWFLAKE"])
    assert snowflake["extra"]["port"] == 3
    assert not {"user", "password"} & set(snowflake["extra"])
    assert json.loads(environment["AIRFLOW_CONN_FEEDLINE_REGISTRY"])["host"] == config.registry_url
    assert environment["FEEDLINE_SETTINGS"] == str(config.settings_file)


def test_airflow_reports_to_nobody(config):
    environment = airflow_environment(config)
    assert environment["AIRFLOW__USAGE_DATA_COLLECTION__ENABLED"] == "False"


def test_the_warehouse_password_is_in_no_repr(config):
    assert config.warehouse["password"] not in repr(config)
