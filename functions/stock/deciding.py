"""A second person's word on a loss. What is approved is taken from the lot."""

from uuid import UUID

from sqlalchemy import Connection

from fieldgate.db.engine import Database
from fieldgate.db.known_caller import a_known_caller
from fieldgate.errors import Conflict, FieldgateError, Forbidden, NotFound
from fieldgate.http.idempotency import IdempotentRequest
from fieldgate.push.notifying import notify, wake_pushers
from stock import loss_store, lot_store, wording
from stock.loss_store import Loss, Verdict
from stock.reporting import not_enough
from stock.views import LossView


def decide(
    request: IdempotentRequest, database: Database, loss_id: UUID, verdict: Verdict, actor: UUID
) -> LossView:
    """Approve or reject a loss, for good, and tell who reported it.

    Rows are locked in this order: the loss, its lot, the lot's alerts.

    Raises:
        NotFound: no such loss.
        Forbidden: `actor` reported it.
        Conflict: it is decided.
        BusinessRule: INSUFFICIENT_STOCK, less is left of the lot by now; the loss stays pending.
        Unauthorized: `actor` is no user (any more).

    """

    def work(connection: Connection) -> LossView:
        decided = loss_store.decide(connection, loss_id, verdict, actor)
        if decided is None:
            raise _refusal(loss_store.find(connection, loss_id), actor)
        loss = decided.loss
        if verdict == "approved" and not lot_store.take(connection, loss.lot_id, loss.quantity):
            raise not_enough()
        notify(connection, wording.decided(decided))
        return LossView.of(loss)

    with a_known_caller():
        view = request.transact(database, work, LossView, actor=str(actor))
    wake_pushers()
    return view


def _refusal(loss: Loss | None, actor: UUID) -> FieldgateError:
    if loss is None:
        return NotFound("There is no such loss.")
    if loss.reported_by == actor:
        return Forbidden("Whoever reported a loss doesn't decide on it.")
    return Conflict("This loss is decided already.")
