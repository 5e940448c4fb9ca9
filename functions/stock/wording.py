"""What people are told of stock. Long names are cut, so that it fits into a push."""

import hashlib
from collections.abc import Mapping, Sequence
from decimal import Decimal

from fieldgate.push.notifying import NewNotification
from stock.alert_store import Example
from stock.loss_store import LossOfLot

MOST_NAME_CHARS = 80
MOST_REASON_CHARS = 300
# A collapse key becomes one of Apple's, of which longer ones are refused.
MOST_COLLAPSE_CHARS = 64

# Of lots by their threshold: the title's words for one and for many, and the body's for any number.
_WORDS: Mapping[int, tuple[str, str, str]] = {
    0: ("1 lot has expired", "{} lots have expired", "{} expired"),
    1: ("1 lot expires by tomorrow", "{} lots expire by tomorrow", "{} by tomorrow"),
    7: ("1 lot expires this week", "{} lots expire this week", "{} within 7 days"),
    14: ("1 lot expires within 14 days", "{} lots expire within 14 days", "{} within 14 days"),
    30: ("1 lot expires within 30 days", "{} lots expire within 30 days", "{} within 30 days"),
}


def to_approve(reported: LossOfLot) -> NewNotification:
    """Word what whoever may decide on a loss is told of it; its reporter isn't."""
    loss = reported.loss
    return NewNotification(
        kind="stock_loss_approval",
        title="A loss to approve",
        body=f"{_lost(reported)}: {_short(loss.reason, MOST_REASON_CHARS)}",
        data={
            "type": "stock_loss_approval",
            "lossId": str(loss.id),
            "lotId": str(loss.lot_id),
        },
        collapse_key=f"loss:{loss.id}",
        permission="stock:approve",
        except_user_id=loss.reported_by,
        created_by=loss.reported_by,
    )


def decided(made: LossOfLot) -> NewNotification:
    """Word what who reported a loss is told of the decision."""
    loss = made.loss
    return NewNotification(
        kind="stock_loss_decision",
        title=f"Loss {loss.state}",
        body=_lost(made),
        data={
            "type": "stock_loss_decision",
            "lossId": str(loss.id),
            "lotId": str(loss.lot_id),
            "state": loss.state,
        },
        collapse_key=f"loss:{loss.id}",
        user_ids=[loss.reported_by],
        created_by=loss.decided_by,
    )


def expiring(
    warehouse: str, lots: Mapping[int, int], examples: Sequence[Example]
) -> NewNotification:
    """Word what is told of a warehouse's lots, given by threshold how many; there is one at least.

    A later one of the same warehouse takes its place on the phone.
    """
    counts = [(days, lots[days]) for days in sorted(lots) if lots[days]]
    total = sum(number for _, number in counts)
    days, number = counts[0]
    one, many, _ = _WORDS[days]
    title = one if number == 1 else many.format(f"{number:,}")
    if total > number:
        title = f"{title}, {total - number:,} more soon"
    by_threshold = ", ".join(_WORDS[days][2].format(f"{number:,}") for days, number in counts)
    named = ", ".join(_named(example) for example in examples)
    among = f" {'Among them: ' if total > len(examples) else ''}{named}." if named else ""
    return NewNotification(
        kind="stock_expiry",
        title=title,
        body=f"{_short(warehouse)}: {by_threshold}.{among}",
        data={"type": "stock_expiry", "warehouse": warehouse, "lots": str(total)},
        collapse_key=_collapse_key(warehouse),
        permission="stock:alerts",
    )


def amount(quantity: Decimal, unit: str) -> str:
    """Write a quantity without zeros that say nothing: 12.5 kg."""
    return f"{quantity.normalize():f} {unit}"


def _lost(made: LossOfLot) -> str:
    what = f"{amount(made.loss.quantity, made.unit)} of {_short(made.product)}"
    return f"{what}, {_short(made.warehouse)}"


def _named(example: Example) -> str:
    until = f"{example.expires_on.day} {example.expires_on:%b %Y}"
    return f"{_short(example.product)} ({amount(example.quantity, example.unit)}, {until})"


def _short(text: str, most: int = MOST_NAME_CHARS) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _collapse_key(warehouse: str) -> str:
    key = f"expiry:{warehouse}"
    if key.isascii() and len(key) <= MOST_COLLAPSE_CHARS:
        return key
    return f"expiry:{hashlib.sha256(warehouse.encode()).hexdigest()[:32]}"
