"""Texts by Amazon SNS (docs.aws.amazon.com/sns/latest/api/API_Publish.html).

It has no delivery reports but its log, and drops texts without a word beyond the account's monthly
spending limit.
"""

from typing import TYPE_CHECKING

from fieldgate.settings import once
from fieldgate.sms import (
    SmsError,
    SmsMisconfigured,
    SmsNotReached,
    SmsRefused,
    SmsUnavailable,
)

if TYPE_CHECKING:
    from mypy_boto3_sns import SNSClient

# What becomes of a text, by the error's code; any other is worth another try.
FAILURES: dict[str, type[SmsError]] = {
    "InvalidParameter": SmsRefused,
    "ParameterValueInvalid": SmsRefused,
    "OptedOut": SmsRefused,
    "AccessDenied": SmsMisconfigured,
    "AccessDeniedException": SmsMisconfigured,
    "AuthorizationError": SmsMisconfigured,
    "ExpiredToken": SmsMisconfigured,
    "InvalidClientTokenId": SmsMisconfigured,
    "InvalidSecurity": SmsMisconfigured,
    "SignatureDoesNotMatch": SmsMisconfigured,
    "UnrecognizedClientException": SmsMisconfigured,
    "UserError": SmsMisconfigured,
}


class SnsSender:
    """`SmsSender` over SNS, with the credentials of the function's role."""

    provider = "sns"

    def send(self, phone: str, text: str) -> str:
        from botocore.exceptions import (
            BotoCoreError,
            ClientError,
            EndpointConnectionError,
            HTTPClientError,
        )
        from botocore.exceptions import ConnectionError as NotReached

        try:
            answer = _client().publish(
                PhoneNumber=phone,
                Message=text,
                MessageAttributes={
                    "AWS.SNS.SMS.SMSType": {"DataType": "String", "StringValue": "Transactional"}
                },
            )
        except ClientError as error:
            code = str(error.response.get("Error", {}).get("Code", ""))
            raise FAILURES.get(code, SmsUnavailable)(code or "unknown_status") from None
        except EndpointConnectionError as error:
            raise SmsNotReached(type(error).__name__) from None
        except (HTTPClientError, NotReached) as error:
            raise SmsUnavailable(type(error).__name__) from None
        except BotoCoreError as error:  # no credentials, no region
            raise SmsMisconfigured(type(error).__name__) from None
        return answer["MessageId"]


@once
def _client() -> "SNSClient":
    import boto3
    from botocore.config import Config

    return boto3.client(
        "sns",
        config=Config(
            connect_timeout=1,
            read_timeout=3,
            # The worker tries again, and knows when it is too late for that.
            retries={"mode": "standard", "total_max_attempts": 1},
        ),
    )
