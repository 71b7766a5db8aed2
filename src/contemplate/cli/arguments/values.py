"""The types of what stands behind an option: what it may be, and the error if it is not."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TypeAlias

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"

LAST_PORT = 65_535
SECONDS_IN = {"m": 60.0, "h": 3_600.0, "d": 86_400.0}


def with_value(text: str) -> str:
    """Return `ID=VALUE` as it is."""
    if "=" not in text:
        raise argparse.ArgumentTypeError(f"{text!r} is not ID=VALUE")
    return text


def port(text: str) -> int:
    """Return a port."""
    if not text.isdecimal() or int(text) > LAST_PORT:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port")
    return int(text)


def above_zero(kind: Callable[[str], float]) -> Callable[[str], float]:
    """Return what makes a number above zero, and finite, of a text."""

    def convert(text: str) -> float:
        try:
            value = kind(text)
        except ValueError:
            value = 0
        if not 0 < value < float("inf"):
            raise argparse.ArgumentTypeError(f"{text!r} is not a number above zero")
        return value

    return convert


def age(text: str) -> float:
    """Return an age such as 12h in seconds."""
    number, unit = text[:-1], text[-1:]
    if unit not in SECONDS_IN or not number.isascii() or not number.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is no age, such as 90m, 12h or 30d")
    return int(number) * SECONDS_IN[unit]
