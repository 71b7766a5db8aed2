"""Names of a package that come from modules which are imported when somebody asks for them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from importlib import import_module


def lazily(
    package: str, homes: Mapping[str, str], *, extra: str = "", needs: Collection[str] = ()
) -> Callable[[str], object]:
    """Return the `__getattr__` of a package.

    Args:
        package: its name.
        homes: the module of each name, such as ".client".
        extra: what is to be installed for it; "" for nothing.
        needs: the packages of that extra: if one of them is missing, a `MissingDependencyError` says so.
    """

    def __getattr__(name: str) -> object:  # noqa: N807
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        try:
            return getattr(import_module(homes[name], package), name)
        except ModuleNotFoundError as error:
            if error.name not in needs:
                raise
            from .errors import MissingDependencyError

            raise MissingDependencyError(package, extra) from error

    return __getattr__
