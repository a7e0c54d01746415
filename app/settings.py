"""Every environment variable once: name, type, unit, default, meaning. `docs/settings.md` is made from here."""

import contextlib
import os
import re
import secrets
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from app.kit import keys

SECRET_BYTES_MIN = 32
PORT_MAX = 65_535
# Values that stand in tutorials, samples and the README this system began with.
WELL_KNOWN_SECRETS = frozenset({
    "supersecret", "secret", "changeme", "changethis", "change-me", "your-secret-key", "secret-key",
    "your-256-bit-secret", "a-string-secret-at-least-256-bits-long",
    "09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7",
    "changeme-changeme-changeme-changeme", "supersecretsupersecretsupersecret",
    "change-me-in-production-change-me-in-production",
})  # fmt: skip


_SCHEME = re.compile(r"postgres(ql)?(\+\w+)?", flags=re.IGNORECASE)
# Who, then hosts with ports, then the name and options; libpq says the rest when it connects.
_ADDRESS = re.compile(r"([^\s/?]*@)?((\[[^\s\]]+\]|[^\s:/?@,]*)(:\d{1,5})?(,|(?=[/?]|$)))*([/?]\S*)?")
# A host, perhaps a port and a path; no user, query or fragment.
_SITE = re.compile(r"https?://(\[[0-9a-f:]+\]|[\w.-]+)(:\d{1,4}|:[1-5]\d{4})?(/[^\s?#]*)?", flags=re.IGNORECASE)

# Nobody can answer it, and no mail server takes it.
NO_SENDER = "telemed@localhost"
_MAIL_SERVER = re.compile(r"smtps?://([^\s/?#@]+@)?(\[[^\s\]]+\]|[^\s:/?#@\[\]]+)(:(?P<port>\d{1,5}))?/?")
_SENDER = re.compile(r"([^\s<>@,\"]+@[^\s<>@,\"]+|[^\r\n<>@,\"]+ <[^\s<>@,\"]+@[^\s<>@,\"]+>)")


class SettingsError(Exception):
    """The settings are wrong; the message is one line that says what to do."""


