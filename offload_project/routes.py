"""The routes of the service as the URL configuration has them, so that what must hold for all is asked of all."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from django.urls import URLPattern, URLResolver, get_resolver

from cases.authentication import ApiKeyAuthentication


@dataclass(frozen=True)
class Route:
    """One address that can be called, with the names of what varies in it."""

    path: str  # "cases/<str:case_id>/input"
    methods: tuple[str, ...]  # in lower case; empty where the view is no class and does not say
    parameters: tuple[str, ...]
    needs_key: bool

    def url(self, **parameters: Any) -> str:
        """The address with these in it. Raises KeyError for one that is missing."""
        parts = self.path.replace("<", "\0").replace(">", "\0").split("\0")
        filled = [str(parameters[part.rpartition(":")[2]]) if number % 2 else part for number, part in enumerate(parts)]
        return "/" + "".join(filled)


def routes() -> list[Route]:
    """Every route but the staff's pages."""
    return list(_routes(get_resolver().url_patterns, ""))


def _routes(patterns: Iterable[URLPattern | URLResolver], prefix: str) -> Iterator[Route]:
    for pattern in patterns:
        path = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            if pattern.app_name != "admin":
                yield from _routes(pattern.url_patterns, path)
            continue
        view = getattr(pattern.callback, "cls", None)
        yield Route(path, _methods(pattern.callback, view), tuple(pattern.pattern.converters), _needs_key(view))


def _methods(callback: Any, view: Any) -> tuple[str, ...]:
    if actions := getattr(callback, "actions", None):  # a viewset's
        return tuple(sorted(actions))
    names = getattr(view, "http_method_names", ())
    return tuple(sorted(name for name in names if name != "options" and hasattr(view, name)))


def _needs_key(view: Any) -> bool:
    return ApiKeyAuthentication in getattr(view, "authentication_classes", ())
