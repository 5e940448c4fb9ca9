import pytest
from pydantic import ValidationError

from local.fault_orders import FaultOrder
from local.faults import FaultMode


@pytest.mark.parametrize("mode", ["cut", "lost", "expired"])
def test_what_befalls_single_requests_can_be_done_to_storage_only(mode: FaultMode) -> None:
    assert FaultOrder(target="s3", mode=mode, seconds=1).mode == mode
    for target in ("cache", "sms", "fcm", "database"):
        with pytest.raises(ValidationError, match=f"mode {mode} goes with target s3"):
            FaultOrder.model_validate({"target": target, "mode": mode, "seconds": 1})


@pytest.mark.parametrize("mode", ["down", "slow", "error", "hang"])
@pytest.mark.parametrize("target", ["cache", "s3", "sms", "fcm", "database"])
def test_the_other_faults_can_befall_anything(target: str, mode: str) -> None:
    order = {"target": target, "mode": mode, "seconds": 1}

    assert FaultOrder.model_validate(order).target == target


@pytest.mark.parametrize(("target", "code"), [("sms", 405), ("fcm", "UNREGISTERED")])
def test_errors_are_those_of_the_target(target: str, code: int | str) -> None:
    order = {"target": target, "mode": "error", "seconds": 1, "code": code}
    assert FaultOrder.model_validate(order).code == code
    other = {"sms": "fcm", "fcm": "sms"}[target]
    for change in ({"target": other}, {"target": "cache"}, {"mode": "slow"}, {"code": "Tired"}):
        with pytest.raises(ValidationError, match="code"):
            FaultOrder.model_validate(order | change)


def test_fcm_can_be_broken_for_one_app_and_asks_to_be_left_alone() -> None:
    order = {"target": "fcm", "mode": "error", "seconds": 1}
    assert FaultOrder.model_validate(order).broken == "fcm"
    order |= {"token": "a-token", "retryAfter": 60}
    understood = FaultOrder.model_validate(order)
    assert (understood.broken, understood.retry_after) == ("fcm:a-token", 60)
    for change in ({"target": "sms"}, {"retryAfter": -1}, {"token": ""}):
        with pytest.raises(ValidationError):
            FaultOrder.model_validate(order | change)
    with pytest.raises(ValidationError, match="retryAfter goes with"):
        FaultOrder.model_validate(order | {"mode": "down"})
