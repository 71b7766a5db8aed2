"""An answer as Markdown on a terminal, while it is written: whole blocks for good, and below them what is not whole."""

from __future__ import annotations

from rich.console import Console, RenderableType
from rich.text import Text

from ..views.markdown_parser import is_json
from ..views.printable import printable
from .live_area import LiveArea
from .markdown import print_as_written, print_block
from .markdown_blocks import Block, MarkdownBlocks

# Lines of the terminal that are left to what is above.
SPARE_LINES = 2


class MarkdownAnswer:
    """Prints each block once it is whole; what is unfinished is seen below, as it is written, and replaced by it.

    Args:
        live: whether what is unfinished is seen.
    """

    def __init__(self, *, live: bool) -> None:
        self._is_live = live
        self._console = Console(highlight=False)
        self._blocks = MarkdownBlocks()
        self._area: LiveArea | None = None
        self._begun = self._is_json = False

    def write(self, text: str) -> None:
        """Show a piece."""
        if not self._is_live:
            self._print(self._blocks.add(printable(text)))
            return
        if self._area is None:
            self._area = LiveArea(self._console, self._unfinished, transient=True)
            self._area.start()
        # Under its lock: nothing is ever seen both above and below.
        with self._area.above():
            self._print(self._blocks.add(printable(text)))

    def end(self) -> None:
        """Print what is left."""
        left = self._blocks.end()
        if self._area is not None:
            self._area.stop()
            self._area = None
        self._print(left)

    def _print(self, blocks: list[Block]) -> None:
        for block in blocks:
            if not self._begun:
                self._is_json = is_json(block.text)
            elif block.apart:
                self._console.print()
            self._begun = True
            if self._is_json:
                print_as_written(self._console, block.text)
            elif block.text:
                print_block(self._console, block)

    def _unfinished(self) -> RenderableType:
        """Return the end of what is in no block yet, as much as fits."""
        console = self._console
        room = max(1, console.height - SPARE_LINES)
        # A line that is full would break where ^C is echoed.
        width = max(1, console.width - 3)
        lines = Text(self._blocks.rest.rstrip("\n")[-room * width :]).wrap(console, width)
        return Text("\n").join([*([Text()] if self._blocks.apart else []), *lines][-room:])
