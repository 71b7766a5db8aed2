"""The litellm package, chat completions."""

import base64
import json

import litellm
from given import IMAGE, KEY, MODEL, QUESTION, URL, WEATHER
from pydantic import BaseModel

ASKED = {"model": f"openai/{MODEL}", "api_base": f"{URL}/v1", "api_key": KEY}
messages = [{"role": "user", "content": QUESTION}]
TOOL = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "Tell the weather in a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


class City(BaseModel):
    name: str
    country: str
    population: int


def chat():
    return {"text": litellm.completion(**ASKED, messages=messages).choices[0].message.content}


def stream():
    chunks = litellm.completion(**ASKED, messages=messages, stream=True)
    return {"pieces": [text for chunk in chunks if (text := chunk.choices[0].delta.content)]}


def tools():
    calls, said = [], list(messages)
    while True:
        message = litellm.completion(**ASKED, messages=said, tools=[TOOL]).choices[0].message
        if not message.tool_calls:
            return {"text": message.content, "calls": calls}
        said.append(message)
        for call in message.tool_calls:
            city = json.loads(call.function.arguments)["city"]
            calls.append(city)
            said.append({"role": "tool", "tool_call_id": call.id, "content": WEATHER[city]})


def structured():
    done = litellm.completion(**ASKED, messages=messages, response_format=City)
    return {"object": json.loads(done.choices[0].message.content)}


def images():
    url = f"data:image/png;base64,{base64.b64encode(IMAGE).decode()}"
    content = [{"type": "text", "text": QUESTION}, {"type": "image_url", "image_url": {"url": url}}]
    done = litellm.completion(**ASKED, messages=[{"role": "user", "content": content}])
    return {"text": done.choices[0].message.content}


def errors():
    try:
        litellm.completion(**ASKED, messages=messages)
    except Exception as error:
        return {"error": str(error)}


async def cancel():
    chunks = await litellm.acompletion(**ASKED, messages=messages, stream=True)
    async for chunk in chunks:
        if chunk.choices[0].delta.content:
            break
    await chunks.aclose()
