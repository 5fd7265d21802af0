"""The FIX data dictionary: what a message must be, and the names of tags and values."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from xml.etree import ElementTree as ET

import quickfix as fix

from feedline.catalog import default_catalog_path
from feedline.errors import ConfigurationError, SchemaMismatchError
from feedline.orders.fix.raw import SOH

BEGIN_STRING = "FIX.4.4"
_POSS_RESEND = 97
_SIGNATURE = "89"


def dictionary_path() -> Path:
    """What we send is held against it, and what the simulated engine receives."""
    return default_catalog_path().parent / "fix" / "FIX44.xml"


def received_path() -> Path:
    """What a session must know to take what any engine sends; it says nothing of fields that nobody here reads."""
    return dictionary_path().with_name("FIX44-received.xml")


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
    """The names of both dictionaries, for people."""
    root, received = (ET.parse(one).getroot() for one in (dictionary_path(), received_path()))  # noqa: S314  our own
    tags = {field.attrib["number"]: field.attrib["name"] for field in received.iterfind("fields/field")}
    values = {}
    for field in root.iterfind("fields/field"):
        tags[field.attrib["number"]] = field.attrib["name"]
        for value in field.iterfind("value"):
            values[field.attrib["number"], value.attrib["enum"]] = value.attrib["description"]
    messages = {one.attrib["msgtype"]: one.attrib["name"] for one in root.iterfind("messages/message")}
    return Names(tags, values, messages)


@cache
def _data_field() -> re.Pattern[str]:
    """Where a field begins whose value may hold anything, also the end of a field."""
    root = ET.parse(received_path()).getroot()  # noqa: S314  our own file
    tags = [one.attrib["number"] for one in root.iterfind("fields/field[@type='DATA']")]
    return re.compile(f"{SOH}(?:{'|'.join(tags)})=")


def fields_of(raw: str) -> dict[str, str]:
    """The fields of a message, as QuickFIX gives it, by tag; of a tag that is repeated, in a group, the last.

    Bytes that are no UTF-8 are read as Latin-1.
    """
    if not raw.isascii():
        raw = _readable(raw)
    if _data_field().search(raw):
        return dict(_with_data(raw))
    return dict(part.split("=", 1) for part in raw.split(SOH) if part)


def _readable(raw: str) -> str:
    # QuickFIX's binding gives a byte that is no UTF-8 as half a surrogate pair, which nothing can encode.
    told = raw.encode("utf-8", "surrogateescape")
    try:
        return told.decode()
    except UnicodeDecodeError:
        return told.decode("latin-1")


def _with_data(raw: str) -> Iterator[tuple[str, str]]:
    """The fields of a message with data, whose length is told by the field before, in bytes."""
    told, at, length = raw.encode(), 0, 0
    while at < len(told):
        equal = told.index(b"=", at)
        tag = told[at:equal].decode()
        if tag == _SIGNATURE:
            # Its length comes behind it, and then only the checksum.
            return
        is_data = _data_field().match(f"{SOH}{tag}=") is not None
        end = equal + 1 + length if is_data else told.index(SOH.encode(), equal)
        value = told[equal + 1 : end].decode(errors="replace")
        yield tag, value
        at, length = end + 1, int(value) if value.isdecimal() else 0


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
