"""The openai-agents package of Python with its defaults, responses."""

import asyncio
import base64

from agents import Agent, Runner, function_tool, set_default_openai_client, set_tracing_disabled
from given import IMAGE, KEY, MODEL, QUESTION, URL, WEATHER
from openai import AsyncOpenAI
from openai.types.responses import ResponseTextDeltaEvent
from pydantic import BaseModel

set_tracing_disabled(True)
set_default_openai_client(AsyncOpenAI(base_url=f"{URL}/v1", api_key=KEY))


class City(BaseModel):
    name: str
    country: str
    population: int


def _agent(**options):
    return Agent(name="Assistant", model=MODEL, **options)


async def chat():
    return {"text": (await Runner.run(_agent(), QUESTION)).final_output}


async def stream():
    events = Runner.run_streamed(_agent(), QUESTION).stream_events()
    raw = [event.data async for event in events if event.type == "raw_response_event"]
    return {"pieces": [each.delta for each in raw if isinstance(each, ResponseTextDeltaEvent)]}


async def tools():
    calls = []

    @function_tool
    def weather(city: str) -> str:
        """Tell the weather in a city."""
        calls.append(city)
        return WEATHER[city]

    return {"text": (await Runner.run(_agent(tools=[weather]), QUESTION)).final_output, "calls": calls}


async def structured():
    return {"object": (await Runner.run(_agent(output_type=City), QUESTION)).final_output.model_dump()}


async def images():
    url = f"data:image/png;base64,{base64.b64encode(IMAGE).decode()}"
    content = [{"type": "input_text", "text": QUESTION}, {"type": "input_image", "image_url": url, "detail": "auto"}]
    return {"text": (await Runner.run(_agent(), [{"role": "user", "content": content}])).final_output}


async def errors():
    try:
        await Runner.run(_agent(), QUESTION)
    except Exception as error:
        return {"error": str(error)}


async def cancel():
    result = Runner.run_streamed(_agent(), QUESTION)
    async for event in result.stream_events():
        if event.type == "raw_response_event" and isinstance(event.data, ResponseTextDeltaEvent):
            result.cancel()
    await asyncio.sleep(0)
