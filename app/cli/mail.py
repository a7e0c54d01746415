"""`telemed mail test`."""

import asyncio
from typing import Annotated

import typer

from app.cli.console import fail, out
from app.identity.users.rules import valid_email
from app.mail import service
from app.mail.errors import MailDelayed
from app.settings import load


def send_test(address: Annotated[str, typer.Argument(help="Who gets it.")]) -> None:
    """Send a test mail, and say where it went or what went wrong."""
    try:
        to = valid_email(address)
    except ValueError:
        fail(f"{address!r} is not an e-mail address.")
    settings = load()
    post = service.post_of(settings)
    try:
        asyncio.run(service.send_test(post, to=to, public_url=settings.public_url))
    except MailDelayed as error:
        fail(f"the mail could not be sent by {post.transport.place}: {' '.join(error.detail.split())}")
    out.print(f"Sent to {to}, from {post.sender}, by {post.transport.place}", markup=False, soft_wrap=True)
