"""What endpoints get from the application. All `async`: a plain function would cost a thread hop a request."""

from typing import Annotated, cast

from fastapi import Depends, Request

from app.db.database import Database
from app.observability import context


async def _database(request: Request) -> Database:
    return cast("Database", request.app.state.db)


async def _request_id() -> str:
    return context.request_id()


Db = Annotated[Database, Depends(_database)]
RequestId = Annotated[str, Depends(_request_id)]
