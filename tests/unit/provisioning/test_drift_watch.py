"""Drift is told once, and so is that it is gone; a channel that failed is told again, the others are not."""

from __future__ import annotations

import pytest

from feedline.errors import RetriableError
from feedline.provisioning import audit
from feedline.provisioning.books import Books
from feedline.provisioning.drift_watch import tell_drift

DRIFT = ["topics T: retention.ms is 1, declared 2"]


@pytest.fixture
def books(tmp_path):
    return Books(tmp_path)


def heard_by(*names):
    heard = {name: [] for name in names}
    return heard, {name: heard[name].append for name in names}


def test_drift_is_told_once_and_its_end_too(books):
    heard, channels = heard_by("mail")

    def tell(lines):
        return tell_drift(lines, books, channels, who="ihub_drift", link="http://airflow/run")

    assert [tell([]), tell(DRIFT), tell(DRIFT), tell([*DRIFT, "more"]), tell([]), tell([])] == [
        False, True, False, True, True, False,
    ]  # fmt: skip
    assert [alert.subject for alert in heard["mail"]] == [
        "drift: topics T: retention.ms is 1, declared 2",
        "drift: topics T: retention.ms is 1, declared 2 and 1 more",
        "recovered: everything provisioned is as declared again",
    ]
    assert heard["mail"][0].to_dict()["drift"] == DRIFT
    assert "http://airflow/run" in heard["mail"][0].text
    assert [one["what"] for one in audit.entries(books.audit)] == ["drift", "drift", "no more drift"]


def test_only_the_channel_that_failed_is_told_again(books):
    heard, channels = heard_by("mail", "slack")

    def broken(_alert):
        raise OSError("https://hooks.example/secret")

    with pytest.raises(RetriableError, match="slack") as refused:
        tell_drift(DRIFT, books, {**channels, "slack": broken}, who="w")
    assert "hooks" not in str(refused.value)
    assert tell_drift(DRIFT, books, channels, who="w")
    assert (len(heard["mail"]), len(heard["slack"])) == (1, 1)
    assert not tell_drift(DRIFT, books, channels, who="w")


def test_what_was_told_is_not_forgotten_by_a_book_that_was_cut_off(books):
    books.drift.write_text("{")
    heard, channels = heard_by("mail")
    assert tell_drift(DRIFT, books, channels, who="w")
    assert len(heard["mail"]) == 1
