"""Responses that are no answers: the model declined, or the provider kept the answer back."""

from __future__ import annotations

from ..errors import ModelRefusalError, ModelResponseError
from ..models import ModelResponse


def check_given(response: ModelResponse) -> None:
    """Check that `response` is an answer, which may be cut off. What is withheld once is not asked for again.

    Raises:
        ModelRefusalError: the model declined to answer.
        ModelResponseError: the provider's content filter stopped the answer.
    """
    if response.finish == "refusal":
        words = " ".join(response.message.text.split())
        said = f": {words}" if words else ""
        raise ModelRefusalError(f"the model declined to answer{said}", model=response.model)
    if response.finish == "content_filter":
        raise ModelResponseError("the provider's content filter stopped the answer", model=response.model)
