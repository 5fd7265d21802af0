"""What differs between two schemas, whether one may follow the other, and edits made by hand."""

from __future__ import annotations

import copy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feedline.errors import ConfigurationError
from feedline.metadata.compatibility import LEVELS, Severity, check_compatibility
from feedline.metadata.diff import ChangeKind, schema_diff
from feedline.metadata.edits import edited
from feedline.metadata.fields import schema_fields

BASE = {
    "type": "record",
    "name": "Trade",
    "namespace": "t",
    "businessKeys": ["id"],
    "fields": [
        {"name": "id", "type": "string"},
        {"name": "side", "type": {"type": "enum", "name": "Side", "symbols": ["BUY", "SELL"]}},
        {"name": "amount", "type": {"type": "bytes", "logicalType": "decimal", "precision": 18, "scale": 2}},
        {"name": "count", "type": "int"},
        {"name": "note", "type": ["null", "string"], "default": None},
        {"name": "fx", "type": {"type": "record", "name": "Fx", "fields": [{"name": "rate", "type": "double"}]}},
    ],
}

# Edits of which a reader of the new schema notices nothing.
COMPATIBLE = (
    {"path": "", "add": "venue", "type": "string"},
    {"path": "", "add": "fee", "type": "decimal(20,4)"},
    {"path": "amount", "type": "decimal(24,2)"},
    {"path": "count", "type": "long"},
    {"path": "count", "optional": True},
    {"path": "side", "type": "BUY | SELL | SHORT"},
    {"path": "id", "doc": "Of the trade."},
    {"path": "note", "name": "remark"},
)
# Each with a word of the reason and of what to do instead.
BREAKING = (
    ({"path": "", "add": "venue", "type": "string", "optional": False}, "new field without a default", "optional"),
    ({"path": "amount", "type": "decimal(24,4)"}, "decimal(18,2) becomes decimal(24,4)", "new optional field"),
    ({"path": "amount", "type": "decimal(12,2)"}, "decimal(18,2) becomes decimal(12,2)", "keep decimal(18,2)"),
    ({"path": "count", "type": "string"}, "the type changes from int to string", "keep count as it is"),
    ({"path": "note", "optional": False}, "optional becomes required", "keep it optional"),
    ({"path": "fx", "name": "forex"}, "a field with fields below it is renamed", "logical model"),
    ({"path": "count", "key": True}, "the business keys change", "a feed of another name"),
)


def _kinds(old, new):
    return [(one.kind, one.path) for one in schema_diff(old, new)]


@given(st.lists(st.sampled_from(COMPATIBLE), unique_by=lambda one: one["path"] or one["add"], max_size=8))
@settings(max_examples=40, deadline=None)
def test_equal_schemas_do_not_differ_and_compatible_edits_stay_compatible(edits):
    schema = edited(BASE, edits)
    assert schema_diff(schema, copy.deepcopy(schema)) == ()
    assert check_compatibility(schema, [(1, schema)]).changes == ()
    verdict = check_compatibility(schema, [(1, BASE)])
    assert verdict.compatible, verdict.summary
    assert bool(verdict.changes) == bool(edits)


def test_an_edit_leaves_the_schema_given_as_it_is():
    before = copy.deepcopy(BASE)
    edited(BASE, [*COMPATIBLE[:-1], {"path": "fx.rate", "remove": True}])
    assert before == BASE


@pytest.mark.parametrize(("edit", "what", "instead"), BREAKING, ids=[one[1] for one in BREAKING])
def test_a_breaking_change_is_explained(edit, what, instead):
    verdict = check_compatibility(edited(BASE, [edit]), [(1, BASE)])
    assert not verdict.compatible
    (finding,) = (one for one in verdict.findings if one.severity is Severity.BREAKING)
    assert what in finding.what
    assert instead in finding.instead
    assert len(finding.why) > 20
    assert what in verdict.summary


def test_a_field_that_the_catalogue_uses_stays():
    schema = edited(BASE, [{"path": "fx.rate", "remove": True}])
    assert check_compatibility(schema, [(1, BASE)]).compatible
    refused = check_compatibility(schema, [(1, BASE)], needed=["fx.rate"])
    assert not refused.compatible
    assert "catalogue" in refused.findings[0].text


def test_a_renamed_field_is_one_change_and_its_absence_without_an_alias_two():
    renamed = edited(BASE, [{"path": "note", "name": "remark"}])
    assert _kinds(BASE, renamed) == [(ChangeKind.RENAMED, "remark")]
    (field,) = (one for one in renamed["fields"] if one["name"] == "remark")
    del field["aliases"]
    assert _kinds(BASE, renamed) == [(ChangeKind.ADDED, "remark"), (ChangeKind.REMOVED, "note")]
    (removed,) = (one for one in check_compatibility(renamed, [(1, BASE)]).findings if one.path == "note")
    assert '"aliases": ["note"]' in removed.why


def test_what_lies_below_a_renamed_record_is_compared_with_what_lay_below_it():
    schema = edited(BASE, [{"path": "fx", "name": "forex"}, {"path": "forex.rate", "doc": "New."}])
    assert _kinds(BASE, schema) == [(ChangeKind.RENAMED, "forex"), (ChangeKind.DOC, "forex.rate")]


def test_a_transitive_level_looks_at_every_version():
    dropped = edited(BASE, [{"path": "count", "remove": True}])
    again = edited(dropped, [{"path": "", "add": "count", "type": "string"}])
    versions = [(1, BASE), (2, dropped)]
    assert check_compatibility(again, versions, "BACKWARD").compatible
    refused = check_compatibility(again, versions, "BACKWARD_TRANSITIVE")
    assert not refused.compatible
    assert refused.against == (1, 2)
    with pytest.raises(ConfigurationError, match=LEVELS[-1]):
        check_compatibility(again, versions, "SIDEWAYS")


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        ({"path": "nosuch", "doc": "x"}, "no such field"),
        ({"path": "id.x", "doc": "x"}, "no fields below it"),
        ({"path": "", "add": "id"}, "already"),
        ({"path": "", "add": "1x"}, "cannot be the name"),
        ({"path": "id", "name": "a b"}, "cannot be the name"),
        ({"path": "id", "type": "money"}, "is no type"),
        ({"path": "id", "type": "decimal(4,9)"}, "scale"),
        ({"path": "id", "type": "decimal(0,0)"}, "digit"),
    ],
)
def test_an_edit_that_cannot_be_made_says_why(edit, said):
    with pytest.raises(ConfigurationError, match=said):
        edited(BASE, [edit])


def test_an_added_field_is_optional_unless_it_is_said():
    (field,) = (one for one in schema_fields(edited(BASE, [COMPATIBLE[0]])) if one.name == "venue")
    assert (field.nullable, field.has_default, field.default) == (True, True, None)
