"""Query strings, read into a route's model in one step."""

from fastapi import Request
from fastapi.dependencies.models import Dependant
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError


def model_of(route: Dependant) -> type[BaseModel] | None:
    """The model of the route's one query parameter, if it is declared as one: `Annotated[Model, Query()]`."""
    if len(route.query_params) != 1:
        return None
    annotation: object = route.query_params[0].field_info.annotation
    return annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None


def read(request: Request, model: type[BaseModel]) -> None:
    """Read the query string, in which no name is given twice. Raises `RequestValidationError`, as FastAPI does."""
    try:
        request.state.query = model.model_validate(dict(request.query_params))
    except ValidationError as error:
        errors = [{**one, "loc": ("query", *one["loc"])} for one in error.errors()]
        raise RequestValidationError(errors) from error
