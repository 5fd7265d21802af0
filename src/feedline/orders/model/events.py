"""What happens to orders, as values: the events that are entered and the reports that come back.

Amounts are exact: `Decimal` at the scale of their field (`QUANTITY`, `CASH`, `PRICE`), never a float.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum

import msgspec

from feedline.batch.identity import name_id

# The smallest steps of the amounts.
QUANTITY, CASH, PRICE = Decimal("0.0001"), Decimal("0.01"), Decimal("0.000001")
# Digits of every amount, the decimals included.
PRECISION = 18


class EventKind(StrEnum):
    NEW = "NEW"
    AMEND = "AMEND"
    CANCEL = "CANCEL"


class Product(StrEnum):
    EQUITY = "EQUITY"
    OPTION = "OPTION"
    MUTUAL_FUND = "MUTUAL_FUND"


class Side(StrEnum):
    BUY = "BUY"
    SELL = "SELL"
    SELL_SHORT = "SELL_SHORT"
    SUBSCRIBE = "SUBSCRIBE"
    REDEEM = "REDEEM"


class OrderType(StrEnum):
    MARKET = "MARKET"
    LIMIT = "LIMIT"


class TimeInForce(StrEnum):
    DAY = "DAY"
    GTC = "GTC"
    IOC = "IOC"
    FOK = "FOK"


class PutCall(StrEnum):
    PUT = "PUT"
    CALL = "CALL"


class EntrySource(StrEnum):
    HTTP = "HTTP"
    BULK = "BULK"


class ExecType(StrEnum):
    """FIX 4.4's words; CANCEL_REJECTED stands for an Order Cancel Reject."""

    NEW = "NEW"
    DONE_FOR_DAY = "DONE_FOR_DAY"
    CANCELED = "CANCELED"
    REPLACED = "REPLACED"
    PENDING_CANCEL = "PENDING_CANCEL"
    REJECTED = "REJECTED"
    PENDING_NEW = "PENDING_NEW"
    EXPIRED = "EXPIRED"
    PENDING_REPLACE = "PENDING_REPLACE"
    TRADE = "TRADE"
    ORDER_STATUS = "ORDER_STATUS"
    CANCEL_REJECTED = "CANCEL_REJECTED"


class OrdStatus(StrEnum):
    """FIX 4.4's words."""

    NEW = "NEW"
    PARTIALLY_FILLED = "PARTIALLY_FILLED"
    FILLED = "FILLED"
    DONE_FOR_DAY = "DONE_FOR_DAY"
    CANCELED = "CANCELED"
    REPLACED = "REPLACED"
    PENDING_CANCEL = "PENDING_CANCEL"
    REJECTED = "REJECTED"
    PENDING_NEW = "PENDING_NEW"
    EXPIRED = "EXPIRED"
    PENDING_REPLACE = "PENDING_REPLACE"


class OptionDetails(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which option."""

    underlying: str
    putCall: PutCall  # noqa: N815  the names of the schema
    strike: Decimal
    expiry: date


class Order(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An order as it should stand after an event; field names are those of the Avro schema and of the REST API, which
    decodes into it."""

    side: Side
    orderType: OrderType  # noqa: N815
    timeInForce: TimeInForce = TimeInForce.DAY  # noqa: N815
    quantity: Decimal | None = None
    cashAmount: Decimal | None = None  # noqa: N815
    limitPrice: Decimal | None = None  # noqa: N815
    currency: str
    symbol: str
    isin: str | None = None
    option: OptionDetails | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderEvent:
    """One event of an order. order: None for CANCEL. sequence: 1, then one more each event of the order."""

    event_id: str
    order_id: str
    sequence: int
    kind: EventKind
    account_id: str
    product: Product
    order: Order | None
    transact_time: datetime
    source: EntrySource
    client: str
    idempotency_key: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionReport:
    """What the FIX engine says of an order."""

    exec_id: str
    order_id: str
    cl_ord_id: str
    sequence: int
    exec_type: ExecType
    ord_status: OrdStatus
    last_qty: Decimal | None
    last_px: Decimal | None
    cum_qty: Decimal
    leaves_qty: Decimal
    avg_px: Decimal
    text: str | None
    transact_time: datetime
    fix_session: str
    fix_seq_num: int
    poss_dup: bool


def event_id(order_id: str, sequence: int) -> str:
    """The id of an event whose entry gives none: the same whenever the same place of the same order is entered."""
    return name_id(f"order\x1f{order_id}\x1f{sequence}")
