"""The application: the only place that knows every router. `uvicorn app.main:app` serves it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from datetime import timedelta
from importlib.metadata import PackageNotFoundError, version

from fastapi import FastAPI

from app import settings as settings_module
from app.availability.endpoints import BULK_BODY_BYTES_MAX
from app.availability.endpoints import router as availability
from app.booking.endpoints import router as booking
from app.breakglass.endpoints import router as breakglass
from app.consultation.endpoints import router as consultation
from app.db import embedded, migrate
from app.db.database import Database
from app.encryption.rules import KeyRing
from app.health.endpoints import router as health
from app.http import documents, problems
from app.http.edge import Edge
from app.identity.links import rules as link_rules
from app.identity.links.endpoints import router as links
from app.identity.mfa.endpoints import router as mfa
from app.identity.passkeys.endpoints import router as passkeys
from app.identity.passkeys.rules import RelyingParty
from app.identity.passwords import Passwords
from app.identity.revocations.service import Revocations
from app.identity.sessions.endpoints import router as sessions
from app.identity.tokens import AccessTokens
from app.identity.users.endpoints import router as users
from app.mail import service as mail
from app.observability import logs
from app.observability.process import collect_garbage_seldom, end_with_supervisor
from app.oversight.endpoints import router as oversight
from app.prescription.endpoints import router as prescription
from app.ratelimit.postgres import PostgresStore
from app.ratelimit.rules import Limit
from app.ratelimit.service import Limits, RateLimits, Store
from app.settings import Settings, SettingsError
from app.worker import Worker, postman, sealer

# The most asked for first: each route before the right one costs a request 2 µs.
ROUTERS = (
    availability,
    booking,
    consultation,
    users,
    prescription,
    sessions,
    mfa,
    passkeys,
    links,
    health,
    oversight,
    breakglass,
)
# The keeper restarts a PostgreSQL that died; we restart a keeper that died.
SUPERVISE_EVERY_S = 1.0

DESCRIPTION = """
Patients register, doctors offer slots, a patient books a slot exactly once however often the network makes them retry,
the consultation is held and completed or cancelled, the doctor prescribes, and everything leaves a trace.

**Retries.** `POST /bookings/` and `POST /prescriptions/` require an `Idempotency-Key`. Answers are kept for 7 days and
given again, byte for byte, with `Idempotency-Replayed: true`. A 5xx means "rolled back or unknown": retry with the same
key. A refusal that depends on state sticks to its key.

