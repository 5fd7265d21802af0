"""The FIX data dictionary: what a message must be, and the names of tags and values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from xml.etree import ElementTree as ET

import quickfix as fix

from feedline.catalog import default_catalog_path
from feedline.errors import ConfigurationError, SchemaMismatchError

SOH = "\x01"
BEGIN_STRING = "FIX.4.4"
_POSS_RESEND = 97


def dictionary_path() -> Path:
    return default_catalog_path().parent / "fix" / "FIX44.xml"


@cache
def data_dictionary() -> fix.DataDictionary:
    """QuickFIX's own, read once; raises ConfigurationError when the file cannot be used."""
    try:
        return fix.DataDictionary(str(dictionary_path()))
    except fix.FIXException as error:
        raise ConfigurationError(f"the FIX dictionary cannot be used: {error}", file=str(dictionary_path())) from error


@dataclass(frozen=True, slots=True)
class Names:
    """tags: by number as text; values: by tag and value; messages: by MsgType."""

    tags: Mapping[str, str]
    values: Mapping[tuple[str, str], str]
    messages: Mapping[str, str]


@cache
def names() -> Names:
    """The dictionary's names, for people."""
    root = ET.parse(dictionary_path()).getroot()  # noqa: S314  our own file
    tags, values = {}, {}
    for field in root.iterfind("fields/field"):
        tags[field.attrib["number"]] = field.attrib["name"]
        for value in field.iterfind("value"):
            values[field.attrib["number"], value.attrib["enum"]] = value.attrib["description"]
    messages = {one.attrib["msgtype"]: one.attrib["name"] for one in root.iterfind("messages/message")}
    return Names(tags, values, messages)


def fields_of(raw: str) -> dict[str, str]:
    """The fields of a message by tag; of a tag that is repeated, in a group, the last."""
    return dict(part.split("=", 1) for part in raw.split(SOH) if part)


def mark_resend(message: fix.Message) -> None:
    """Says with PossResend that the other side may have had the message under another number."""
    message.getHeader().setField(_POSS_RESEND, "Y")


def parse(body: str, sender: str, target: str) -> fix.Message:
    """A message of the fields after the session's own (`35=D<SOH>11=...<SOH>`), held against the dictionary.

    Raises SchemaMismatchError with the tag's name when the dictionary refuses it.
    """
    # What the session layer fills in later is needed for the check already.
    head = f"49={sender}{SOH}56={target}{SOH}34=1{SOH}52=20000101-00:00:00{SOH}"
    kind, rest = body.split(SOH, 1)
    text = f"8={BEGIN_STRING}{SOH}9=0{SOH}{kind}{SOH}{head}{rest}10=000{SOH}"
    dictionary = data_dictionary()
    try:
        message = fix.Message(text, dictionary, False)  # noqa: FBT003  lengths and checksums are the session's
        dictionary.validate(message)
    except fix.FIXException as error:
        tag = str(getattr(error, "field", "") or "")
        raise SchemaMismatchError(
            f"the FIX dictionary refuses the message: {error}", field=names().tags.get(tag, tag) or None
        ) from error
    return message
