"""The logical models: structure from the schema, words from people, and no person's name
below `personal`; and their search."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from feedline.metadata.edits import edited
from feedline.metadata.ldm import Classification, business_name, guessed_classification, ldm_of_schema, merged
from feedline.metadata.ldm_ddl import CLASSIFICATION_TAG, tag_statements
from feedline.metadata.ldm_files import read_ldm
from feedline.metadata.search import search

FOLDER = Path(__file__).parents[3] / "include" / "ldm"
FILES = sorted(FOLDER.glob("*.yaml"))
# Words of a path that name a person, and those that name what belongs to a client.
PERSON = re.compile(r"(trader|analyst|approved_by|prepared_by|reviewed_by|portfolio_manager|email|phone|birth)")
CLIENTS_OWN = re.compile(r"(iban|account_id|safekeeping_account|cash_account|credit_line|tax_id|account_name)$")


@pytest.fixture(scope="module")
def models():
    return [read_ldm(file) for file in FILES]


def test_every_feed_has_a_reviewed_model_of_its_schema(models, shipped):
    assert {one.feed for one in models} == set(shipped.feeds)
    for model in models:
        derived = ldm_of_schema(shipped.feed(model.feed).schema, shipped.feed(model.feed))
        assert list(model.attributes()) == list(derived.attributes())
        assert model.owner != "unassigned"


def test_persons_and_accounts_are_classified(models):
    loose = []
    for model in models:
        for path, one in model.attributes().items():
            if PERSON.search(path) and one.classification is not Classification.PERSONAL:
                loose.append((model.feed, path, one.classification.value))
            strict = one.classification in (Classification.CONFIDENTIAL, Classification.PERSONAL)
            if CLIENTS_OWN.search(path) and not strict:
                loose.append((model.feed, path, one.classification.value))
    assert loose == []


@pytest.mark.parametrize(
    ("path", "guess"),
    [
        ("contact.email", "personal"),
        ("order.trader", "personal"),
        ("holding.quantity", "confidential"),
        ("instrument.isin", "public"),
        ("audit.batch_number", "internal"),
    ],
)
def test_a_first_guess_goes_by_the_words(path, guess):
    assert guessed_classification(path).value == guess


def test_names_read_as_people_write_them():
    assert business_name("account.account_name") == "Account name"
    assert business_name("instrument.isin") == "Instrument ISIN"
    assert business_name("名") == "名"


def test_reviewed_words_stay_when_the_schema_changes(feed):
    model = ldm_of_schema(feed.schema, feed)
    first, *rest = model.entities[0].attributes
    plain = next(one for one in rest if not one.key and "." not in one.path)
    told = replace(plain, name="As the desk says", classification=Classification.PERSONAL)
    attributes = tuple(told if one is plain else one for one in (first, *rest))
    reviewed = replace(model, owner="Desk", entities=(replace(model.entities[0], attributes=attributes),))
    changed = edited(feed.schema, [{"path": plain.path, "name": "other"}, {"path": "", "add": "late", "type": "int"}])
    found = merged(reviewed, ldm_of_schema(changed, feed)).attributes()
    assert (found["other"].name, found["other"].classification) == ("As the desk says", Classification.PERSONAL)
    assert plain.path not in found
    assert found["late"].column == "LATE"


def test_a_table_hands_its_usual_classification_down(models):
    (accounts,) = (one for one in models if one.feed == "accounts")
    statements = tag_statements(accounts)
    assert f"SET TAG {CLASSIFICATION_TAG} = 'internal'" in statements[0]
    assert any('"PORTFOLIO_MANAGER"' in one and "'personal'" in one for one in statements), statements[:3]
    assert not any("'internal'" in one for one in statements[1:])


def test_search_finds_every_word_and_puts_names_first(models):
    hits = search(models, "portfolio manager")
    assert hits
    assert hits[0].path == "portfolio_manager"
    assert [one.score for one in hits] == sorted((one.score for one in hits), reverse=True)
    assert search(models, "portfolio nosuchword") == ()
    assert search(models, " . ") == ()
    assert len(search(models, "a", limit=7)) == 7
    assert search(models, ".*[") == ()
    assert {one.classification for one in search(models, "personal") if one.path} >= {"personal"}
