"""What commands say beside their results."""

from __future__ import annotations

import sys

import pytest

from feedline.cli.output import tell_activation


@pytest.fixture
def environment(tmp_path, monkeypatch):
    (tmp_path / "venv" / "bin").mkdir(parents=True)
    (tmp_path / "venv" / "bin" / "activate").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "venv"))
    return tmp_path / "venv" / "bin"


def test_who_came_through_make_is_told_how_to_write_the_command(environment, monkeypatch, capsys):
    monkeypatch.setenv("PATH", "/nowhere")
    tell_activation()
    assert "`source venv/bin/activate`" in capsys.readouterr().out


def test_who_has_the_command_on_the_path_is_told_nothing(environment, monkeypatch, capsys):
    command = environment / "feedline"
    command.touch()
    command.chmod(0o755)
    monkeypatch.setenv("PATH", str(environment))
    tell_activation()
    assert capsys.readouterr().out == ""
