"""The openai package of Python, chat completions."""

import base64

import openai
from given import IMAGE, KEY, MODEL, QUESTION, URL, WEATHER
from pydantic import BaseModel

client = openai.OpenAI(base_url=f"{URL}/v1", api_key=KEY)
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
    return {"text": client.chat.completions.create(model=MODEL, messages=messages).choices[0].message.content}


def stream():
    chunks = client.chat.completions.create(model=MODEL, messages=messages, stream=True)
    return {"pieces": [text for chunk in chunks if (text := chunk.choices[0].delta.content)]}


def tools():
    import json

    calls, said = [], list(messages)
    while True:
        message = client.chat.completions.create(model=MODEL, messages=said, tools=[TOOL]).choices[0].message
        if not message.tool_calls:
            return {"text": message.content, "calls": calls}
        said.append(message)
        for call in message.tool_calls:
            city = json.loads(call.function.arguments)["city"]
            calls.append(city)
            said.append({"role": "tool", "tool_call_id": call.id, "content": WEATHER[city]})


def structured():
    done = client.chat.completions.parse(model=MODEL, messages=messages, response_format=City)
    return {"object": done.choices[0].message.parsed.model_dump()}


def images():
    url = f"data:image/png;base64,{base64.b64encode(IMAGE).decode()}"
    content = [{"type": "text", "text": QUESTION}, {"type": "image_url", "image_url": {"url": url}}]
    done = client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": content}])
    return {"text": done.choices[0].message.content}


def errors():
    try:
        client.chat.completions.create(model=MODEL, messages=messages)
    except openai.APIStatusError as error:
        return {"error": error.message}


def cancel():
    with client.chat.completions.create(model=MODEL, messages=messages, stream=True) as chunks:
        for chunk in chunks:
            if chunk.choices[0].delta.content:
                break
