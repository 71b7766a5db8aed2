"""Signs that look like others, or only change the look of an answer, and what they stand for."""

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
