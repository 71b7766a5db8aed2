"""Markdown on a terminal: nothing that was written is hidden, whatever the width."""

from __future__ import annotations

from collections.abc import Sequence

from markdown_it.token import Token
from rich import markdown
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.measure import Measurement
from rich.rule import Rule
from rich.segment import Segment
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from .markdown_blocks import Block

# The terminal's own colours, whether its background is light or dark.
CODE_THEME = "ansi_dark"
# So many columns, and no more, each level of lists and quotes takes from what is within.
INDENT = 3


def print_block(console: Console, block: Block) -> None:
    """Print a block, its code as it can be copied: no line of it is broken."""
    first = block.tokens[0]
    if first.type in ("fence", "code_block"):
        if first.info.strip():
            console.print(Text(first.info.strip(), "dim"))
        console.print(_coloured(first.content, first.info), soft_wrap=True)
    elif max(token.level for token in block.tokens) * INDENT > console.width // 2:
        print_as_written(console, block.text)
    else:
        console.print(_Markdown(block.tokens))


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
    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield _coloured(str(self.text), self.lexer_name)


class _Item(markdown.ListItem):
    """An item, with the number that it was given."""

    number = ""

    @classmethod
    def create(cls, markdown: markdown.Markdown, token: Token) -> _Item:
        item = cls()
        item.number = token.info
        return item

    def render_number(self, console: Console, options: ConsoleOptions, number: int, last_number: int) -> RenderResult:
        given = int(self.number) if self.number.isdecimal() else number
        return super().render_number(console, options, given, max(given, last_number))


class _Table(markdown.TableElement):
    """A table; where its columns do not fit, each row is a list of them."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for table in super().__rich_console__(console, options):
            if not isinstance(table, Table):
                continue
            table.show_edge = False
            if Measurement.get(console, options, table).minimum <= options.max_width:
                yield table
            else:
                yield from self._rows()

    def _rows(self) -> Sequence[RenderableType]:
        heads = [] if self.header is None or self.header.row is None else self.header.row.cells
        lines: list[RenderableType] = []
        for row in () if self.body is None else self.body.rows:
            lines += [] if not lines else [Text()]
            for head, cell in zip(heads, row.cells, strict=False):
                named = Text.assemble((head.content.plain, "bold"), ": ") if head.content.plain else Text()
                lines.append(named + cell.content)
        return lines or [Text(" · ").join(head.content for head in heads)]


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
        "table_open": _Table,
    }

    def __init__(self, tokens: Sequence[Token]) -> None:
        # Where a link leads is seen, and not only where it says that it does.
        super().__init__("", hyperlinks=False)
        self.parsed = list(tokens)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        lines = [_without_padding(line) for line in Segment.split_lines(super().__rich_console__(console, options))]
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
