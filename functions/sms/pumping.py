"""Noticing codes that are sent and never typed in: somebody earns by the texts we pay for.

Fraudsters have codes sent to ranges of numbers that they share in the revenue of. A person types
the code; a range doesn't.
"""

from collections import Counter

from fieldgate.db.engine import Database
from fieldgate.observability import gauge, logger
from sms import store
from sms.store import Conversion

MIN_SENT = 10
MIN_SHARE = 0.2


def is_suspected(prefix: Conversion) -> bool:
    """Say whether so many codes should have led to more."""
    return prefix.sent >= MIN_SENT and prefix.verified < MIN_SHARE * prefix.sent


def watch(database: Database) -> None:
    """Report the last hour: what was sent and verified by country, and ranges that look bought."""
    prefixes = database.read(store.conversion)
    suspected = [prefix for prefix in prefixes if is_suspected(prefix)]
    for prefix in suspected:
        # Without its plus, as the log would mask it. It stands for a thousand numbers.
        name = f"{prefix.prefix.removeprefix('+')}xxx"
        numbers = {"prefix": name, "sent": prefix.sent, "verified": prefix.verified}
        logger().warning("codes sent and not typed in", extra=numbers)
    gauge("OtpPumpingSuspected", len(suspected))
    sent: Counter[str] = Counter()
    verified: Counter[str] = Counter()
    for prefix in prefixes:
        country = country_of(prefix.prefix)
        sent[country] += prefix.sent
        verified[country] += prefix.verified
    for country in sent:
        gauge("OtpSent", sent[country], country=country)
        gauge("OtpVerified", verified[country], country=country)


def country_of(prefix: str) -> str:
    """Return the main country (ISO 3166) of a number's calling code; ZZ for none."""
    from phonenumbers import NumberParseException, parse, region_code_for_country_code

    try:
        return str(region_code_for_country_code(parse(f"{prefix}000").country_code or 0))
    except NumberParseException:
        return "ZZ"
