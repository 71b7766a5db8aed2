"""The table of docs/clients.md, which stands between two markers: a row for each client, a column for each feature."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from .catalog import Client, clients
from .cells import Cell, Verdict
from .features import FEATURES

PAGE = Path(__file__).parent.parent / "docs" / "clients.md"
BEGIN, END = "<!-- written by python -m clients --page -->", "<!-- end -->"
SIGNS: dict[Verdict, str] = {"passes": "✓", "fails": "✗", "does not apply": "-"}
UNKNOWN = "?"


def keep(cells: Sequence[Cell], page: Path = PAGE) -> None:
    """Write cells into the table; what was not run keeps its sign if the client's version is still the same."""
    text = page.read_text("utf-8")
    before, _, rest = text.partition(BEGIN)
    old, _, after = rest.partition(END)
    known = _signs(old) | {(_title(clients()[cell.client]), cell.feature): SIGNS[cell.verdict] for cell in cells}
    page.write_text(f"{before}{BEGIN}\n{_table(known)}\n{END}{after}", "utf-8")


def _table(signs: dict[tuple[str, str], str]) -> str:
    names = [feature.name for feature in FEATURES]
    rows = [["client", *names], ["---"] * (len(names) + 1)]
    for client in clients().values():
        title = _title(client)
        rows.append([title, *(signs.get((title, name), UNKNOWN) for name in names)])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _signs(table: str) -> dict[tuple[str, str], str]:
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.strip().splitlines()]
    if not rows:
        return {}
    (_, *names), *others = rows
    return {(title, name): sign for title, *signs in others[1:] for name, sign in zip(names, signs, strict=False)}


def _title(client: Client) -> str:
    return f"{client.title} {client.version}, {client.api}"