**Errors** are `application/problem+json` (RFC 9457); decide by `code`. An address that there is not answers 404
`not_found`, another method than those here 405 `method_not_allowed`. **Times** need an offset; answers are in UTC.
**Lists** are pages: send `next_cursor` back as `cursor`, with the same filters.
"""

_log = logs.logger("main")


def create_app(settings: Settings) -> FastAPI:
    """The application for these settings. It connects when it is started, not before."""
    logs.configure(settings.log_level)
    app = FastAPI(
        title="Telemed API",
        summary="A telemedicine backend: no double booking, safe retries.",
        description=DESCRIPTION,
        version=_version(),
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        # It would export exceptions with their messages, in which PostgreSQL puts values.
        telemetry={"tracing": False, "metrics": False, "logs": False},
        lifespan=lambda app: _lifespan(app, settings),
    )
    app.state.access_tokens = AccessTokens(
        settings.secret_key,
        settings.algorithm,
        timedelta(minutes=settings.access_token_expire_minutes),
        settings.accepted_keys,
    )
    app.state.refresh_lifetime = timedelta(days=settings.refresh_token_expire_days)
    app.state.session_lifetime = timedelta(days=settings.session_expire_days)
    app.state.refresh_key = settings.stable_key_for("refresh tokens")
    app.state.relying_party = RelyingParty.at(settings.public_url)
    app.state.mfa_key = settings.stable_key_for("one-time codes")
    app.state.attempts_key = settings.stable_key_for("login attempts")
    app.state.link_key = settings.stable_key_for(link_rules.KEY)
    app.state.key_ring = KeyRing(settings.ring_of_field_keys)
    app.state.cursor_key = settings.stable_key_for("cursors")
    app.state.fingerprint_key = settings.stable_key_for("request fingerprints")
    for router in ROUTERS:
        # Not `include_router`: it matches each router's routes in a layer of its own, for 12 to 23 µs a request.
        app.router.routes.extend(router.routes)
    problems.install(app)
    documents.install(app)
    app.add_middleware(Edge, body_limits={"/availability/bulk": BULK_BODY_BYTES_MAX})
    return app


def __getattr__(name: str) -> FastAPI:
    """`app`, made when uvicorn asks for it: importing this module reads no settings and opens nothing."""
    if name != "app":
        raise AttributeError(name)
    try:
        settings = settings_module.load()
    except SettingsError as error:
        raise SystemExit(f"telemed: {error}") from None
    app = create_app(settings)
    collect_garbage_seldom()
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI, settings: Settings) -> AsyncIterator[None]:
    end_with_supervisor()
    passwords = Passwords(pepper=settings.stable_key_for("passwords"), cost=settings.bcrypt_cost)
    async with _database(settings) as db:
        revocations = Revocations(db, token_lifetime=app.state.access_tokens.lifetime)
        workers = (Worker(db), postman(db, settings, mail.post_of(settings)), sealer(db, settings))
        revocations.start()
        for worker in workers:
            worker.start()
        app.state.db, app.state.passwords, app.state.revocations = db, passwords, revocations
        limits = app.state.rate_limits = _rate_limits(settings, db)
        if limits is not None:
            limits.start()
        try:
            yield
        finally:
            if limits is not None:
                await limits.stop()
            for worker in workers:
                await worker.stop()
            await revocations.stop()
            passwords.close()


def _rate_limits(settings: Settings, db: Database) -> RateLimits | None:
    if settings.rate_limits == "off":
        return None
    limits = Limits(
        caller=Limit("caller", settings.rate_limit_caller),
        network=Limit("network", settings.rate_limit_network),
        identity=Limit("identity", settings.rate_limit_identity, is_shared_at_once=True),
    )
    return RateLimits(_count_store(settings, db), limits, key=settings.stable_key_for("rate limits"))


def _count_store(settings: Settings, db: Database) -> Store:
    if settings.redis_url is None:
        return PostgresStore(db)
    # Only who has a Redis pays for loading what talks to it.
    from app.ratelimit.redis import RedisStore  # noqa: PLC0415

    return RedisStore(settings.redis_url)


@asynccontextmanager
async def _database(settings: Settings) -> AsyncIterator[Database]:
    async with _server(settings) as url:
        db = Database(
            url,
            app_role=settings.database_app_role,
            pool_max=settings.database_pool_max,
            told={
                "telemed.bookings_ahead_max": settings.bookings_ahead_max,
                "telemed.bookings_a_day_max": settings.bookings_a_day_max,
            },
        )
        await db.open()
        try:
            yield db
        finally:
            await db.close()


def _server(settings: Settings) -> AbstractAsyncContextManager[str]:
    if settings.database_url is None:
        return _embedded_server(settings)
    return _own_server(settings.database_url, settings)


@asynccontextmanager
async def _embedded_server(settings: Settings) -> AsyncIterator[str]:
    """The embedded PostgreSQL, attached to, migrated, and kept alive while we serve."""
    attachment = await asyncio.to_thread(embedded.attach, settings.telemed_data_dir)
    try:
        owner = attachment.url("telemed_owner")
        await asyncio.to_thread(migrate.upgrade, owner, app_role=settings.database_app_role)
        supervision = asyncio.create_task(_supervise(attachment))
        yield attachment.url(settings.database_app_role)
        supervision.cancel()
        with suppress(asyncio.CancelledError):
            await supervision
    finally:
        await asyncio.to_thread(attachment.close)


@asynccontextmanager
async def _own_server(url: str, settings: Settings) -> AsyncIterator[str]:
    """Somebody's PostgreSQL: set up if it is empty; otherwise migrated by `telemed migrate` and nobody else."""
    try:
        if await asyncio.to_thread(migrate.is_empty, url):
            await asyncio.to_thread(migrate.upgrade, url, app_role=settings.database_app_role)
    except migrate.MigrationFailed:
        # We serve 503 until it is there; /health/ready tells why.
        _log.warning("database cannot be reached or set up")
    yield url


async def _supervise(attachment: embedded.Attachment) -> None:
    while True:
        await asyncio.sleep(SUPERVISE_EVERY_S)
        try:
            await asyncio.to_thread(attachment.ensure)
        except embedded.EmbeddedServerError:
            _log.exception("embedded server cannot be restarted")


def _version() -> str:
    try:
        return version("telemed")
    except PackageNotFoundError:
        # Run from a checkout with `pip install -r requirements.txt`, without being installed.
        return "0.0.0"
