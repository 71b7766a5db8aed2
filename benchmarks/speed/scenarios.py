"""What is measured."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace

from .contenders import CONTENDERS, FEATURES, Contender


@dataclass(frozen=True, slots=True)
class Job:
    """`at_once` fan-outs to n subagents, or n streams, in so many rounds; before, `warm` that do not count."""

    n: int
    rounds: int
    way: str = "fan_out"
    at_once: int = 1
    warm: int = 8

    @property
    def calls(self) -> int:
        """How many model calls it makes."""
        return self.at_once * (self.n if self.way == "stream" else self.n + 2)

    @property
    def order(self) -> dict[str, str | int]:
        """What the worker is told."""
        return {name: value for name, value in asdict(self).items() if name != "rounds"}


@dataclass(frozen=True, slots=True)
class Scenario:
    """Jobs that each contender does in one process, at the pace that the path tells the server."""

    name: str
    path: str
    jobs: tuple[Job, ...]
    contenders: tuple[Contender, ...] = CONTENDERS
    apart: bool = False
    """Whether each has a server of its own: two would have more connections than one process may open files."""

    @property
    def open_files(self) -> int:
        """How many files a process must be allowed to have open."""
        return max(each.at_once * each.n for each in self.jobs) + FILES_BESIDES

    def at_most(self, rounds: int, n: int) -> Scenario:
        """The same, made smaller."""
        jobs = {replace(each, rounds=min(each.rounds, rounds), n=min(each.n, n)): None for each in self.jobs}
        return replace(self, jobs=tuple(jobs))


CHUNKS = 200
# The default clients keep to 1,000 connections; httpx2's pool looks at each of them at every turn, and takes minutes.
HOLDS_MANY = tuple(each for each in CONTENDERS if each.module in ("contemplated", "by_hand"))
FILES_BESIDES = 100
"""What a process has open besides its connections."""

SCENARIOS = (
    Scenario(
        "fan_out",
        "50",
        (Job(8, 7), Job(64, 5, warm=64), Job(256, 5, warm=64), Job(1024, 3, warm=64)),
    ),
    Scenario("hundred", "200", (Job(8, 2, at_once=100),)),
    Scenario("stream", f"stream-{CHUNKS}", (Job(16, 3, "stream"),)),
    Scenario("memory_1000", "hold-1000", (Job(1000, 1),)),
    Scenario("memory_10000", "hold-10000", (Job(10_000, 1),), HOLDS_MANY, apart=True),
    Scenario("features", "50", (Job(64, 7, warm=64),), FEATURES),
)
