"""Warehouses, roles and grants: the statements, and the reading of what there is.

The account here is a STAND-IN of this test: no other stand-in for Snowflake has roles, warehouses of one's own or
grants. It understands the statements that are made here, word for word, and answers SHOW with the columns of
Snowflake's documentation.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from feedline.catalog import load_catalog
from feedline.errors import ConfigurationError
from feedline.provisioning.account import Account, Compute, Grant, account_there, read_account
from feedline.provisioning.apply import apply
from feedline.provisioning.desired import read_desired
from feedline.provisioning.drift import drift
from feedline.provisioning.plan import Risk, plan
from feedline.provisioning.state import Actual, Desired, Part
from feedline.settings import Settings

DECLARED = """
warehouses: {FEEDLINE_LOAD: {size: SMALL, auto_suspend_s: 120}}
roles:
  feedline_loader:
    to: [sysadmin, user feedline_airflow]
    may: ["USAGE on warehouse FEEDLINE_LOAD", "usage on database feedline",
          "SELECT, INSERT on tables in schema FEEDLINE.IHUB"]
"""


class StandInAccount:
    """An account in memory, spoken to through the connector's calls."""

    def __init__(self, tables=()):
        self.tables, self.warehouses, self.roles = list(tables), {}, []
        self.direct, self.future, self.holders, self.made = set(), set(), set(), []
        self.description, self._rows = [], []

    def cursor(self):
        return self

    def execute(self, text):
        for pattern, answer in self._ANSWERS:
            found = re.fullmatch(pattern, text)
            if found:
                columns, rows = answer(self, **found.groupdict())
                self.description = [SimpleNamespace(name=name) for name in columns]
                self._rows = rows
                return self
        raise AssertionError(f"the stand-in does not know {text}")

    def fetchall(self):
        return self._rows

    def _show_warehouses(self):
        shown = {"XSMALL": "X-Small", "SMALL": "Small", "XXLARGE": "2X-Large"}
        rows = [(name, "STARTED", shown[size], seconds) for name, (size, seconds) in self.warehouses.items()]
        return ("name", "state", "size", "auto_suspend"), rows

    def _create_warehouse(self, name, size, seconds):
        self.warehouses.setdefault(name, (size, int(seconds)))
        return (), []

    def _alter_warehouse(self, name, size, seconds):
        self.warehouses[name] = (size, int(seconds))
        return (), []

    def _show_roles(self):
        return ("created_on", "name"), [(None, name) for name in self.roles]

    def _create_role(self, name):
        self.roles.append(name)
        return (), []

    def _grant(self, privilege, kind, name, role):
        self.direct.add((role, privilege, kind, name.replace('"', "")))
        return (), []

    def _grant_all(self, privilege, schema, role):
        self.direct |= {(role, privilege, "TABLE", f"{schema.replace(chr(34), '')}.{table}") for table in self.tables}
        return (), []

    def _grant_future(self, privilege, schema, role):
        self.future.add((role, privilege, schema.replace('"', "")))
        return (), []

    def _give(self, role, kind, name):
        self.holders.add((role, kind, name))
        return (), []

    def _show_direct(self, role):
        rows = [(privilege, kind, name) for r, privilege, kind, name in self.direct if r == role]
        return ("privilege", "granted_on", "name"), rows

    def _show_future(self, role):
        rows = [(privilege, "TABLE", f"{schema}.<TABLE>") for r, privilege, schema in self.future if r == role]
        return ("privilege", "grant_on", "name"), rows

    def _show_holders(self, role):
        return ("role", "granted_to", "grantee_name"), [one for one in self.holders if one[0] == role]

    def _show_tables(self):
        return ("created_on", "name"), [(None, table) for table in self.tables]

    _SIZE = r"WAREHOUSE_SIZE = '(?P<size>\w+)' AUTO_SUSPEND = (?P<seconds>\d+)"
    _ROLE = r'TO ROLE "(?P<role>\w+)"'
    _ANSWERS = (
        ("SHOW WAREHOUSES", _show_warehouses),
        (
            (
                rf'CREATE WAREHOUSE IF NOT EXISTS "(?P<name>\w+)" WITH {_SIZE} AUTO_RESUME = TRUE '
                "INITIALLY_SUSPENDED = TRUE"
            ),
            _create_warehouse,
        ),
        (rf'ALTER WAREHOUSE "(?P<name>\w+)" SET {_SIZE}', _alter_warehouse),
        ("SHOW ROLES", _show_roles),
        (r'CREATE ROLE IF NOT EXISTS "(?P<name>\w+)"', _create_role),
        (rf'GRANT (?P<privilege>\w+) ON (?P<kind>WAREHOUSE|DATABASE) (?P<name>"\w+") {_ROLE}', _grant),
        (rf'GRANT (?P<privilege>\w+) ON ALL TABLES IN SCHEMA (?P<schema>[\w".]+) {_ROLE}', _grant_all),
        (rf'GRANT (?P<privilege>\w+) ON FUTURE TABLES IN SCHEMA (?P<schema>[\w".]+) {_ROLE}', _grant_future),
        (r'GRANT ROLE "(?P<role>\w+)" TO (?P<kind>ROLE|USER) "(?P<name>\w+)"', _give),
        (r'SHOW GRANTS TO ROLE "(?P<role>\w+)"', _show_direct),
        (r'SHOW FUTURE GRANTS TO ROLE "(?P<role>\w+)"', _show_future),
        (r'SHOW GRANTS OF ROLE "(?P<role>\w+)"', _show_holders),
        (r'SHOW TABLES IN SCHEMA "FEEDLINE"."IHUB"', _show_tables),
    )


