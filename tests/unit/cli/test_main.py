"""The command line as a whole."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

import click
import pytest
from click.testing import CliRunner

from feedline.cli import main as main_group
from feedline.cli import output
from feedline.errors import BrokerUnavailableError, ConfigurationError, ValidationFailedError

main = importlib.import_module("feedline.cli.main")


@pytest.fixture
def failing(monkeypatch):
    """Makes `feedline feeds` raise an error."""

    def install(error):
        @click.command()
        def command():
            raise error

        monkeypatch.setattr(main_group, "_lazy", {"feeds": ("tests_fake:command", "Fails.")})
        monkeypatch.setitem(sys.modules, "tests_fake", type(sys)("tests_fake"))
        sys.modules["tests_fake"].command = command

    return install


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigurationError("wrong"), 1),
        (BrokerUnavailableError("no broker"), 3),
        (ValidationFailedError("one row too many"), 4),
    ],
)
def test_an_error_is_one_line_and_its_exit_code(failing, error, code):
    failing(error)
    result = CliRunner().invoke(main_group, ["feeds"])
    assert result.exit_code == code
    assert result.stderr == f"feedline: {error.reason}\n"
    assert result.stdout == ""


def test_the_line_of_an_error_names_the_place(failing):
    failing(ConfigurationError("two\nlines", feed="positions", file="a.jsonl", line=3))
    assert CliRunner().invoke(main_group, ["feeds"]).stderr == (
        "feedline: two lines [feed=positions, file=a.jsonl, line=3]\n"
    )


def test_debug_shows_the_trace(failing):
    failing(ConfigurationError("wrong"))
    assert isinstance(CliRunner().invoke(main_group, ["--debug", "feeds"]).exception, ConfigurationError)


def test_an_unknown_command_is_a_wrong_call():
    assert CliRunner().invoke(main_group, ["feed"]).exit_code == 2


def test_a_missing_package_of_one_command_names_the_package(monkeypatch):
    monkeypatch.setattr(main_group, "_lazy", {"feeds": ("no_such_package.cli:feeds", "")})
    result = CliRunner().invoke(main_group, ["feeds"])
    assert result.exit_code == 1
    assert "`feedline feeds` needs the package 'no_such_package'" in result.stderr


def test_help_imports_no_command():
    code = (
        "import sys; from click.testing import CliRunner; from feedline.cli import main; "
        "r = CliRunner().invoke(main, ['--help']); assert r.exit_code == 0, r; "
        "print({'pyarrow', 'snowflake.connector', 'numba', 'airflow', 'feedline.cli.stack'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


@pytest.mark.parametrize("name", main.COMMANDS)
def test_every_command_and_subcommand_explains_itself_with_an_example(name):
    command = main_group.get_command(click.Context(main_group), name)
    commands = list(command.commands.values()) if isinstance(command, click.Group) else [command]
    for each in commands:
        assert each.help, each.name
        assert "feedline" in (each.epilog or each.help), f"{name} {each.name} has no example"
        assert all(p.help for p in each.params if isinstance(p, click.Option) and p.name != "help"), each.name


@dataclass
class Row:
    day: date
    amount: Decimal


def test_json_keeps_amounts_exact(capsys):
    output.print_json([Row(date(2026, 11, 20), Decimal("0.10"))])
    assert json.loads(capsys.readouterr().out) == [{"day": "2026-11-20", "amount": "0.10"}]


def test_a_table_shows_what_a_cell_says_not_markup(capsys):
    output.print_table(("feed", "records"), [("[red]x", 12345), ("y", None)])
    assert [line.split() for line in capsys.readouterr().out.splitlines()] == [
        ["feed", "records"],
        ["[red]x", "12,345"],
        ["y", "-"],
    ]


def test_what_comes_from_elsewhere_is_shown_and_not_obeyed(capsys):
    """A name in a file, or a text of a counterparty, could clear the screen, or turn what it says around."""
    output.print_table(("account",), [("a\x1b[2Jb\r\u202ec",)])
    output.report_error(ConfigurationError("no field 'a\x1b]0;b\x07'"))
    shown = capsys.readouterr()
    assert r"a\x1b[2Jb\r\u202ec" in shown.out
    assert shown.err == "feedline: no field 'a\\x1b]0;b\\x07'\n"
