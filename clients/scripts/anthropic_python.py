"""The anthropic package of Python, messages."""

import base64

import anthropic
from anthropic import beta_tool
from given import IMAGE, KEY, MODEL, QUESTION, URL, WEATHER
from pydantic import BaseModel

client = anthropic.Anthropic(base_url=URL, api_key=KEY)
ASKED = {"model": MODEL, "max_tokens": 2000, "messages": [{"role": "user", "content": QUESTION}]}


class City(BaseModel):
    name: str
    country: str
    population: int


def _text(message):
    return "".join(block.text for block in message.content if block.type == "text")


def chat():
    return {"text": _text(client.messages.create(**ASKED))}


def stream():
    with client.messages.stream(**ASKED) as events:
        return {"pieces": list(events.text_stream)}


def tools():
    calls = []

    @beta_tool
    def weather(city: str) -> str:
        """Tell the weather in a city.

        Args:
            city: its name
        """
        calls.append(city)
        return WEATHER[city]

    runner = client.beta.messages.tool_runner(**ASKED, tools=[weather])
    return {"text": _text(runner.until_done()), "calls": calls}


def structured():
    return {"object": client.messages.parse(**ASKED, output_format=City).parsed_output.model_dump()}


def images():
    source = {"type": "base64", "media_type": "image/png", "data": base64.b64encode(IMAGE).decode()}
    content = [{"type": "image", "source": source}, {"type": "text", "text": QUESTION}]
    return {"text": _text(client.messages.create(**ASKED | {"messages": [{"role": "user", "content": content}]}))}


def errors():
    try:
        client.messages.create(**ASKED)
    except anthropic.APIStatusError as error:
        return {"error": error.message}


def cancel():
    with client.messages.stream(**ASKED) as events:
        for _ in events.text_stream:
            break
