"""Markdown on a terminal: nothing that was written is hidden, whatever the width."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

from markdown_it.token import Token
from rich import markdown
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.rule import Rule
from rich.segment import Segment
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from .markdown_blocks import Block

# The terminal's own colours, whether its background is light or dark.
CODE_THEME = "ansi_dark"
# So many columns, and no more, each level of lists and quotes takes from what is within.
INDENT = 4
# Columns of a table are so far from each other.
SPACE = 2


def print_block(console: Console, block: Block) -> None:
    """Print a block, its code as it can be copied: no line of it is broken."""
    first = block.tokens[0]
    if first.type in ("fence", "code_block"):
        if first.info.strip():
            console.print(Text(first.info.strip(), "dim"))
        console.print(_coloured(first.content, first.info), soft_wrap=True)
    elif _depth(block.tokens) * INDENT > console.width // 2:
        print_as_written(console, block.text)
    else:
        console.print(_Markdown(block.tokens))


def _depth(tokens: Sequence[Token]) -> int:
    """Return how many lists and quotes there are within each other."""
    return max(accumulate(token.nesting * token.type.startswith(("list_item", "blockquote")) for token in tokens))


def print_as_written(console: Console, text: str) -> None:
    """Print text with its lines as they are."""
    console.print(Text(text), soft_wrap=True)


def _coloured(code: str, info: str) -> Text:
    language = info.split(maxsplit=1)[0] if info.strip() else "text"
    text = Syntax("", language, theme=CODE_THEME, background_color="default").highlight(code)
    text.rstrip()
    return text


class _Heading(markdown.Heading):
    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield self.text


class _Code(markdown.CodeBlock):
    info = ""

    @classmethod
    def create(cls, markdown: markdown.Markdown, token: Token) -> _Code:
        block = cls("text", markdown.code_theme)
        block.info = token.info.strip()
        return block

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if self.info:
            yield Text(self.info, "dim")
        code = _coloured(str(self.text), self.info)
        code.no_wrap, code.overflow = False, "fold"
        yield code


class _Item(markdown.ListItem):
    number = ""
    filled = False

    @classmethod
    def create(cls, markdown: markdown.Markdown, token: Token) -> _Item:
        item = cls()
        item.number = token.info
        return item

    def on_child_close(self, context: markdown.MarkdownContext, child: markdown.MarkdownElement) -> bool:
        self.filled = True
        return super().on_child_close(context, child)


class _List(markdown.ListElement):
    """A list, whose items have the numbers that they were given."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for item in self.items:
            # An item that is empty is there, too.
            if isinstance(item, _Item) and not item.filled:
                item.elements.append(Text())
        numbers = [int(item.number) for item in self.items if isinstance(item, _Item) and item.number]
        if not numbers:
            yield from super().__rich_console__(console, options)
        for item, number in zip(self.items, numbers, strict=False):
            yield from item.render_number(console, options, number, max(numbers))


class _Table(markdown.TableElement):
    """A table; where its columns do not fit, each row is a list of them."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for table in super().__rich_console__(console, options):
            if not isinstance(table, Table):
                continue
            table.show_edge = False
            if self._narrowest() <= options.max_width:
                yield table
            else:
                yield from self._rows()

    def _narrowest(self) -> int:
        """Return how many columns of the terminal it takes to break no word."""
        rows = [self.header and self.header.row, *(self.body.rows if self.body else [])]
        columns = zip(*(row.cells for row in rows if row), strict=False)
        longest = [max(_longest_word(cell.content.plain) for cell in column) for column in columns]
        return sum(longest) + SPACE * (len(longest) - 1)

    def _rows(self) -> Sequence[RenderableType]:
        heads = [] if self.header is None or self.header.row is None else self.header.row.cells
        lines: list[RenderableType] = []
        for row in () if self.body is None else self.body.rows:
            lines += [] if not lines else [Text()]
            for head, cell in zip(heads, row.cells, strict=False):
                named = Text.assemble((head.content.plain, "bold"), ": ") if head.content.plain else Text()
                lines.append(named + cell.content)
        return lines or [Text(" · ").join(head.content for head in heads)]


def _longest_word(text: str) -> int:
    # Where letters are wide, there is a break between any two.
    return max((cell_len(word) if cell_len(word) == len(word) else 2 for word in text.split()), default=1)


class _Rule(markdown.HorizontalRule):
    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Rule(style="dim")


class _Markdown(markdown.Markdown):
    elements = markdown.Markdown.elements | {
        "heading_open": _Heading,
        "fence": _Code,
        "code_block": _Code,
        "hr": _Rule,
        "list_item_open": _Item,
        "bullet_list_open": _List,
        "ordered_list_open": _List,
        "table_open": _Table,
    }

    def __init__(self, tokens: Sequence[Token]) -> None:
        # Where a link leads is seen, and not only where it says that it does.
        super().__init__("", hyperlinks=False)
        self.parsed = list(tokens)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        segments = (each for each in super().__rich_console__(console, options) if isinstance(each, Segment))
        lines = [_without_padding(line) for line in Segment.split_lines(segments)]
        filled = [number for number, line in enumerate(lines) if line]
        # What stands between blocks is told by who prints them.
        for line in lines[filled[0] : filled[-1] + 1] if filled else []:
            yield from line
            yield Segment.line()


def _without_padding(line: list[Segment]) -> list[Segment]:
    """Return a line as it should be copied, without spaces at its end."""
    while line and not line[-1].text.rstrip():
        line.pop()
    if line:
        line[-1] = line[-1]._replace(text=line[-1].text.rstrip())
    return line
