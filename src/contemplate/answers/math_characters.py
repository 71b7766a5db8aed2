"""Replacements of look-alike characters, and of characters that only format an answer."""

from __future__ import annotations

from typing import Final

LOOK_ALIKES: Final = str.maketrans(
    {
        "\u2212": "-",
        "\ufe63": "-",
        "\u2044": "/",
        "\u00f7": "/",
        "\u00d7": "*",
        "\u00b7": "*",
        "\u22c5": "*",
        "\u00a0": " ",
        "\u202f": " ",
        "\u2009": " ",
        "~": " ",
        "\u00b0": "",
        "$": "",
        "%": "",
        "`": "",
        "\u03c0": "\\pi ",
        "\u00b2": "^{2}",
        "\u00b3": "^{3}",
    }
)
