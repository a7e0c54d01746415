"""What the application is made of: its routes, its rooms' modules, its operations."""

import importlib
import pkgutil
from collections.abc import Iterable, Iterator
from types import ModuleType
from typing import Any

import pytest
from fastapi.routing import APIRoute

import app
from app import main

METHODS = {"get", "post", "put", "patch", "delete", "head", "options"}


def routes() -> list[tuple[str, str, APIRoute]]:
    """Method, path and route of everything behind a router."""
    return [
        (method, route.path, route)
        for router in main.ROUTERS
        for route in router.routes
        if isinstance(route, APIRoute)
        for method in sorted(route.methods)
    ]


def modules(last_name: str) -> list[ModuleType]:
    """Every module of the application whose own name this is."""
    names = [module.name for module in pkgutil.walk_packages(app.__path__, "app.")]
    return [importlib.import_module(name) for name in names if name.rsplit(".", 1)[-1] == last_name]


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Method, path and operation of everything in the OpenAPI document."""
    for path, item in document["paths"].items():
        for method, operation in item.items():
            assert method in METHODS, f"{path}: {method}"
            yield method.upper(), path, operation


def named(calls: Iterable[tuple[str, ...]]) -> list[Any]:
    """The calls as cases of a test that say what they are."""
    return [pytest.param(*call, id=" ".join(call)) for call in calls]
