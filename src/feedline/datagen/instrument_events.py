"""Arrays of the security master: where an instrument trades, and what its issuer pays and calls for."""

from __future__ import annotations

from datetime import date

from feedline.datagen.calendar import business_day, month_later
from feedline.datagen.chance import letters, pick, stream
from feedline.datagen.exact import PRICE, draw, percentage, product, units
from feedline.datagen.identifiers import sedol
from feedline.datagen.instruments import BILL, FUTURE, Instrument
from feedline.datagen.market import Market, Section
from feedline.datagen.vocabulary import MARKET_PLACES

_LISTINGS = 3
_PAST, _COMING = 5, 4


def listing_items(market: Market, instrument: Instrument) -> list[Section]:
    chance = stream(market.seed, "listings", instrument.number)
    own = MARKET_PLACES.index(instrument.place)
    items = []
    for index in range(1 if instrument.asset_class == FUTURE else _LISTINGS):
        place = MARKET_PLACES[(own + index * 4) % len(MARKET_PLACES)]
        items.append(
            {
                "mic": place.mic,
                "ticker": instrument.ticker if index == 0 else letters(chance, 4),
                "sedol": instrument.sedol if index == 0 else sedol(chance),
                "currency": place.currency,
                "is_primary": index == 0,
            }
        )
    return items


def schedule_items(market: Market, instrument: Instrument) -> list[Section]:
    """The last events and the coming ones, the oldest first; bills and futures only end."""
    if instrument.asset_class in (BILL, FUTURE):
        assert instrument.maturity is not None
        kind = "REDEMPTION" if instrument.asset_class == BILL else "EXPIRY"
        return [_item(market, instrument, kind, instrument.maturity, None)]
    chance = stream(market.seed, "schedule", instrument.number)
    months = pick(chance, (3, 6, 12))
    kind, rate = (
        "DIVIDEND",
        product(market.quote(instrument).unit, draw(chance, 0.002, 0.012, units(1, 6)), units(1, 4)),
    )
    coupons = instrument.coupon_dates(market.date)
    anchor = month_later(market.date, -(market.date.month % months))
    if coupons is not None and instrument.coupon is not None:
        kind, rate, anchor = "COUPON", percentage(units(1, 0), instrument.coupon, PRICE), coupons[0]
    steps = range(-_PAST + 1, _COMING + 1)
    return [_item(market, instrument, kind, month_later(anchor, months * step), rate) for step in steps]


def _item(market: Market, instrument: Instrument, kind: str, day: date, rate: object) -> Section:
    paid = business_day(day, 2)
    status = "PAID" if paid <= market.date else "CONFIRMED" if day <= market.date else "ANNOUNCED"
    return {
        "event_type": kind,
        "event_date": day,
        "payment_date": paid,
        "rate_per_unit": rate,
        "event_status": status,
        "reference": f"CA{day:%Y%m%d}{instrument.number:06d}",
    }
