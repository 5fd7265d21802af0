"""Real documents of public projects: the three figures that docs/discovery.md publishes, computed again."""

from __future__ import annotations

from pathlib import Path

import pytest
from benchmarks.discovery_corpus import CORPUS, figures, manifest, table, total

PAGE = Path(__file__).resolve().parents[4] / "docs" / "discovery.md"


@pytest.fixture(scope="module")
def rows():
    return figures()


def test_the_page_says_what_is_computed(rows):
    assert table(rows) in PAGE.read_text(encoding="utf-8")


def test_most_held_out_documents_are_accepted_and_what_is_foreign_or_broken_is_refused(rows):
    every = total(rows)
    assert every.accepted[0] / every.accepted[1] > 0.98
    assert every.refused_foreign[0] == every.refused_foreign[1] > 3_000
    assert every.refused_broken[0] == every.refused_broken[1] > 3_000


def test_documents_come_back_equal_through_avro_but_for_nulls_that_stand_for_what_is_left_out(rows):
    unequal = {one.kind for one in rows if one.equal[0] < one.equal[1]}
    assert unequal <= {"ach_files"}


def test_every_file_of_the_corpus_says_where_it_comes_from():
    told = {one["kind"] for one in manifest()}
    assert {file.name.removesuffix(".jsonl.gz") for file in CORPUS.glob("*.gz")} == told
    for one in manifest():
        assert len(one["commit"]) == 40
        assert one["repository"].startswith("https://github.com/")
        assert one["licence"]
        assert one["paths"]
