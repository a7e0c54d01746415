"""`telemed`: one verb a line, the same services behind it as behind the API."""

import sys
from collections.abc import Callable

import typer

from app.cli import audit, bench, check, demo, mail, people, schema, serve, text, tidy
from app.cli.console import fail
from app.db.embedded import EmbeddedServerError
from app.kit.errors import Unavailable
from app.observability import logs
from app.settings import SettingsError

cli = typer.Typer(
    no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help="A telemedicine backend."
)
db = typer.Typer(no_args_is_help=True, help="The database.")
clinic = typer.Typer(no_args_is_help=True, help="Clinics.")
user = typer.Typer(no_args_is_help=True, help="Users.")
audits = typer.Typer(no_args_is_help=True, help="The audit log: is it what was sealed?")
texts = typer.Typer(no_args_is_help=True, help="Clinical text and its keys.")
mails = typer.Typer(no_args_is_help=True, help="Outgoing mail.")
for group, name in (
    (db, "db"),
    (clinic, "clinic"),
    (user, "user"),
    (mails, "mail"),
    (audits, "audit"),
    (texts, "text"),
):
    cli.add_typer(group, name=name)

cli.command("serve")(serve.serve)
cli.command("migrate")(schema.migrate)
cli.command("demo")(demo.demo)
cli.command("check")(check.check)
cli.command("tidy")(tidy.tidy)
cli.command("bench")(bench.bench)
db.command("url")(schema.url)
clinic.command("create")(people.create_clinic)
clinic.command("demand-second-factor")(people.demand_second_factor)
clinic.command("limit-bookings")(people.limit_bookings)
user.command("create")(people.create_user)
user.command("reset-codes")(people.reset_codes)
mails.command("test")(mail.send_test)
texts.command("rotate-keys")(text.rotate_keys)
texts.command("erase")(text.erase)
audits.command("verify")(audit.verify)
audits.command("checkpoint")(audit.checkpoint)
audits.command("export")(audit.export)
audits.command("key")(audit.key)


def main() -> None:
    """Run the command line; expected failures are one line on standard error, exit code 1."""
    logs.silence()
    run: Callable[[], None] = cli
    try:
        run()
    except (SettingsError, EmbeddedServerError) as error:
        fail(str(error))
    except Unavailable:
        fail("the database has no schema yet, or cannot be reached; run: telemed migrate, or see: telemed check")
    except KeyboardInterrupt:
        sys.exit(130)
