"""What discovery makes of one field's values, in the words of its promises."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest

from feedline.errors import ConfigurationError
from feedline.metadata.discovery import DiscoveryPolicy, discover, samples_of_texts


def found(*values, policy=None, key="f"):
    """The discovery of samples that are texts of JSON values, each under one key."""
    texts = [f'{{"id": {n}, {json.dumps(key)}: {value}}}' for n, value in enumerate(values)]
    return discover(samples_of_texts(texts), policy=policy)


def field(*values, **options):
    """Type without null, and decision, of the field."""
    discovery = found(*values, **options)
    kind = discovery.avro["fields"][1]["type"]
    decision = next(one for one in discovery.decisions if one.path == discovery.avro["fields"][1]["name"])
    return (next(one for one in kind if one != "null") if isinstance(kind, list) else kind), decision


def texts(*values):
    return [json.dumps(value) for value in values]


def logical(kind):
    return kind.get("logicalType") if isinstance(kind, dict) else None


class TestNumbers:
    def test_integers_are_long(self):
        assert field("1", "-5", str(2**63 - 1))[0] == "long"

    def test_an_integer_past_64_bits_is_a_decimal_and_said(self):
        kind, decision = field("1", str(2**63))
        assert (logical(kind), kind["scale"]) == ("decimal", 0)
        assert kind["precision"] >= 19
        assert "past 64 bits" in decision.conflicts[0]

    def test_amounts_are_decimals_with_headroom(self):
        kind, _ = field("12.50", "1234567.125", "3")
        assert kind == {"type": "bytes", "logicalType": "decimal", "precision": 24, "scale": 5}

    def test_headroom_is_declared(self):
        policy = DiscoveryPolicy(integer_headroom=0, scale_headroom=0, least_integer_digits=1)
        kind, _ = field("12.50", policy=policy)
        assert (kind["precision"], kind["scale"]) == (4, 2)

    @pytest.mark.parametrize(("number", "scale"), [("1e3", 0), ("1.5e-3", 4), ("125E-2", 2), ("-0.0e5", 0)])
    def test_exponents_are_worked_out_exactly(self, number, scale):
        policy = DiscoveryPolicy(scale_headroom=0)
        assert field(number, policy=policy)[0]["scale"] == scale

    @pytest.mark.parametrize("number", ["1e400", "1e-400", "0." + "1" * 40, "9" * 60, "1e999999999999", "9" * 5000])
    def test_what_no_decimal_holds_is_kept_as_its_text(self, number):
        kind, decision = field(number)
        assert kind == {"type": "string", "jsonForm": "number"}
        assert decision.conflicts

    def test_nothing_is_ever_a_float(self):
        values = ["0.1", "1e-7", "1e300", "3", "123456789.123456789"]
        assert not {"float", "double"} & set(json.dumps(found(*values).avro).split('"'))

    def test_numbers_of_a_program_are_as_exact(self):
        avro = discover([{"a": Decimal("1.10"), "b": 0.1}]).avro
        assert [one["type"]["scale"] for one in avro["fields"]] == [4, 3]


class TestTexts:
    @pytest.mark.parametrize(
        ("values", "form"),
        [
            (["2026-01-31", "2026-03-04"], None),
            (["20260131", "20260304"], "YYYYMMDD"),
            (["2026/01/31"], "YYYY/MM/DD"),
            (["31-Jan-2026", "04-Mar-2026"], "DD-Mon-YYYY"),
            (["31JAN2026"], "DDMONYYYY"),
            (["Jan 31, 2026"], "Mon DD, YYYY"),
        ],
    )
    def test_dates(self, values, form):
        kind, _ = field(*texts(*values))
        assert (logical(kind), kind.get("jsonFormat")) == ("date", form)

    @pytest.mark.parametrize(
        "values",
        [
            ["2026-01-31T09:30:00Z", "2026-01-31T09:30:00.125+02:00"],
            ["2026-01-31 09:30:00+00", "2026-01-31 09:30:00.5+00"],
            ["20260131T093000Z"],
            ["Sat, 31 Jan 2026 09:30:00 GMT"],
            ["2026-01-31T09:30:00+0530"],
        ],
    )
    def test_moments_with_a_zone(self, values):
        assert logical(field(*texts(*values))[0]) == "timestamp-micros"

    @pytest.mark.parametrize(
        "values",
        [["03/04/2026"], ["03/04/2026", "31/01/2026"], ["01/31/2026"], ["03.04.26"], ["31-12-2026", "12-31-2026"]],
    )
    def test_a_date_of_unknown_order_is_reported_and_stays_text(self, values):
        kind, decision = field(*texts(*values))
        assert kind == "string"
        assert "day and month" in decision.conflicts[0]

    def test_a_declared_order_makes_dates_of_them(self):
        values = texts("03/04/2026", "31/01/2026")
        kind, _ = field(*values, policy=DiscoveryPolicy(day_order="DMY"))
        assert (logical(kind), kind["jsonFormat"]) == ("date", "DD/MM/YYYY")

    def test_an_order_that_the_values_deny_is_not_taken(self):
        assert field(*texts("31/01/2026"), policy=DiscoveryPolicy(day_order="MDY"))[0] == "string"

    @pytest.mark.parametrize(
        ("values", "word"),
        [
            (["2026-01-31T09:30:00"], "no zone"),
            (["2026-01-31T09:30:00.123456789Z"], "finer"),
            (["2026-01-31", ""], "different spellings"),
            (["2026-01-31", "31-Jan-2026"], "different spellings"),
            (["2026-01-31", "never"], "different spellings"),
            (["12.50", "12.5"], "different spellings"),
        ],
    )
    def test_what_stays_text_is_reported(self, values, word):
        kind, decision = field(*texts(*values))
        assert kind == "string"
        assert word in " ".join(decision.conflicts)

    @pytest.mark.parametrize("values", [["2026-02-30"], ["2026-13-01"], ["25:00:00"], ["2026-01-31T24:00:00Z"]])
    def test_what_no_calendar_has_is_text(self, values):
        assert field(*texts(*values))[0] == "string"

    def test_identifiers_with_leading_zeros_are_text(self):
        kind, decision = field(*texts("007", "0123", "99"))
        assert kind == "string"
        assert "leading zeros" in decision.reason

    def test_digits_in_quotes_are_an_identifier(self):
        assert field(*texts("12", "34"))[0] == "string"

    def test_amounts_in_quotes_are_decimals_and_come_back_with_their_places(self):
        kind, _ = field(*texts("12.50", "-0.05"))
        assert (logical(kind), kind["jsonForm"], kind["jsonSpelling"]) == ("decimal", "text", "2")

    def test_an_enum_is_offered_and_not_forced(self):
        kind, decision = field(*texts("BUY", "SELL", "BUY", "SELL", "BUY"))
        assert kind == "string"
        assert decision.offers == ("enum of BUY, SELL",)

    def test_no_enum_is_offered_of_values_that_avro_refuses_or_that_never_repeat(self):
        assert field(*texts("a b", "a b", "c", "c"))[1].offers == ()
        assert field(*texts("A", "B", "C"))[1].offers == ()


class TestKinds:
    def test_mixed_kinds_are_reported_and_kept_as_json(self):
        kind, decision = field("1", '"a"', "true")
        assert kind == {"type": "string", "jsonForm": "json", "jsonKinds": ["boolean", "number", "text"]}
        assert "1 numbers" in decision.conflicts[0]
        assert "1 texts" in decision.conflicts[0]

    def test_mixed_kinds_are_a_union_where_a_union_is_wanted(self):
        kind = found("1", '"a"', policy=DiscoveryPolicy(target="avro")).avro["fields"][1]["type"]
        assert kind == ["long", "string"]

    def test_null_and_missing_make_a_field_optional(self):
        avro = discover([{"a": 1, "b": None}, {"a": 2, "b": 3}, {"a": 3, "b": 4, "c": 5}]).avro
        assert [one["type"] for one in avro["fields"]] == ["long", ["null", "long"], ["null", "long"]]
        assert avro["fields"][1]["default"] is None

    def test_the_share_of_nulls_counts_what_is_left_out(self):
        discovery = discover([{"a": 1}, {"a": None}, {"a": 2, "b": 1}, {"a": 2}])
        assert {one.path: one.null_share for one in discovery.decisions if one.path} == {"a": 0.25, "b": 0.75}

    def test_only_nulls_and_empty_arrays_and_objects_are_said_to_be_unknown(self):
        avro = discover([{"id": 1, "n": None, "a": [], "o": {}}]).avro
        forms = {one["name"]: json.dumps(one["type"]) for one in avro["fields"]}
        assert "nothing" in forms["n"]
        assert "nothing" in forms["a"]
        assert "empty" in forms["o"]

    def test_a_map_is_told_from_a_record_by_keys_that_are_data(self):
        prices = {"2026-01-30": 1.5, "2026-01-31": 1.6, "2026-02-01": 1.7}
        kind = discover([{"prices": prices}], policy=DiscoveryPolicy(target="avro")).avro["fields"][0]["type"]
        assert kind["type"] == "map"

    def test_a_map_is_told_from_a_record_by_many_keys_that_come_and_go(self):
        samples = [{"rates": {f"C{chr(65 + n)}{chr(65 + m)}": n for m in range(3)}} for n in range(20)]
        kind = discover(samples).avro["fields"][0]["type"]
        assert (kind["type"], kind["jsonForm"]) == ("array", "map")
        assert [one["name"] for one in kind["items"]["fields"]] == ["key", "value"]

    def test_a_wide_record_is_no_map(self):
        samples = [{"wide": {f"field_{n}x": n for n in range(100)}} for _ in range(3)]
        assert discover(samples).avro["fields"][0]["type"]["type"] == "record"

    def test_field_order_is_that_of_the_documents(self):
        avro = discover([{"z": 1, "a": 2, "m": 3}, {"z": 1, "m": 3}]).avro
        assert [one["name"] for one in avro["fields"]] == ["z", "a", "m"]


class TestNames:
    def names(self, *keys):
        return {
            one.get("jsonName", one["name"]): one["name"] for one in discover([dict.fromkeys(keys, 1)]).avro["fields"]
        }

    def test_keys_that_are_no_names_are_kept_beside_a_name(self):
        field = discover([{"trade-date": 1}]).avro["fields"][0]
        assert field == {"name": "trade_date", "type": "long", "aliases": ["trade-date"], "jsonName": "trade-date"}

    @pytest.mark.parametrize(
        "key", ["1st", "", "_", "имя", "名前", "a b", "$ref", "🙂", "x" * 300, "naïve", "a.b", "\n"]
    )
    def test_any_key_gets_a_name(self, key):
        name = self.names(key)[key]
        assert name.isascii()
        assert name.isidentifier()
        assert len(name) <= 60

    def test_keys_that_differ_in_case_get_columns_of_their_own(self):
        names = self.names("Amount", "amount", "AMOUNT", "fooBar", "foo_bar")
        assert len({name.upper() for name in names.values()}) == 5

    def test_a_column_of_the_loader_is_left_alone(self):
        assert self.names("_delivery_id")["_delivery_id"] != "_delivery_id"

    def test_a_reserved_word_is_reported(self):
        decisions = discover([{"select": 1}]).decisions
        assert "reserved" in decisions[1].conflicts[0]


class TestKeys:
    def test_a_field_that_never_repeats_is_the_key(self):
        samples = [{"side": "B", "trade_id": f"T{n}", "n": n} for n in range(50)]
        assert discover(samples).avro["businessKeys"] == ["trade_id"]

    def test_fields_called_keys_are_a_guess_that_is_said(self):
        samples = [{"fund_id": f"F{n % 3}", "account_id": f"A{n % 5}"} for n in range(50)]
        discovery = discover(samples)
        assert discovery.avro["businessKeys"] == ["fund_id", "account_id"]
        assert "check" in discovery.decisions[0].reason


@pytest.mark.parametrize("samples", [[], [{}], [1, 2], [None]])
def test_nothing_to_learn_from_is_an_error(samples):
    with pytest.raises(ConfigurationError):
        discover(samples)
