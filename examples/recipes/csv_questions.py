"""The questions of a CSV file, with the columns `id` and `question`, answered into another one."""

import csv
import sys
from pathlib import Path

import anyio

from contemplate import BatchItem, Contemplator


async def answer_all(mind: Contemplator, source: Path, target: Path) -> None:
    """Answer each question once, however often this is called; `mind` needs a journal."""
    with source.open(newline="", encoding="utf-8-sig") as rows, target.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["id", "answer", "error", "tokens"])
        items = (BatchItem(row["question"], id=row["id"]) for row in csv.DictReader(rows))
        async for done in mind.map(items, name="answers", concurrency=50):
            answer = "" if done.result is None else done.result.output
            tokens = "" if done.reached is None else done.reached.usage.total_tokens
            table.writerow([done.id, answer, done.error or "", tokens])


if __name__ == "__main__":
    _, source, target = sys.argv
    mind = Contemplator(mode="instant", journal=f"sqlite:///{target}.db")
    anyio.run(answer_all, mind, Path(source), Path(target))
