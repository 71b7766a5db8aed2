"""Who is compared, and the environment that each runs in."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
CACHE = Path(os.environ.get("CONTEMPLATE_PEERS", "~/.cache/contemplate-peers")).expanduser()
# Nobody reports to its maker what was measured here, or asks it for prices.
SILENT = {
    "AGENT_FRAMEWORK_ENABLE_INSTRUMENTATION": "false",
    "DO_NOT_TRACK": "1",
    "LANGSMITH_TRACING": "false",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "OPENAI_AGENTS_DISABLE_TRACING": "1",
}


@dataclass(frozen=True, slots=True)
class Contender:
    """One row of the tables: a module of `peers/`, and what pip installs for it."""

    name: str
    module: str
    requirements: tuple[str, ...]
    imports: str
    """What a program that uses it imports."""
    on: tuple[str, ...] = ()
    """What is switched on, of contemplate's `FEATURES`."""

    @property
    def home(self) -> Path:
        """Its environment; contenders that need the same share it."""
        return CACHE / "-".join(each.replace(str(ROOT), "contemplate") for each in self.requirements)

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.home / "bin" / "python"

    @property
    def is_there(self) -> bool:
        """Whether `setup` has been here, for the requirements as they are now."""
        return self._stamp.exists() and json.loads(self._stamp.read_text()) == list(self.requirements)

    @property
    def _stamp(self) -> Path:
        return self.home / "requirements.json"

    @property
    def environ(self) -> dict[str, str]:
        """The variables it runs with: this source tree first."""
        kept = {name: value for name, value in os.environ.items() if not name.endswith("_API_KEY")}
        return kept | SILENT | {"PYTHONPATH": os.pathsep.join((str(ROOT / "src"), str(ROOT)))}

    def set_up(self) -> None:
        """Make the environment.

        Raises:
            subprocess.CalledProcessError: pip could not install it.
        """
        if self.is_there:
            return
        if not self.python.exists():
            venv.create(self.home, with_pip=True)
        wanted = [part for each in self.requirements for part in (("-e", each) if each.startswith("/") else (each,))]
        subprocess.run([self.python, "-m", "pip", "install", "-q", "--disable-pip-version-check", *wanted], check=True)
        self._stamp.write_text(json.dumps(self.requirements))


FAST = (f"{ROOT}[fast]",)
EVERYTHING = ("events", "limits")
CONTEMPLATE = Contender("contemplate[fast]", "contemplated", FAST, "contemplate", EVERYTHING)

CONTENDERS = (
    Contender("openai + gather", "openai_gather", ("openai",), "openai"),
    Contender("openai with aiohttp + gather", "openai_aiohttp", ("openai[aiohttp]",), "openai, aiohttp"),
    CONTEMPLATE,
    Contender("contemplate", "contemplated", (str(ROOT),), "contemplate", EVERYTHING),
    Contender("dspy", "dspy_module", ("dspy",), "dspy"),
    Contender("autogen", "autogen", ("autogen-agentchat", "autogen-ext[openai]"), "autogen_agentchat.agents"),
    Contender("agent-framework", "agent_framework_agent", ("agent-framework-openai",), "agent_framework.openai"),
    Contender("langgraph", "langgraph_send", ("langgraph", "langchain-openai"), "langgraph.graph, langchain_openai"),
    Contender("openai-agents", "openai_agents", ("openai-agents",), "agents"),
    Contender("pydantic-ai", "pydantic_ai_agent", ("pydantic-ai-slim[openai]",), "pydantic_ai"),
    Contender("aiohttp by hand", "by_hand", ("openai[aiohttp]",), "aiohttp"),
)
BASE = CONTENDERS[0].name
"""What the ratios are relative to."""

FEATURES = (
    Contender("nothing", "contemplated", FAST, "contemplate"),
    Contender("events", "contemplated", FAST, "contemplate", ("events",)),
    Contender("limits", "contemplated", FAST, "contemplate", ("limits",)),
    Contender("events and limits", "contemplated", FAST, "contemplate", EVERYTHING),
    Contender("events, limits and streaming", "contemplated", FAST, "contemplate", (*EVERYTHING, "stream")),
    Contender("events, limits and journal", "contemplated", FAST, "contemplate", (*EVERYTHING, "journal")),
)


def set_up() -> list[Contender]:
    """Make all the environments; those that could not be made."""
    missing = []
    for each in CONTENDERS:
        print(f"{each.name}: {each.home}", flush=True)
        try:
            each.set_up()
        except (subprocess.CalledProcessError, OSError) as error:
            print(f"NOT INSTALLED: {each.name}: {error}", file=sys.stderr, flush=True)
            missing.append(each)
    return missing
