"""The limits of one request: the strictest of the contemplator's, the server's and those that the client asks for."""

from __future__ import annotations

from pydantic import ValidationError

from ..limits import Limits
from .api_errors import invalid_request

LIMITS_HEADER = "x-contemplate-limits"
_FIELDS = tuple(Limits.model_fields)
_FORM = f"NAME=NUMBER, separated by commas; the names are {', '.join(_FIELDS)}"


def lowered(own: Limits, most: Limits, wanted: str) -> Limits:
    """Return the strictest of a contemplator's `own` limits, the `most` that a server allows, and those `wanted`.

    Raises:
        RequestError: `wanted` is not empty, and no limits.
    """
    return strictest(own, most, _read(wanted) if wanted.strip() else Limits())


def strictest(*limits: Limits) -> Limits:
    """Return the limits that hold where all of `limits` do."""
    said = {name: [value for each in limits if (value := getattr(each, name)) is not None] for name in _FIELDS}
    return Limits(**{name: min(values) for name, values in said.items() if values})


def _read(text: str) -> Limits:
    said: dict[str, str] = {}
    for each in text.split(","):
        name, equals, value = each.partition("=")
        if not equals:
            raise invalid_request(f"{LIMITS_HEADER}: {each.strip()!r:.80} is not {_FORM}", param=LIMITS_HEADER)
        said[name.strip()] = value.strip()
    try:
        return Limits.model_validate(said, strict=False)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(map(str, first["loc"]))[:80]
        raise invalid_request(f"{LIMITS_HEADER}: {field}: {first['msg']}; it is {_FORM}", param=LIMITS_HEADER) from None
