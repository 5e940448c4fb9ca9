import pytest
from pydantic import ValidationError

from local.faults import FaultMode
from local.front_door import FaultOrder


@pytest.mark.parametrize("mode", ["cut", "lost", "expired"])
def test_what_befalls_single_requests_can_be_done_to_storage_only(mode: FaultMode) -> None:
    assert FaultOrder(target="s3", mode=mode, seconds=1).mode == mode
    for target in ("cache", "sms", "database"):
        with pytest.raises(ValidationError, match=f"mode {mode} goes with target s3"):
            FaultOrder.model_validate({"target": target, "mode": mode, "seconds": 1})


@pytest.mark.parametrize("mode", ["down", "slow", "error", "hang"])
@pytest.mark.parametrize("target", ["cache", "s3", "sms", "database"])
def test_the_other_faults_can_befall_anything(target: str, mode: str) -> None:
    order = {"target": target, "mode": mode, "seconds": 1}

    assert FaultOrder.model_validate(order).target == target
