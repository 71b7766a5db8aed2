"""LangChain in Python, chat completions."""

import base64

from given import IMAGE, KEY, MODEL, QUESTION, URL, WEATHER
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from pydantic import BaseModel

model = ChatOpenAI(model=MODEL, base_url=f"{URL}/v1", api_key=KEY)


class City(BaseModel):
    """A city."""

    name: str
    country: str
    population: int


def chat():
    return {"text": model.invoke(QUESTION).text}


def stream():
    return {"pieces": [chunk.text for chunk in model.stream(QUESTION) if chunk.text]}


def tools():
    calls = []

    @tool
    def weather(city: str) -> str:
        """Tell the weather in a city."""
        calls.append(city)
        return WEATHER[city]

    messages = [HumanMessage(QUESTION)]
    bound = model.bind_tools([weather])
    while (said := bound.invoke(messages)).tool_calls:
        answered = [ToolMessage(weather.invoke(call["args"]), tool_call_id=call["id"]) for call in said.tool_calls]
        messages += [said, *answered]
    return {"text": said.text, "calls": calls}


def structured():
    return {"object": model.with_structured_output(City).invoke(QUESTION).model_dump()}


def images():
    shown = {"type": "image", "base64": base64.b64encode(IMAGE).decode(), "mime_type": "image/png"}
    return {"text": model.invoke([HumanMessage([{"type": "text", "text": QUESTION}, shown])]).text}


def errors():
    try:
        model.invoke(QUESTION)
    except Exception as error:
        return {"error": str(error)}


def cancel():
    chunks = model.stream(QUESTION)
    for chunk in chunks:
        if chunk.text:
            break
    chunks.close()
