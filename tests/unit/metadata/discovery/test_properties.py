"""What holds for any documents: the schema takes them all, gives them back, does not depend on their order, and only
widens."""

from __future__ import annotations

import io
import json
import os
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import fastavro
import jsonschema
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from feedline.batch.codec import codec_for
from feedline.batch.row_check import check_record
from feedline.errors import SchemaMismatchError
from feedline.metadata.discovery import (
    DiscoveryPolicy,
    Sample,
    conformer,
    discover,
    document_text,
    record_line,
    restorer,
    samples_of_texts,
)
from feedline.metadata.json_schema import avro_of, json_schema_of

moments = st.datetimes(datetime(1900, 1, 1), datetime(2199, 12, 31))  # noqa: DTZ001  a zone is put to it below
offsets = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
alphabet = st.characters(exclude_categories=("Cs",))
texts = st.one_of(
    st.text(alphabet, max_size=12),
    st.dates(date(1900, 1, 1), date(2199, 12, 31)).map(str),
    st.dates().map(lambda day: f"{day.day:02}-{day:%b}-{day.year:04}"),
    st.dates(date(1900, 1, 1), date(2199, 12, 31)).map(lambda day: f"{day:%d/%m/%Y}"),
    moments.map(lambda one: one.replace(tzinfo=UTC).isoformat().replace("+00:00", "Z")),
    st.builds(lambda one, zone: one.replace(tzinfo=zone).isoformat(), moments, offsets),
    moments.map(str),
    st.times().map(str),
    st.from_regex(r"-?[0-9]{1,20}(\.[0-9]{1,4})?", fullmatch=True),
    st.sampled_from(["", "0", "007", "1.50", "-0.00", "NaN", "null", "true", "{}", "[]", "1e5", "2026-02-30"]),
)
numbers = st.one_of(
    st.integers(-(10**40), 10**40),
    st.integers(-9, 9),
    st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**12), max_value=10**12, places=3),
    st.decimals(allow_nan=False, allow_infinity=False),
)
keys = st.one_of(
    st.sampled_from(
        ["id", "Id", "ID", "amount", "trade-date", "key", "value", "select", "_delivery_id", "a.b", "a__b"]
    ),
    st.text(alphabet, max_size=6),
)
values = st.recursive(
    st.one_of(st.none(), st.booleans(), numbers, texts),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(keys, inner, max_size=5)),
    max_leaves=12,
)
# Few keys, so that the values of one field differ; what real samples do.
documents = st.lists(
    st.dictionaries(st.sampled_from(["a", "b", "B", "c d"]), values, min_size=1, max_size=4), min_size=1, max_size=8
)
policies = st.builds(
    DiscoveryPolicy,
    target=st.sampled_from(["feed", "avro"]),
    day_order=st.sampled_from([None, "DMY", "MDY"]),
    integer_headroom=st.integers(0, 4),
    scale_headroom=st.integers(0, 4),
    map_keys=st.integers(2, 20),
    max_keys=st.sampled_from([3, 1000]),
    data_keys=st.integers(1, 3),
)
# By hand: FEEDLINE_FUZZ_EXAMPLES=2000.
EXAMPLES = int(os.environ.get("FEEDLINE_FUZZ_EXAMPLES", "25"))
# What fails is small anyhow: shrinking it further is for whoever looks into it.
checked = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
)


def learned(docs, policy):
    return discover(samples_of_texts(map(document_text, docs)), name="Any", policy=policy)


def read(docs):
    return [one.value for one in samples_of_texts(map(document_text, docs)) if isinstance(one, Sample)]


def canonical(value):
    """Equal for documents that JSON calls equal: numbers by their value, objects whatever the order of their keys."""
    if isinstance(value, dict):
        return {key: canonical(part) for key, part in value.items()}
    if isinstance(value, list):
        return [canonical(part) for part in value]
    if isinstance(value, bool) or value is None or type(value) is str:
        return value
    return ("number", Decimal(str(value)).normalize())


def told_loss(found):
    """Whether a decision says that something of a document does not come back."""
    return any(
        word in conflict for one in found.conflicts for conflict in one.conflicts for word in (" is not", "one null")
    )


def through_fastavro(avro, record):
    schema = fastavro.parse_schema(json.loads(json.dumps(avro)))
    out = io.BytesIO()
    fastavro.schemaless_writer(out, schema, record, strict=True)
    out.seek(0)
    return fastavro.schemaless_reader(out, schema, None)


@checked
@given(documents, policies)
def test_every_sample_fits_the_schema_and_comes_back_through_avro(docs, policy):
    found = learned(docs, policy)
    conform, restore = conformer(found.avro), restorer(found.avro)
    for document in read(docs):
        record = conform(document)
        back = restore(through_fastavro(found.avro, record))
        if not told_loss(found):
            assert canonical(json.loads(document_text(back), parse_float=Decimal)) == canonical(document)


@checked
@given(documents, policies.filter(lambda policy: policy.target == "feed"))
def test_the_codec_of_feeds_takes_every_record(docs, policy):
    found = learned(docs, policy)
    conform, codec = conformer(found.avro), codec_for(found.avro)
    for document in read(docs):
        line = record_line(conform(document))
        assert check_record(line, codec)


@checked
@given(documents, policies, st.randoms(use_true_random=False))
def test_the_order_of_the_samples_changes_no_byte(docs, policy, random):
    shuffled = docs[:]
    random.shuffle(shuffled)
    one, two = learned(docs, policy), learned(shuffled, policy)
    assert json.dumps(one.avro) == json.dumps(two.avro)
    assert one.decisions == two.decisions


@checked
@given(documents, documents, documents, policies)
def test_more_samples_only_widen(docs, more, others, policy):
    # The one exception: an object taken for a map by its many keys is a record once its values are of several kinds.
    policy = replace(policy, map_keys=20)
    narrow, wide = learned(docs, policy), learned(docs + more, policy)
    fits, still_fits = conformer(narrow.avro), conformer(wide.avro)
    for document in read(docs + others):
        try:
            fits(document)
        except SchemaMismatchError:
            continue
        still_fits(document)


@checked
@given(documents, policies)
def test_the_json_schema_takes_every_sample_and_leads_back_to_the_same_avro(docs, policy):
    found = learned(docs, policy)
    schema = json_schema_of(found.avro)
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(json.loads(json.dumps(schema)))
    for document in read(docs):
        errors = list(validator.iter_errors(json.loads(document_text(document), parse_float=Decimal)))
        assert not errors, errors[0].message[:300]
    assert avro_of(schema) == found.avro
