"""The pydantic-ai package, chat completions."""

from given import IMAGE, KEY, MODEL, QUESTION, URL, WEATHER
from pydantic import BaseModel
from pydantic_ai import Agent, BinaryContent
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

model = OpenAIChatModel(MODEL, provider=OpenAIProvider(base_url=f"{URL}/v1", api_key=KEY))


class City(BaseModel):
    name: str
    country: str
    population: int


async def chat():
    return {"text": (await Agent(model).run(QUESTION)).output}


async def stream():
    async with Agent(model).run_stream(QUESTION) as result:
        return {"pieces": [text async for text in result.stream_text(delta=True, debounce_by=None)]}


async def tools():
    calls = []
    agent = Agent(model)

    @agent.tool_plain
    def weather(city: str) -> str:
        """Tell the weather in a city."""
        calls.append(city)
        return WEATHER[city]

    return {"text": (await agent.run(QUESTION)).output, "calls": calls}


async def structured():
    return {"object": (await Agent(model, output_type=City).run(QUESTION)).output.model_dump()}


async def images():
    return {"text": (await Agent(model).run([QUESTION, BinaryContent(IMAGE, media_type="image/png")])).output}


async def errors():
    try:
        await Agent(model).run(QUESTION)
    except Exception as error:
        return {"error": str(error)}


async def cancel():
    async with Agent(model).run_stream(QUESTION) as result:
        async for _ in result.stream_text(delta=True, debounce_by=None):
            break
