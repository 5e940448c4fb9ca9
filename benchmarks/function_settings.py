"""What functions are told by their environment, where a benchmark runs them in its own process."""

from fieldgate import tokens
from local import template as sam
from local.cloud import ACCOUNT, SECRET

PEPPER = "a-pepper-for-benchmarks-and-nothing-else"


def function_settings(queues_url: str, storage_url: str) -> dict[str, str]:
    """Return the environment of AWS, storage and tokens, with a signing key of its own."""
    private, public = tokens.new_signing_key()
    return {
        "ENVIRONMENT": "benchmark",
        "AWS_DEFAULT_REGION": sam.REGION,
        "AWS_ACCESS_KEY_ID": ACCOUNT,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_ENDPOINT_URL_SQS": queues_url,
        "STORAGE_ENDPOINT": storage_url,
        "STORAGE_REGION": sam.REGION,
        "STORAGE_ACCESS_KEY": ACCOUNT,
        "STORAGE_SECRET_KEY": SECRET,
        "PEPPER": PEPPER,
        "JWT_ISSUER": "https://api.fieldgate.test",
        "JWT_AUDIENCE": "fieldgate-app",
        "JWT_SIGNING_KEY": private,
        "JWT_PUBLIC_KEYS": f'{{"keys": [{public}]}}',
    }