class Settings(BaseSettings):
    """What can be set from the environment, from `.env`, or (secrets) from the file that `NAME_FILE` names."""

    model_config = SettingsConfigDict(env_file=".env", extra="ignore", frozen=True, env_ignore_empty=True)

    database_url: Annotated[
        str | None,
        Field(repr=False, description="`postgresql://…` of a PostgreSQL 15–18. Absent: the embedded server."),
    ] = None
    secret_key: Annotated[
        str,
        Field(
            repr=False,
            description="Signs access tokens; at least 32 bytes. "
            "Made and kept in the data directory when the server is the embedded one.",
        ),
    ] = ""
    secret_keys_accepted: Annotated[
        str,
        Field(
            repr=False,
            description="Further secrets, with commas between them, whose access tokens are good as well: "
            "to change SECRET_KEY without a failed request ([how](keys.md)).",
        ),
    ] = ""
    pepper: Annotated[
        str,
        Field(
            repr=False,
            description="Second secret, for all that must outlive a change of SECRET_KEY: password hashes, one-time "
            "codes, links in mails, request fingerprints, refresh tokens, cursors; at least 32 bytes. "
            "Absent: SECRET_KEY is taken.",
        ),
    ] = ""
    field_keys: Annotated[
        str,
        Field(
            repr=False,
            description="Secrets for clinical text, with commas between them, of at least 32 bytes each. The first one "
            "seals, the others still open what they sealed ([how to change them](keys.md)). Absent: PEPPER is taken.",
        ),
    ] = ""
    algorithm: Annotated[Literal["HS256", "HS384", "HS512"], Field(description="How access tokens are signed.")] = (
        "HS256"
    )
    access_token_expire_minutes: Annotated[
        int, Field(ge=1, le=1440, description="Life of an access token, in minutes.")
    ] = 15
    refresh_token_expire_days: Annotated[
        int, Field(ge=1, le=365, description="Life of an unused refresh token, in days.")
    ] = 30
    session_expire_days: Annotated[
        int, Field(ge=1, le=3650, description="Life of a session, however often it is refreshed, in days.")
    ] = 90
    bcrypt_cost: Annotated[
        int, Field(ge=4, le=16, description="log2 of the rounds of a password hash. Below 10 only for tests.")
    ] = 12
    telemed_data_dir: Annotated[
        Path, Field(description="Folder of the embedded server and of the secrets made for it.")
    ] = Path(".telemed")
    database_app_role: Annotated[
        str,
        Field(
            pattern=r"^[a-z_][a-z0-9_]{0,62}$",
            description="Role without DDL under which the application works; migrations create it.",
        ),
    ] = "telemed_app"
    database_pool_max: Annotated[
        int, Field(ge=2, le=200, description="Connections to PostgreSQL that one process may hold.")
    ] = 16
    bookings_ahead_max: Annotated[
        int,
        Field(
            ge=0,
            le=1_000_000,
            description="Consultations that a patient may have ahead at a time, where the clinic has no limit of its "
            "own; 0 lifts this limit and the next one.",
        ),
    ] = 30
    bookings_a_day_max: Annotated[
        int,
        Field(
            ge=0,
            le=1_000_000,
            description="Bookings that a patient may make within 24 hours, whatever becomes of them: who cancels and "
            "books again and again keeps others waiting; 0 is no limit.",
        ),
    ] = 60
    rate_limits: Annotated[
        Literal["on", "off"],
        Field(
            description="`off` lifts the three limits below, and the waiting of who guesses passwords: for load tests."
        ),
    ] = "on"
    rate_limit_caller: Annotated[int, Field(ge=1, description="Requests a minute of one user.")] = 600
    rate_limit_network: Annotated[
        int,
        Field(ge=1, description="Requests a minute of one network: an IPv4 address, or 64 bits of an IPv6 address."),
    ] = 6_000
    rate_limit_identity: Annotated[
        int,
        Field(ge=1, description="Of those, requests to register, log in, refresh, or change how one logs in."),
    ] = 600
    redis_url: Annotated[
        str | None,
        Field(
            repr=False,
            pattern=r"^rediss?://\S+$",
            description="`redis://…` or `rediss://…`: replicas then add up what is asked in a minute there, "
            "and not in PostgreSQL.",
        ),
    ] = None
    audit_keep_months: Annotated[
        int,
        Field(
            ge=0,
            le=1200,
            description="Whole months for which `telemed tidy` keeps the audit log, besides the present one; "
            "0 keeps it for ever.",
        ),
    ] = 0
    public_url: Annotated[
        str,
        Field(
            description="Where people reach this system: `https://…`. Links in mails begin with it, and `/reset` and "
            "`/confirm` there get the token after a `#`. Passkeys are for its host, which must stay."
        ),
    ] = "http://localhost:8000"
    smtp_url: Annotated[
        str | None,
        Field(
            repr=False,
            description="Mail server: `smtp://USER:PASSWORD@HOST:587` (TLS by STARTTLS) or `smtps://…:465`. "
            "Absent: mails go into MAIL_FOLDER.",
        ),
    ] = None
    mail_from: Annotated[
        str, Field(description="Who mails are from, such as `Clinic <no-reply@clinic.example>`. Needed with SMTP_URL.")
    ] = NO_SENDER
    mail_folder: Annotated[
        Path | None,
        Field(
            description="Folder for mails while there is no mail server, one `.eml` each. Absent: `mail` in "
            "TELEMED_DATA_DIR with the embedded server; otherwise mails wait, and a terminal shows them."
        ),
    ] = None
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"],
        Field(description="The least severe line that is logged."),
    ] = "info"

    @property
    def is_embedded(self) -> bool:
        """Whether the database is the embedded server."""
        return self.database_url is None

    @property
    def accepted_keys(self) -> tuple[str, ...]:
        """The secrets whose access tokens are good besides those of SECRET_KEY."""
        return _listed(self.secret_keys_accepted)

    @property
    def ring_of_field_keys(self) -> tuple[str, ...]:
        """The secrets for clinical text: the one that seals, and those that only open."""
        return _listed(self.field_keys) or (self.pepper or self.secret_key,)

    @property
    def mail_folder_used(self) -> Path | None:
        """Where mails are written while there is no mail server."""
        if self.mail_folder is None and self.is_embedded:
            return self.telemed_data_dir / "mail"
        return self.mail_folder

    def stable_key_for(self, purpose: str) -> bytes:
        """The 256-bit key for `purpose` that survives a change of SECRET_KEY where PEPPER is set."""
        return keys.derive(self.pepper or self.secret_key, purpose)

    @field_validator("database_url")
    @classmethod
    def _is_postgresql(cls, url: str | None) -> str | None:
        """In one spelling: people copy addresses from SQLAlchemy projects and from hosters."""
        if url is None:
            return None
        scheme, separator, rest = url.strip().partition("://")
        if not separator or not _SCHEME.fullmatch(scheme):
            raise ValueError("must begin with postgresql:// (leave it out to use the embedded server)")
        if not _ADDRESS.fullmatch(rest):
            raise ValueError(
                "must look like postgresql://USER:PASSWORD@HOST:5432/NAME, with special characters percent-encoded"
            )
        return f"postgresql://{rest}"

    @field_validator("public_url")
    @classmethod
    def _is_site(cls, url: str) -> str:
        if not _SITE.fullmatch(url.strip()):
            raise ValueError("must look like https://clinic.example, or http://localhost:8000")
        return url.strip().rstrip("/")

    @field_validator("smtp_url")
    @classmethod
    def _is_mail_server(cls, url: str | None) -> str | None:
        found = url and _MAIL_SERVER.fullmatch(url.strip())
        if url is not None and not (found and int(found["port"] or 1) <= PORT_MAX):
            raise ValueError(
                "must look like smtp://USER:PASSWORD@HOST:587 or smtps://…:465, with special characters percent-encoded"
            )
        return url and url.strip()

    @field_validator("mail_from")
    @classmethod
    def _is_sender(cls, sender: str) -> str:
        if not _SENDER.fullmatch(sender.strip()):
            raise ValueError("must look like no-reply@clinic.example or Clinic <no-reply@clinic.example>")
        return sender.strip()

    @model_validator(mode="after")
    def _mails_have_a_sender(self) -> Self:
        if self.smtp_url is not None and self.mail_from == NO_SENDER:
            raise ValueError(
                "MAIL_FROM is missing: with SMTP_URL set, say who mails are from, such as no-reply@clinic.example"
            )
        return self

    @model_validator(mode="after")
    def _secrets_are_strong(self) -> Self:
        for name in ("secret_key", "pepper"):
            value = getattr(self, name)
            if value or name == "secret_key":
                _check_strength(name.upper(), value)
        if self.field_keys and not _listed(self.field_keys):
            # Another secret in its place would seal what this one was meant for.
            raise ValueError("FIELD_KEYS names no secret; put one before the comma, or unset it")
        for name, listed in (("SECRET_KEYS_ACCEPTED", self.accepted_keys), ("FIELD_KEYS", _listed(self.field_keys))):
            for value in listed:
                _check_strength(name, value)
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the signature is the library's
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Environment before `.env`; then the secrets that live in files."""
        return init_settings, env_settings, dotenv_settings, _SecretFiles(settings_cls)


class _SecretFiles(PydanticBaseSettingsSource):
    """`SECRET_KEY_FILE=/run/…` for orchestrators, and the data directory's own secret for the embedded server."""

    names = ("database_url", "secret_key", "secret_keys_accepted", "pepper", "field_keys", "smtp_url", "redis_url")

    def get_field_value(self, field: Any, field_name: str) -> tuple[Any, str, bool]:  # noqa: ARG002
        variable = f"{field_name.upper()}_FILE"
        path = os.environ.get(variable)
        return (_read(variable, path) if path else None), field_name, False

    def __call__(self) -> dict[str, Any]:
        found = {name: self.get_field_value(None, name)[0] for name in self.names}
        found = {name: value for name, value in found.items() if value}
        if "database_url" not in {**found, **self.current_state} and "secret_key" not in found:
            data_dir = Path(self.current_state.get("telemed_data_dir") or ".telemed")
            if not self.current_state.get("secret_key"):
                found["secret_key"] = _own_secret(data_dir)
        return found


