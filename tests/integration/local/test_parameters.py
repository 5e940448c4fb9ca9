"""What `PARAMETERS=` may say to a local stack."""

import pytest

from local.child import ServerFailed
from local.parameters import chosen


def test_a_local_stack_takes_parameters_of_the_template_and_no_others() -> None:
    assert chosen("AgentSignIn=otp SmsCountries='KE,UG'") == {
        "AgentSignIn": "otp",
        "SmsCountries": "KE,UG",
    }
    for mistake in ("AgentSignIn", "AgentSignin=otp", "=otp"):
        with pytest.raises(ServerFailed, match="not Name=value of a template's parameter"):
            chosen(mistake)
