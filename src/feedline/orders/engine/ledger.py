"""Orders as the engine holds them, and what it answers: functions of the book, which is written by the caller."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal

from feedline.orders.engine.behaviour import Answer
from feedline.orders.engine.book import Arrival, Book, Report, Verdict, now
from feedline.orders.fix.raw import SOH

NEW, CANCEL, REPLACE = "D", "F", "G"
ORDER_MESSAGES = frozenset({NEW, CANCEL, REPLACE})
FINAL = frozenset({"2", "4", "8", "C"})

# What a report repeats of the order.
_ECHOED = ("1", "55", "48", "22", "461", "167", "541", "202", "711", "311", "54", "38", "152", "40", "44", "15", "59")
_MARKET_PRICE = Decimal("100.00")
_UNIT = Decimal("0.0001")
_PRICE = Decimal("0.000001")


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineOrder:
    """An order after what was booked of it. cl_ord_id: of its last message; standing: of the last that was taken, by
    which the next has to name it; fields: the FIX fields that say how it stands; status: OrdStatus."""

    order_id: str
    cl_ord_id: str
    standing: str
    sequence: int
    session: str
    fields: Mapping[str, str]
    status: str = "A"
    filled: Decimal = Decimal(0)
    paid: Decimal = Decimal(0)

    @property
    def price(self) -> Decimal:
        return Decimal(self.fields.get("44") or _MARKET_PRICE)

    @property
    def quantity(self) -> Decimal:
        """Of an order by cash amount: what the amount buys."""
        if "38" in self.fields:
            return Decimal(self.fields["38"])
        return (Decimal(self.fields["152"]) / self.price).quantize(_UNIT)

    @property
    def open_quantity(self) -> Decimal:
        return Decimal(0) if self.status in FINAL else self.quantity - self.filled


def split_id(cl_ord_id: str) -> tuple[str, int]:
    """The order and its sequence in a ClOrdID `<order>-<sequence>`; another form is an order of one message."""
    order_id, _, number = cl_ord_id.rpartition("-")
    return (order_id, int(number)) if order_id and number.isdecimal() else (cl_ord_id, 1)


def arrival_of(fields: dict[str, str], session: str, verdict: Verdict) -> Arrival:
    order_id, sequence = split_id(fields["11"])
    return Arrival(
        at=now(),
        session=session,
        seq_num=int(fields["34"]),
        msg_type=fields["35"],
        cl_ord_id=fields["11"],
        orig_cl_ord_id=fields.get("41"),
        order_id=order_id,
        sequence=sequence,
        poss_dup=fields.get("43") == "Y",
        poss_resend=fields.get("97") == "Y",
        partition=int(fields["9701"]) if "9701" in fields else None,
        offset=int(fields["9702"]) if "9702" in fields else None,
        verdict=verdict,
        fields={tag: fields[tag] for tag in _ECHOED if tag in fields},
    )


class Orders:
    """The orders of a book, by id, and who is known by which ClOrdID."""

    def __init__(self, book: Book) -> None:
        self._orders: dict[str, EngineOrder] = {}
        self._owner: dict[str, str] = {}
        messages: dict[str, Arrival] = {}
        for entry in book.entries:
            if isinstance(entry, Report):
                self._reported(entry, messages[entry.cl_ord_id])
            elif entry.verdict == Verdict.BOOKED:
                messages[entry.cl_ord_id] = entry
                self.take(entry)
            elif entry.verdict == Verdict.COPY:
                self.move(entry)

    def __len__(self) -> int:
        return len(self._orders)

    def __contains__(self, cl_ord_id: str) -> bool:
        return cl_ord_id in self._owner

    def order(self, order_id: str) -> EngineOrder | None:
        return self._orders.get(order_id)

    def by_cl_ord_id(self, cl_ord_id: str) -> EngineOrder:
        return self._orders[self._owner[cl_ord_id]]

    def verdict(self, fields: Mapping[str, str]) -> Verdict:
        """What becomes of an order message."""
        cl_ord_id = fields["11"]
        if cl_ord_id in self._owner:
            marked = "Y" in (fields.get("43"), fields.get("97"))
            return Verdict.COPY if marked else Verdict.UNMARKED_COPY
        order_id, sequence = split_id(cl_ord_id)
        held = self._orders.get(order_id)
        if fields["35"] == NEW:
            return Verdict.BOOKED if held is None and sequence == 1 else Verdict.OUT_OF_SEQUENCE
        follows = held is not None and fields["41"] == held.standing and sequence == held.sequence + 1
        return Verdict.BOOKED if follows else Verdict.OUT_OF_SEQUENCE

    def take(self, arrival: Arrival) -> EngineOrder:
        """The order after a message that is booked."""
        held = self._orders.get(arrival.order_id)
        same = {"cl_ord_id": arrival.cl_ord_id, "sequence": arrival.sequence, "session": arrival.session}
        if held is None:
            same["standing"] = arrival.cl_ord_id
            order = EngineOrder(order_id=arrival.order_id, fields=arrival.fields, **same)  # type: ignore[arg-type]
        else:
            order = replace(held, **same)  # type: ignore[arg-type]
        self._orders[arrival.order_id] = order
        self._owner[arrival.cl_ord_id] = arrival.order_id
        return order

    def put(self, order: EngineOrder) -> None:
        self._orders[order.order_id] = order

    def move(self, copy: Arrival) -> None:
        """Reports of the order go where it was last sent from: another session may have taken it over."""
        self.put(replace(self.by_cl_ord_id(copy.cl_ord_id), session=copy.session))

    def _reported(self, report: Report, message: Arrival) -> None:
        """The order after a report of it, read back from the book."""
        order = self._orders[report.order_id]
        replaced = f"{SOH}150=5{SOH}" in report.body
        taken = replaced or f"{SOH}150=4{SOH}" in report.body
        self._orders[report.order_id] = replace(
            order,
            standing=report.cl_ord_id if taken else order.standing,
            fields=message.fields if replaced else order.fields,
            status=report.status,
            filled=Decimal(report.filled),
            paid=Decimal(report.paid),
        )


class Answers:
    """The reports that answer one message of an order, each on the order as the one before left it."""

    def __init__(self, order: EngineOrder, message: Arrival, epoch: int, given: int) -> None:
        self.order = order
        self.reports: list[Report] = []
        self._message = message
        self._epoch = epoch
        self._given = given

    def answer(self, how: Answer) -> None:
        """Adds what the engine says when it is told to answer so."""
        message, order = self._message, self.order
        if message.msg_type == NEW:
            if how is Answer.REJECT:
                self._report("8", "8", extra=f"103=0{SOH}58=rejected on command{SOH}")
                return
            self._report("0", "0")
        elif order.status in FINAL:
            self._cancel_reject("0", "the order is closed")
            return
        elif how is Answer.REJECT:
            self._cancel_reject("2", "rejected on command")
            return
        elif message.msg_type == CANCEL:
            self.order = replace(order, standing=message.cl_ord_id)
            self._report("4", "4")
            return
        else:
            self._replace()
        if how is Answer.FILL:
            self.fill(self.order.open_quantity)
        elif how is Answer.PARTIAL:
            self.fill((self.order.open_quantity / 2).quantize(_UNIT))

    def fill(self, quantity: Decimal) -> None:
        """Adds a fill; none for a quantity of 0."""
        order = self.order
        quantity = min(quantity, order.open_quantity)
        if quantity <= 0:
            return
        filled, paid = order.filled + quantity, order.paid + quantity * order.price
        self.order = replace(order, filled=filled, paid=paid)
        status = "2" if filled >= order.quantity else "1"
        self._report("F", status, extra=f"32={quantity:f}{SOH}31={order.price:f}{SOH}")

    def _replace(self) -> None:
        amended = replace(self.order, fields=self._message.fields, standing=self._message.cl_ord_id)
        if amended.quantity < self.order.filled:
            self._cancel_reject("2", "less than is filled already")
            return
        self.order = amended
        status = "1" if amended.filled else "0"
        self._report("5", "2" if amended.filled == amended.quantity else status)

    def _report(self, exec_type: str, status: str, extra: str = "") -> None:
        self.order = order = replace(self.order, status=status)
        average = (order.paid / order.filled).quantize(_PRICE) if order.filled else Decimal(0)
        echoed = "".join(f"{tag}={value}{SOH}" for tag, value in order.fields.items())
        original = f"41={self._message.orig_cl_ord_id}{SOH}" if self._message.orig_cl_ord_id else ""
        exec_id = self._exec_id()
        self._add(
            exec_id,
            f"35=8{SOH}37={order.order_id}{SOH}11={self._message.cl_ord_id}{SOH}{original}17={exec_id}{SOH}"
            f"150={exec_type}{SOH}39={status}{SOH}{echoed}{extra}151={order.open_quantity:f}{SOH}14={order.filled:f}{SOH}"
            f"6={average:f}{SOH}60={fix_time()}{SOH}",
        )

    def _cancel_reject(self, reason: str, text: str) -> None:
        self._add(self._exec_id(), cancel_reject(self._message, self.order.status, reason, text))

    def _exec_id(self) -> str:
        self._given += 1
        restored = f"/r{self._epoch}" if self._epoch else ""
        return f"{self._message.cl_ord_id}/{self._given}{restored}"

    def _add(self, exec_id: str, body: str) -> None:
        order = self.order
        self.reports.append(
            Report(
                exec_id=exec_id,
                cl_ord_id=self._message.cl_ord_id,
                order_id=order.order_id,
                session=order.session,
                body=body,
                status=order.status,
                filled=f"{order.filled:f}",
                paid=f"{order.paid:f}",
            )
        )


def refusal(message: Arrival) -> str:
    """The body that answers what is not booked."""
    copy = message.verdict == Verdict.UNMARKED_COPY
    if message.msg_type == NEW:
        reason, text = ("6", "this ClOrdID is booked") if copy else ("99", "not the first message of the order")
        return _rejection(message, f"103={reason}{SOH}58={text}{SOH}")
    reason, text = ("6", "this ClOrdID is booked") if copy else ("1", "not the order's next message")
    return cancel_reject(message, "8", reason, text)


def cancel_reject(message: Arrival, status: str, reason: str, text: str) -> str:
    to = "1" if message.msg_type == CANCEL else "2"
    return (
        f"35=9{SOH}37={message.order_id}{SOH}11={message.cl_ord_id}{SOH}41={message.orig_cl_ord_id}{SOH}39={status}{SOH}"
        f"60={fix_time()}{SOH}434={to}{SOH}102={reason}{SOH}58={text}{SOH}"
    )


def _rejection(message: Arrival, extra: str) -> str:
    echoed = "".join(f"{tag}={value}{SOH}" for tag, value in message.fields.items())
    return (
        f"35=8{SOH}37={message.order_id}{SOH}11={message.cl_ord_id}{SOH}17={message.cl_ord_id}/refused/{message.seq_num}{SOH}"
        f"150=8{SOH}39=8{SOH}{extra}{echoed}151=0{SOH}14=0{SOH}6=0{SOH}60={fix_time()}{SOH}"
    )


def status_body(fields: Mapping[str, str], order: EngineOrder | None) -> str:
    """The answer to an Order Status Request: how the order stands, or that the ClOrdID is not known."""
    request = f"790={fields['790']}{SOH}" if "790" in fields else ""
    asked = "".join(f"{tag}={fields[tag]}{SOH}" for tag in ("55", "54") if tag in fields)
    status, filled, left = ("8", Decimal(0), Decimal(0)) if order is None else (
        order.status, order.filled, order.open_quantity,
    )  # fmt: skip
    unknown = f"103=5{SOH}58=this ClOrdID is not known{SOH}" if order is None else ""
    return (
        f"35=8{SOH}37={order.order_id if order else 'NONE'}{SOH}11={fields['11']}{SOH}{request}17=0{SOH}150=I{SOH}"
        f"39={status}{SOH}"
        f"{unknown}{asked}151={left:f}{SOH}14={filled:f}{SOH}6=0{SOH}60={fix_time()}{SOH}"
    )


def fix_time() -> str:
    """Now, as FIX writes it."""
    return now().replace("-", "").replace("T", "-")[:21]
