"""OpenAI's Responses API, which its reasoning models profit from: what they thought is kept between turns with tools.

    request     a request as the body of a call
    output      the items of an output
    collector   a response, whole or as events

https://platform.openai.com/docs/api-reference/responses
"""

from .collector import ResponsesCollector
from .request import responses_body

__all__ = ["ResponsesCollector", "responses_body"]
