"""Losses: reported by one, and decided by another."""

from uuid import UUID

from sqlalchemy import Connection

from fieldgate.db.engine import Database
from fieldgate.db.known_caller import a_known_caller
from fieldgate.errors import BusinessRule, NotFound
from fieldgate.http import RequestModel
from fieldgate.http.idempotency import IdempotentRequest
from fieldgate.push.notifying import notify, wake_pushers
from stock import loss_store, wording
from stock.loss_store import NoSuchLot, NotEnough
from stock.request_types import Quantity, Reason
from stock.views import LossView

NOT_ENOUGH = "INSUFFICIENT_STOCK"


class NewLoss(RequestModel):
    lot_id: UUID
    quantity: Quantity
    reason: Reason


def report(
    request: IdempotentRequest, database: Database, reported_by: UUID, loss: NewLoss
) -> LossView:
    """Report a loss, once a request, and tell whoever may decide on it.

    It is compared with what is left of the lot, whatever else is reported of it: others' reports
    may be rejected. Approving compares again, and takes.

    Raises:
        NotFound: no such lot.
        BusinessRule: INSUFFICIENT_STOCK, less than that is left of the lot.
        Unauthorized: `reported_by` is no user (any more).

    """

    def add(connection: Connection) -> LossView:
        try:
            added = loss_store.add(connection, loss.lot_id, loss.quantity, loss.reason, reported_by)
        except NoSuchLot:
            raise NotFound("There is no such lot.") from None
        except NotEnough:
            raise not_enough() from None
        notify(connection, wording.to_approve(added))
        return LossView.of(added.loss)

    with a_known_caller():
        view = request.transact(database, add, LossView, actor=str(reported_by))
    wake_pushers()
    return view


def not_enough() -> BusinessRule:
    return BusinessRule("There is not as much left of this lot.", code=NOT_ENOUGH)
