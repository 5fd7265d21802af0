"""Ids made of names are what any UUIDv5 of the same name is."""

from __future__ import annotations

from uuid import uuid5

from hypothesis import given
from hypothesis import strategies as st

from feedline.batch.identity import NAMESPACE, name_id


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_a_name_s_id_is_its_uuid_version_five(name):
    assert name_id(name) == str(uuid5(NAMESPACE, name))
