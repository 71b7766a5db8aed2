"""The openai package of Python, responses."""

import base64
import json

import openai
from given import IMAGE, KEY, MODEL, QUESTION, URL, WEATHER
from pydantic import BaseModel

client = openai.OpenAI(base_url=f"{URL}/v1", api_key=KEY)
TOOL = {
    "type": "function",
    "name": "weather",
    "description": "Tell the weather in a city.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}


class City(BaseModel):
    name: str
    country: str
    population: int


def chat():
    return {"text": client.responses.create(model=MODEL, input=QUESTION).output_text}


def stream():
    with client.responses.stream(model=MODEL, input=QUESTION) as events:
        pieces = [event.delta for event in events if event.type == "response.output_text.delta"]
        assert events.get_final_response().output_text == "".join(pieces)
    return {"pieces": pieces}


def tools():
    calls, said, before = [], QUESTION, None
    while True:
        done = client.responses.create(model=MODEL, input=said, tools=[TOOL], previous_response_id=before)
        asked = [item for item in done.output if item.type == "function_call"]
        if not asked:
            return {"text": done.output_text, "calls": calls}
        before, said = done.id, []
        for call in asked:
            city = json.loads(call.arguments)["city"]
            calls.append(city)
            said.append({"type": "function_call_output", "call_id": call.call_id, "output": WEATHER[city]})


def structured():
    return {"object": client.responses.parse(model=MODEL, input=QUESTION, text_format=City).output_parsed.model_dump()}


def images():
    url = f"data:image/png;base64,{base64.b64encode(IMAGE).decode()}"
    content = [{"type": "input_text", "text": QUESTION}, {"type": "input_image", "image_url": url}]
    done = client.responses.create(model=MODEL, input=[{"role": "user", "content": content}])
    return {"text": done.output_text}


def errors():
    try:
        client.responses.create(model=MODEL, input=QUESTION)
    except openai.APIStatusError as error:
        return {"error": error.message}


def cancel():
    with client.responses.create(model=MODEL, input=QUESTION, stream=True) as events:
        for event in events:
            if event.type == "response.output_text.delta":
                break
