"""`telemed serve`."""

import os
import sys
from contextlib import ExitStack, suppress
from typing import Annotated

import typer
import uvicorn
from uvicorn.config import STARTUP_FAILURE

from app.cli import drain, wire
from app.cli.console import fail
from app.db.embedded import serve_lock
from app.settings import load

DRAIN_S = 30
Port = Annotated[int, typer.Option(min=1, max=65535, help="Where to listen.")]


def serve(
    host: Annotated[str, typer.Option(help="Which address to listen on.")] = "127.0.0.1",
    port: Port = 8000,
    workers: Annotated[int, typer.Option(min=1, max=64, help="How many processes.")] = 1,
) -> None:
    """Serve the API. SIGTERM and Ctrl-C let accepted requests finish first."""
    settings = load()
    with ExitStack() as stack:
        if settings.is_embedded:
            stack.enter_context(serve_lock(settings.telemed_data_dir))
        run(host=host, port=port, workers=workers)


def run(*, host: str, port: int, workers: int) -> None:
    """Run uvicorn until it is told to stop."""
    try:
        listeners = drain.listeners(host, port, count=workers)
    except OSError as error:
        fail(f"cannot listen on {host}, port {port}: {error.strerror}. Choose another with --port.")
    # Workers end with this process, also when it is killed.
    os.environ["TELEMED_SUPERVISOR_PID"] = str(os.getpid())
    config = uvicorn.Config(
        "app.main:app",
        host=host,
        port=port,
        workers=workers,
        http=wire.Protocol,
        access_log=False,
        log_config=None,
        server_header=False,
        timeout_graceful_shutdown=DRAIN_S,
        # A keep-alive connection that idles longer than the proxy's is closed under a request.
        timeout_keep_alive=75,
    )
    # uvicorn raises again what it was stopped with: SIGTERM ends the process, Ctrl-C comes here.
    with suppress(KeyboardInterrupt):
        if workers > 1:
            parent = drain.Workers(config, listeners)
            parent.run()
            if any(worker.exitcode == STARTUP_FAILURE for worker in parent.processes):
                sys.exit(STARTUP_FAILURE)
        else:
            drain.Server(config).run(listeners[0])
