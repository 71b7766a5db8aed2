"""Each API has a form of its own for errors; which one a request is told in, its path says."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from starlette.responses import Response

from .api_errors import Failure

ErrorForm = Callable[[Failure], Response]


class ErrorForms:
    """The forms of errors.

    Args:
        usual: the form for all paths that are not named.
        under: others, by the beginnings of the paths.
    """

    def __init__(self, usual: ErrorForm, under: Mapping[str, ErrorForm] | None = None) -> None:
        self._usual = usual
        self._under = dict(under or {})

    def response(self, path: str, failure: Failure) -> Response:
        """Return `failure` as a response to a request for `path`."""
        form = next((form for beginning, form in self._under.items() if path.startswith(beginning)), self._usual)
        return form(failure)
