"""The inspect-ai package, chat completions: an evaluation of one sample."""

import os

from given import IMAGE, KEY, MODEL, QUESTION, URL, WEATHER

os.environ |= {"CONTEMPLATE_BASE_URL": f"{URL}/v1", "CONTEMPLATE_API_KEY": KEY}

from inspect_ai import Task, eval
from inspect_ai.dataset import Sample
from inspect_ai.model import ChatMessageUser, ContentImage, ContentText, GenerateConfig, ResponseSchema, get_model
from inspect_ai.solver import generate, use_tools
from inspect_ai.tool import tool
from inspect_ai.util import json_schema
from pydantic import BaseModel

NAME = f"openai-api/contemplate/{MODEL}"


class City(BaseModel):
    name: str
    country: str
    population: int


def _evaluated(*solvers, question=QUESTION, **config):
    task = Task(dataset=[Sample(input=question)], solver=[*solvers, generate()], config=GenerateConfig(**config))
    (log,) = eval(task, model=NAME, display="none", log_dir="logs", max_retries=2)
    return log


def chat():
    return {"text": _evaluated().samples[0].output.completion}


def tools():
    calls = []

    @tool
    def weather():
        async def execute(city: str) -> str:
            """Tell the weather in a city.

            Args:
                city: its name
            """
            calls.append(city)
            return WEATHER[city]

        return execute

    return {"text": _evaluated(use_tools(weather())).samples[0].output.completion, "calls": calls}


def structured():
    schema = ResponseSchema(name="city", json_schema=json_schema(City))
    said = _evaluated(response_schema=schema).samples[0].output.completion
    return {"object": City.model_validate_json(said).model_dump()}


def images():
    from pathlib import Path

    Path("shown.png").write_bytes(IMAGE)
    shown = ChatMessageUser(content=[ContentText(text=QUESTION), ContentImage(image="shown.png")])
    return {"text": _evaluated(question=[shown]).samples[0].output.completion}


def errors():
    log = _evaluated()
    return {"error": (log.error or log.samples[0].error).traceback}


async def cancel():
    import anyio
    from given import until_waiting

    async with anyio.create_task_group() as group:
        group.start_soon(get_model(NAME).generate, QUESTION)
        await anyio.to_thread.run_sync(until_waiting)
        group.cancel_scope.cancel()