def _read(variable: str, path: str) -> str:
    try:
        text = Path(path).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise SettingsError(f"{variable}: cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise SettingsError(f"{variable}: {path} is not text in UTF-8") from error
    if not text:
        raise SettingsError(f"{variable}: {path} is empty; put the secret into it, or unset {variable}")
    return text


def load(**overrides: object) -> Settings:
    """The settings, or `SettingsError` with one line that says what to do."""
    try:
        return Settings(**overrides)  # type: ignore[arg-type]  # pydantic checks them
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        name = str(first["loc"][0]).upper() + ": " if first["loc"] else ""
        raise SettingsError(name + first["msg"].removeprefix("Value error, ")) from None
    except UnicodeDecodeError:
        raise SettingsError(".env is not text in UTF-8; save it again as such, or remove it") from None
    except OSError as error:
        raise SettingsError(f"cannot use {error.filename}: {error.strerror}") from None


def _listed(secrets: str) -> tuple[str, ...]:
    return tuple(secret.strip() for secret in secrets.split(",") if secret.strip())


def _check_strength(name: str, value: str) -> None:
    make_one = f'make one with: python3 -c "import secrets; print(secrets.token_urlsafe(48))" and set {name}'
    if not value.strip():
        raise ValueError(f"{name} is missing; {make_one}")
    if value.lower() in WELL_KNOWN_SECRETS:
        raise ValueError(f"{name} is a well-known sample; {make_one}")
    if len(value.encode()) < SECRET_BYTES_MIN:
        raise ValueError(f"{name} is shorter than {SECRET_BYTES_MIN} bytes; {make_one}")


def _own_secret(data_dir: Path) -> str:
    """The secret of this data directory; made at the first start, mode 0600."""
    path = data_dir / "secret_key"
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not path.exists():
        draft = data_dir / f"secret_key.{os.getpid()}"
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(secrets.token_urlsafe(48) + "\n")
        with contextlib.suppress(FileExistsError):
            # A link appears whole or not at all: a second process never reads half a secret.
            path.hardlink_to(draft)
        draft.unlink()
    return path.read_text(encoding="utf-8").strip()
