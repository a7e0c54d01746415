"""An application that does nothing: what is left is the web server, the framework and the machine."""

from fastapi import FastAPI


def create_app() -> FastAPI:
    """One endpoint, without parameters, that answers a small constant."""
    app = FastAPI(openapi_url=None)

    @app.get("/")
    async def answer() -> dict[str, str]:
        return {"status": "ok"}

    return app