class System:
    """The account planned for and changed."""

    def __init__(self, account, text=DECLARED):
        self.account = account
        self.wanted = Desired(account=read_account(yaml.safe_load(text)), control_tables=False)

    def plan(self):
        return plan(self.wanted, Actual("c", account=account_there(self.account, self.wanted.account)), [Part.ACCOUNT])

    def perform(self, changes):
        for statement in (statement for one in changes for statement in one.after):
            self.account.execute(statement)


def test_what_is_declared_is_made_in_order_and_once(tmp_path):
    system = System(StandInAccount(["ACCOUNTS", "POSITIONS"]))
    found = system.plan()
    assert [one.target for one in found.changes] == [
        "warehouse FEEDLINE_LOAD", "role FEEDLINE_LOADER",
        "FEEDLINE_LOADER may INSERT on tables in schema FEEDLINE.IHUB",
        "role SYSADMIN has FEEDLINE_LOADER", "user FEEDLINE_AIRFLOW has FEEDLINE_LOADER",
        "FEEDLINE_LOADER may SELECT on tables in schema FEEDLINE.IHUB",
        "FEEDLINE_LOADER may USAGE on database FEEDLINE", "FEEDLINE_LOADER may USAGE on warehouse FEEDLINE_LOAD",
    ]  # fmt: skip
    apply(found, system, tmp_path / "journal")
    assert system.plan().changes == ()
    assert apply(system.plan(), system, tmp_path / "journal") == []


def test_a_table_that_was_made_without_the_grant_is_drift(tmp_path):
    system = System(StandInAccount(["ACCOUNTS"]))
    apply(system.plan(), system, tmp_path / "journal")
    system.account.tables.append("LATER")
    assert [line for line in drift(system.plan()) if "SELECT" in line] == [
        "account FEEDLINE_LOADER may SELECT on tables in schema FEEDLINE.IHUB: not as declared, needs `run`"
    ]
    apply(system.plan(), system, tmp_path / "journal")
    assert system.plan().changes == ()


def test_a_warehouse_that_somebody_made_larger_is_drift_and_is_put_back(tmp_path):
    system = System(StandInAccount())
    apply(system.plan(), system, tmp_path / "journal")
    system.account.warehouses["FEEDLINE_LOAD"] = ("XXLARGE", 120)
    [change] = system.plan().changes
    assert (change.risk, change.before["size"]) == (Risk.CAUTION, "XXLARGE")
    apply(system.plan(), system, tmp_path / "journal")
    assert system.account.warehouses == {"FEEDLINE_LOAD": ("SMALL", 120)}


@pytest.mark.parametrize(
    "text",
    [
        "{roles: {R: {may: ['everything']}}}",
        "{roles: {R: {may: ['USAGE on warehouse W; DROP TABLE T']}}}",
        "{roles: {'R\"; DROP': {}}}",
        "{roles: {R: {to: ['group G']}}}",
        "{roles: {R: {rights: []}}}",
        "{warehouses: {W: {size: HUGE}}}",
        "{warehouses: {W: {auto_suspend_s: 0}}}",
        "{users: {}}",
    ],
)
def test_what_is_no_account_is_refused(text):
    with pytest.raises(ConfigurationError):
        read_account(yaml.safe_load(text))


def test_the_stand_in_of_the_local_stack_is_not_asked_for_what_it_lacks(tmp_path):
    file = tmp_path / "provisioning.yaml"
    file.write_text(yaml.safe_dump({"account": yaml.safe_load(DECLARED)}))
    real = Settings(kafka={}, registry={}, warehouse={"account": "a"}, landing=Path("landing"))
    local = replace(real, warehouse={"session_parameters": {"FAKESNOW_DB_PATH": "/tmp/x"}})
    found = read_desired(real, load_catalog(), file).account
    assert found.warehouses == {"FEEDLINE_LOAD": Compute("SMALL", 120)}
    assert Grant("FEEDLINE_LOADER", "INSERT", "TABLES IN SCHEMA", "FEEDLINE.IHUB") in found.grants
    left_out = read_desired(local, load_catalog(), file)
    assert left_out.account == Account()
    assert "stand-in" in left_out.notes[-1]
