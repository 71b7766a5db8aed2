"""Three providers, of which the first that answers does; and who did."""

import os
import sys

from contemplate import Contemplator, ModelSettings
from contemplate.models import Fallback, Limit, Model, OpenAIModel, Retry

GROQ = "https://api.groq.com/openai/v1"


def model(patience: float = 60.0) -> Model:
    """Return a model that is asked at one provider and, if that fails or takes so many seconds, at the next one."""
    quick = ModelSettings(timeout=patience)
    openai = Limit(OpenAIModel("gpt-5-mini", settings=quick), requests_per_minute=500, concurrency=50)
    groq = OpenAIModel("openai/gpt-oss-120b", base_url=GROQ, api_key=os.environ["GROQ_API_KEY"], settings=quick)
    return Fallback([Retry(openai, attempts=2), groq, "ollama:qwen3"], failures=3, seconds=60)


def ask(model: Model, question: str) -> str:
    """Return the answer, and who gave which part of it."""
    result = Contemplator(model).run_sync(question)
    parts = [f"{each.task.label}: {each.model}" for each in result.tasks]
    return "\n".join([result.output, "", *parts])


if __name__ == "__main__":
    print(ask(model(), sys.argv[1]))
