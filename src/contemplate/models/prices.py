"""Model prices, from the list of the library `genai-prices`."""

from __future__ import annotations

from decimal import Decimal
from importlib.util import find_spec
from typing import TYPE_CHECKING

from ..usage import Price

if TYPE_CHECKING:
    from genai_prices.types import TieredPrices


def listed_price(model: str, base_url: str) -> Price | None:
    """Return the price of a model at an endpoint; None if it is not listed, or the extra "prices" is not installed.

    If the price depends on the prompt's length, return the highest, so that a cost limit holds. A model of the same
    name on a self-hosted server has no listed price.
    """
    if find_spec("genai_prices") is None:
        return None
    from genai_prices import Usage, calc_price

    try:
        found = calc_price(Usage(input_tokens=1, output_tokens=1), model, provider_api_url=base_url).model_price
    except LookupError:
        return None
    input_price, output_price = _highest(found.input_mtok), _highest(found.output_mtok)
    if input_price is None or output_price is None:
        return None
    return Price(input=input_price, output=output_price, cached_input=_highest(found.cache_read_mtok))


def _highest(price: Decimal | TieredPrices | None) -> float | None:
    if price is None or isinstance(price, Decimal):
        return None if price is None else float(price)
    return float(max(price.base, *(tier.price for tier in price.tiers)))
