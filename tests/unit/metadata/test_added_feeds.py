"""A feed is added from a sample whole or not at all, whatever happens meanwhile."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import signal
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace

import pytest
import yaml
from click.testing import CliRunner

from feedline.catalog import default_catalog_path, load_catalog
from feedline.cli.main import main
from feedline.errors import ConfigurationError, FeedTakenError
from feedline.metadata.added_feeds import add_feed
from feedline.metadata.ldm import Classification
from feedline.metadata.ldm_files import feed_model, read_ldm, stale
from feedline.metadata.new_feed import NewFeed, Words, addition_of

LOANS = [
    {"loan_id": f"L{n:04}", "fund_id": "F1", "balance": f"{n}.25", "opened": "2026-01-05", "account_id": f"A{n}",
     "kind": "TERM" if n % 2 else "BULLET", "collateral": [{"isin": "US0378331005", "value": "1.50"}]}
    for n in range(6)
]  # fmt: skip
AVRO = {
    "type": "record", "name": "Loan", "namespace": "ihub.custody", "businessKeys": ["loan_id"],
    "fields": [
        {"name": "loan_id", "type": "string"},
        {"name": "fund_id", "type": "string"},
        {"name": "balance", "type": {"type": "bytes", "logicalType": "decimal", "precision": 20, "scale": 2}},
        {"name": "account_id", "type": ["null", "string"], "default": None},
    ],
}  # fmt: skip
NEW = NewFeed("loans", AVRO, owner="Lending", control_totals=("balance",), fund_field="fund_id")


@pytest.fixture
def catalogue(tmp_path):
    folder = tmp_path / "include"
    shutil.copytree(default_catalog_path().parent, folder)
    return folder / "feeds.yaml"


@pytest.fixture
def sample(tmp_path):
    file = tmp_path / "loans_20261120.jsonl"
    file.write_text("".join(f"{json.dumps(one)}\n" for one in LOANS))
    return file


def run(*arguments):
    return CliRunner().invoke(main, ["feeds", "add", *map(str, arguments)])


def files_of(catalogue):
    return {path: path.read_bytes() for path in catalogue.parent.rglob("*") if path.is_file()}


def test_a_command_makes_a_feed_of_a_sample_and_leaves_the_catalogue_s_file_as_it_is(catalogue, sample):
    before = files_of(catalogue)
    done = run(
        "loans", "--catalog", catalogue, "--sample", sample, "--key", "loan_id", "--control-total", "balance",
        "--fund-field", "fund_id", "--owner", "Lending", "--describe", "balance=What is owed.",
        "--classify", "kind=public", "--call", "balance=Outstanding balance", "--type", "kind=TERM | BULLET",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    now = files_of(catalogue)
    assert {path.relative_to(catalogue.parent).as_posix() for path in now.keys() - before.keys()} == {
        "feeds/loans.yaml", "schemas/loans.avsc", "ldm/loans.yaml"
    }  # fmt: skip
    assert {path: now[path] for path in before} == before
    catalog = load_catalog(catalogue)
    feed = catalog.feed("loans")
    assert (feed.business_keys, feed.control_totals, feed.fund_field) == (("loan_id",), ("balance",), "fund_id")
    fields = {one["name"]: one for one in feed.schema["fields"]}
    assert fields["balance"]["type"]["logicalType"] == "decimal"
    assert fields["balance"]["doc"] == "What is owed."
    assert fields["kind"]["type"]["symbols"] == ["TERM", "BULLET"]
    assert stale(catalog, catalogue) == []
    model = feed_model(feed, catalogue)
    words = model.attributes()
    assert model.owner == "Lending"
    assert (words["balance"].name, words["balance"].description) == ("Outstanding balance", "What is owed.")
    assert words["kind"].classification is Classification.PUBLIC
    parents = {(one.parent, one.by) for one in model.relations if one.child == "loans"}
    assert ("accounts", ("account_id",)) in parents


def test_a_dry_run_shows_everything_and_writes_nothing(catalogue, sample):
    before = files_of(catalogue)
    done = run("loans", "--catalog", catalogue, "--sample", sample, "--dry-run", "--format", "json")
    told = json.loads(done.stdout)
    assert files_of(catalogue) == before
    assert told["samples"] == len(LOANS)
    assert any('"LOANS"' in statement for statement in told["ddl"])


def test_adding_twice_changes_nothing_and_another_feed_of_the_name_is_refused(catalogue):
    _, written = add_feed(catalogue, NEW)
    assert len(written) == 3
    before = files_of(catalogue)
    assert add_feed(catalogue, NEW)[1] == []
    with pytest.raises(FeedTakenError, match="there is a feed of that name"):
        add_feed(catalogue, replace(NEW, owner="Somebody else"))
    assert files_of(catalogue) == before


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"name": "positions"}, "there is a feed of that name"),
        ({"name": "positions_current"}, "POSITIONS_CURRENT belongs to the feed positions"),
        ({"avro": {**AVRO, "name": "Position"}}, "is that of the feed positions on the same topic"),
        ({"name": "choose_feeds"}, "cannot be the name of a feed"),
        ({"name": "Loans"}, "cannot be the name of a feed"),
        ({"topic": "SOME.OTHER"}, "no topic 'SOME.OTHER' in the catalogue"),
        ({"avro": {**AVRO, "businessKeys": []}}, "declare the business keys"),
        ({"keys": ("account_id",)}, "a key is always there"),
        ({"control_totals": ("fund_id",)}, "a control total is a decimal or an integer"),
        ({"fund_field": "fund"}, "fund"),
        ({"words": {"fund_id": Words(classification="secret")}}, "no classification 'secret'"),
        ({"words": {"nothing": Words(description="x")}}, "no such field"),
    ],
)
def test_what_cannot_be_a_feed_is_refused_with_the_reason_and_leaves_nothing(catalogue, changes, said):
    before = files_of(catalogue)
    with pytest.raises(ConfigurationError, match=said):
        add_feed(catalogue, replace(NEW, **changes))
    assert files_of(catalogue) == before


def test_a_renamed_field_keeps_what_was_said_of_it_and_what_documents_call_it(catalogue):
    new = replace(
        NEW,
        edits=({"path": "loan_id", "name": "id"}, {"path": "balance", "name": "owed"}),
        words={"balance": Words(name="Owed", classification="personal", description="What is owed.")},
    )
    addition = addition_of(new, load_catalog(catalogue), catalogue.parent)
    assert addition.feed.business_keys == ("id",)
    assert addition.feed.control_totals == ("owed",)
    assert addition.converted == ("id", "owed")
    [owed] = [one for one in addition.feed.schema["fields"] if one["name"] == "owed"]
    assert (owed["jsonName"], owed["doc"]) == ("balance", "What is owed.")
    words = addition.model.attributes()["owed"]
    assert (words.name, words.classification) == ("Owed", Classification.PERSONAL)


def killed_at(catalogue, number):
    """Adds the feed in a process that is killed before its so-many-th change of the folder."""
    left = [number]

    def counted(real):
        def change(*arguments, **options):
            left[0] -= 1
            if not left[0]:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*arguments, **options)

        return change

    for name in ("open", "fsync", "replace", "link", "unlink", "rename"):
        setattr(os, name, counted(getattr(os, name)))
    add_feed(catalogue, NEW)


def test_a_run_that_is_killed_anywhere_leaves_the_feed_whole_or_not_there_and_running_it_again_finishes(catalogue):
    spawn = multiprocessing.get_context("fork")
    kills, known = 0, set()
    while True:
        shutil.rmtree(catalogue.parent / "feeds", ignore_errors=True)
        process = spawn.Process(target=killed_at, args=(catalogue, kills + 1))
        process.start()
        process.join(60)
        if process.exitcode == 0:
            break
        assert process.exitcode == -signal.SIGKILL
        kills += 1
        feeds = load_catalog(catalogue).feeds
        known.add("loans" in feeds)
        add_feed(catalogue, NEW)
        assert load_catalog(catalogue).feed("loans").schema["name"] == "Loan"
        assert read_ldm(catalogue.parent / "ldm" / "loans.yaml").owner == "Lending"
    assert kills > 10
    assert known == {False, True}


def test_of_two_who_add_the_same_name_at_once_one_wins_whole(catalogue):
    owners = [f"Owner {n}" for n in range(8)]

    def add(owner):
        with suppress(FeedTakenError):
            add_feed(catalogue, replace(NEW, owner=owner, title=owner))
            return owner
        return None

    with ThreadPoolExecutor(len(owners)) as pool:
        [winner] = filter(None, pool.map(add, owners))
    entry = yaml.safe_load((catalogue.parent / "feeds" / "loans.yaml").read_text())
    assert (entry["title"], read_ldm(catalogue.parent / "ldm" / "loans.yaml").owner) == (winner, winner)


def test_a_full_disk_leaves_nothing_and_says_so(catalogue, monkeypatch):
    before = files_of(catalogue)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "link", full)
    with pytest.raises(ConfigurationError, match=r"nothing was added: .*No space left"):
        add_feed(catalogue, NEW)
    assert files_of(catalogue) == before


def test_a_feed_of_a_source_that_writes_otherwise_says_how_its_files_are_rewritten(catalogue, tmp_path):
    source = tmp_path / "rates.jsonl"
    known = [{"Rate Id": f"R{n}", "as of": f"{n + 10}.03.2026"} for n in range(5)]
    source.write_text("".join(f"{json.dumps(one)}\n" for one in known))
    added = run("rates", "--catalog", catalogue, "--sample", source, "--day-order", "DMY")
    assert added.exit_code == 0, added.output
    assert "Rate_Id, as_of otherwise" in added.stderr
    assert "`feedline schema conform schemas/rates.avsc` rewrites files" in added.stderr
