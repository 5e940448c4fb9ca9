"""Noticing codes that are sent and never typed in: somebody earns by the texts we pay for.

Fraudsters have codes sent to ranges of numbers that they share in the revenue of. A person types
the code; a range doesn't. Who spreads few texts over many ranges still shows in the country.
"""

from collections import Counter

from fieldgate.db.engine import Database
from fieldgate.observability import gauge, logger, percentage
from sms import store
from sms.store import Conversion

# How many codes tell something: to a range of a thousand numbers, to a country, to everybody.
ENOUGH_TO_RANGE = 10
ENOUGH_TO_COUNTRY = 50
ENOUGH_IN_ALL = 20
MIN_PERCENT = 20
# Each range is a metric of its own, which is paid for.
MEASURED_RANGES = 10


def watch(database: Database) -> None:
    """Report what was sent and verified in the last hour, and where it looks bought."""
    ranges = database.read(store.conversion)
    countries = by_country(ranges)
    suspected = [{"prefix": _name(to)} | _numbers(to) for to in ranges if is_bought_range(to)]
    suspected += [{"country": to.place} | _numbers(to) for to in countries if is_bought_country(to)]
    for place in suspected:
        logger().warning("codes sent and not typed in", extra=place)
    gauge("OtpPumpingSuspected", len(suspected))
    everywhere = in_all(ranges)
    if everywhere.sent >= ENOUGH_IN_ALL:
        percentage("OtpConversion", everywhere.percent)
    for to in worst(ranges):
        percentage("OtpConversion", to.percent, prefix=_name(to))
    for to in countries:
        gauge("OtpSentLastHour", to.sent, country=to.place)
        gauge("OtpVerifiedLastHour", to.verified, country=to.place)


def is_bought_range(to: Conversion) -> bool:
    """Say whether so many codes to a range should have led to more."""
    return to.sent >= ENOUGH_TO_RANGE and to.percent < MIN_PERCENT


def is_bought_country(to: Conversion) -> bool:
    """Say the same of a country."""
    return to.sent >= ENOUGH_TO_COUNTRY and to.percent < MIN_PERCENT


def worst(ranges: list[Conversion]) -> list[Conversion]:
    """Return the few ranges with enough codes that the smallest part of came back."""
    telling = [to for to in ranges if to.sent >= ENOUGH_TO_RANGE]
    return sorted(telling, key=lambda to: (to.percent, -to.sent))[:MEASURED_RANGES]


def in_all(ranges: list[Conversion]) -> Conversion:
    """Add up all ranges."""
    return Conversion("", sum(to.sent for to in ranges), sum(to.verified for to in ranges))


def by_country(ranges: list[Conversion]) -> list[Conversion]:
    """Add up the ranges of each calling code."""
    sent: Counter[str] = Counter()
    verified: Counter[str] = Counter()
    for to in ranges:
        country = main_country_of_calling_code(to.place)
        sent[country] += to.sent
        verified[country] += to.verified
    return [Conversion(country, sent[country], verified[country]) for country in sent]


def main_country_of_calling_code(prefix: str) -> str:
    """Return the country (ISO 3166) that a number's calling code stands for; ZZ for none.

    Of several that share a code it is the main one: US for each number that begins with +1.
    """
    from phonenumbers import NumberParseException, parse, region_code_for_country_code

    try:
        return str(region_code_for_country_code(parse(f"{prefix}000").country_code or 0))
    except NumberParseException:
        return "ZZ"


def _name(to: Conversion) -> str:
    """Name a range without its plus, as the log would mask it. It stands for a thousand numbers."""
    return f"{to.place.removeprefix('+')}xxx"


def _numbers(to: Conversion) -> dict[str, object]:
    return {"sent": to.sent, "verified": to.verified}
