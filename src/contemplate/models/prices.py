"""What models cost, from the list of the library `genai-prices`."""

from __future__ import annotations

from decimal import Decimal
from importlib.util import find_spec
from typing import TYPE_CHECKING

from ..usage import Price

if TYPE_CHECKING:
    from genai_prices.types import TieredPrices


def listed_price(model: str, base_url: str) -> Price | None:
    """The price of a model at an endpoint; None if it is not listed, or the extra "prices" is not installed.

    Where the price depends on the prompt's length, it is the dearest: a limit must hold. The endpoint decides: a
    model's namesake on a server of one's own has no listed price.
    """
    if find_spec("genai_prices") is None:
        return None
    from genai_prices import Usage, calc_price

    try:
        found = calc_price(Usage(input_tokens=1, output_tokens=1), model, provider_api_url=base_url).model_price
    except LookupError:
        return None
    given, written = _dearest(found.input_mtok), _dearest(found.output_mtok)
    if given is None or written is None:
        return None
    return Price(input=given, output=written, cached_input=_dearest(found.cache_read_mtok))


def _dearest(price: Decimal | TieredPrices | None) -> float | None:
    if price is None or isinstance(price, Decimal):
        return None if price is None else float(price)
    return float(max(price.base, *(tier.price for tier in price.tiers)))
