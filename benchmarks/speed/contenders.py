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
        """The variables it runs with: this source tree first, and compiled once, as what pip installs is."""
        dropped = ("_API_KEY", "PYTHONDONTWRITEBYTECODE")
        kept = {name: value for name, value in os.environ.items() if not name.endswith(dropped)}
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


# `import contemplate` alone loads nothing yet.
USED = "from contemplate import Contemplator"
OURS = (str(ROOT),)
EVERYTHING = ("events", "limits")
CONTEMPLATE = Contender("contemplate", "contemplated", OURS, USED, EVERYTHING)

CONTENDERS = (
    Contender("openai + gather", "openai_gather", ("openai",), "import openai"),
    Contender("openai with aiohttp + gather", "openai_aiohttp", ("openai[aiohttp]",), "import openai, aiohttp"),
    CONTEMPLATE,
    Contender("dspy", "dspy_module", ("dspy",), "import dspy"),
    Contender(
        "autogen",
        "autogen",
        ("autogen-agentchat", "autogen-ext[openai]"),
        "from autogen_agentchat.agents import AssistantAgent",
    ),
    Contender(
        "agent-framework",
        "agent_framework_agent",
        ("agent-framework-openai",),
        "from agent_framework.openai import OpenAIChatCompletionClient",
    ),
    Contender(
        "langgraph", "langgraph_send", ("langgraph", "langchain-openai"), "import langgraph.graph, langchain_openai"
    ),
    Contender("openai-agents", "openai_agents", ("openai-agents",), "from agents import Agent, Runner"),
    Contender("pydantic-ai", "pydantic_ai_agent", ("pydantic-ai-slim[openai]",), "from pydantic_ai import Agent"),
    Contender("aiohttp by hand", "by_hand", ("openai[aiohttp]",), "import aiohttp"),
)
BASE = CONTENDERS[0].name
"""What the ratios are relative to."""

ALONE = Contender("the model alone, in a gather", "model_alone", OURS, USED)
NOTHING = Contender("nothing", "contemplated", OURS, USED)
EACH = ("events", "limits", "logs", "retry", "limiter", "hedge", "journal", "stream")
FEATURES = (
    ALONE,
    NOTHING,
    *(Contender(name, "contemplated", OURS, USED, (name,)) for name in EACH),
    Contender("traces", "contemplated", (*OURS, "opentelemetry-sdk"), USED, ("traces",)),
    Contender("events and limits", "contemplated", OURS, USED, EVERYTHING),
)
"""What each costs by itself; the first is what there is to add to."""


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
