"""What people are told of stock, and that it fits into a push whatever things are called."""

from datetime import UTC, date, datetime
from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fieldgate.push import payload
from fieldgate.push.notifying import NewNotification
from stock import wording
from stock.alert_store import Example
from stock.loss_store import Loss, LossOfLot

REPORTER, MANAGER = UUID(int=1), UUID(int=2)
LOSS = Loss(
    id=UUID(int=3),
    lot_id=UUID(int=4),
    quantity=Decimal("12.500"),
    reason="The roof leaks",
    state="approved",
    reported_by=REPORTER,
    created_at=datetime(2026, 3, 2, tzinfo=UTC),
    decided_by=MANAGER,
    decided_at=datetime(2026, 3, 2, tzinfo=UTC),
)
OF_BEANS = LossOfLot(LOSS, "Beans", "kg", "Kisumu")
BEANS = Example("Beans", Decimal("40.000"), "kg", date(2026, 3, 9))


def example_of(product: str, unit: str) -> Example:
    return Example(product, Decimal("99999999999.999"), unit, date(2026, 12, 31))


def names(most: int) -> st.SearchStrategy[str]:
    """Names of many bytes, and of characters that JSON writes as two."""
    return st.text(st.sampled_from('x"é倉\U0001f33d'), min_size=1, max_size=most)


def fits(new: NewNotification) -> bool:
    data = payload.with_own(new.data, UUID(int=0), new.kind)
    return payload.fits(new.title, new.body, new.data) and (
        payload.size(new.title, new.body, data) < payload.MAX_BYTES
    )


def test_an_approver_reads_what_was_lost_where_and_why() -> None:
    new = wording.to_approve(OF_BEANS)
    assert (new.kind, new.title) == ("stock_loss_approval", "A loss to approve")
    assert new.body == "12.5 kg of Beans, Kisumu: The roof leaks"
    assert new.data == {
        "type": "stock_loss_approval",
        "lossId": str(LOSS.id),
        "lotId": str(LOSS.lot_id),
    }
    assert (new.permission, new.except_user_id) == ("stock:approve", REPORTER)
    assert (new.user_ids, new.roles) == ((), ())


def test_the_reporter_reads_what_was_decided() -> None:
    new = wording.decided(OF_BEANS)
    assert (new.kind, new.title) == ("stock_loss_decision", "Loss approved")
    assert new.body == "12.5 kg of Beans, Kisumu"
    assert new.data["state"] == "approved"
    assert (new.user_ids, new.permission, new.created_by) == ([REPORTER], None, MANAGER)
    assert new.collapse_key == wording.to_approve(OF_BEANS).collapse_key == f"loss:{LOSS.id}"


@pytest.mark.parametrize(
    ("lots", "title"),
    [
        ({7: 7}, "7 lots expire this week"),
        ({7: 1}, "1 lot expires this week"),
        ({0: 1}, "1 lot has expired"),
        ({0: 2}, "2 lots have expired"),
        ({1: 1}, "1 lot expires by tomorrow"),
        ({1: 3}, "3 lots expire by tomorrow"),
        ({14: 1}, "1 lot expires within 14 days"),
        ({30: 12_345}, "12,345 lots expire within 30 days"),
        ({30: 5, 0: 2, 7: 0}, "2 lots have expired, 5 more soon"),
        ({14: 1, 1: 1, 30: 1}, "1 lot expires by tomorrow, 2 more soon"),
    ],
)
def test_the_title_begins_with_what_presses_most(lots: dict[int, int], title: str) -> None:
    assert wording.expiring("Kisumu", lots, []).title == title


def test_the_body_names_the_warehouse_counts_by_threshold_and_some_of_the_lots() -> None:
    new = wording.expiring("Kisumu", {30: 4, 0: 1, 7: 2}, [BEANS])
    assert new.body == (
        "Kisumu: 1 expired, 2 within 7 days, 4 within 30 days."
        " Among them: Beans (40 kg, 9 Mar 2026)."
    )
    assert new.data == {"type": "stock_expiry", "warehouse": "Kisumu", "lots": "7"}
    assert (new.kind, new.permission) == ("stock_expiry", "stock:alerts")


def test_where_all_are_named_none_is_among_others() -> None:
    new = wording.expiring("Kisumu", {7: 1}, [BEANS])
    assert new.body == "Kisumu: 1 within 7 days. Beans (40 kg, 9 Mar 2026)."


@pytest.mark.parametrize("text", ["x" * 500, '"' * 500, "\U0001f33d" * 500])
def test_the_longest_names_fit_into_a_push(text: str) -> None:
    warehouse, product, unit = text[:100], text[:200], text[:20]
    example = example_of(product, unit)
    lots = dict.fromkeys((0, 1, 7, 14, 30), 10**9)
    assert fits(wording.expiring(warehouse, lots, [example] * 3))
    loss = LossOfLot(Loss(**vars(LOSS) | {"reason": text}), product, unit, warehouse)
    assert fits(wording.to_approve(loss))
    assert fits(wording.decided(loss))


@given(warehouse=names(100), product=names(200), unit=names(20), reason=names(500))
def test_any_names_fit_into_a_push(warehouse: str, product: str, unit: str, reason: str) -> None:
    examples = [example_of(product, unit)] * 3
    assert fits(wording.expiring(warehouse, {7: 3}, examples))
    loss = LossOfLot(Loss(**vars(LOSS) | {"reason": reason}), product, unit, warehouse)
    assert fits(wording.to_approve(loss))


def test_what_is_cut_says_so() -> None:
    new = wording.expiring("K" * 81, {7: 1}, [])
    assert new.body == f"{'K' * 79}…: 1 within 7 days."
    assert new.data["warehouse"] == "K" * 81, "by which the app finds it"


@given(one=names(100), other=names(100))
def test_warehouses_replace_their_own_warnings_only(one: str, other: str) -> None:
    first, second = (wording.expiring(name, {7: 1}, []).collapse_key for name in (one, other))
    assert first is not None
    assert second is not None
    assert (first == second) == (one == other)
    assert first.isascii()
    assert len(first) <= 64


def test_a_short_name_is_the_key_itself() -> None:
    assert wording.expiring("Kisumu", {7: 1}, []).collapse_key == "expiry:Kisumu"
