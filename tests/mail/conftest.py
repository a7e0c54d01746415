"""Mail servers of the tests, on this machine, and the certificate authority that vouches for them."""

import asyncio
import ipaddress
import ssl
import threading
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.smtp import SMTP, AuthResult, Envelope
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

ADDRESS = "127.0.0.1"
USER, PASSWORD = "clinic", "p@ss:word/with%signs"


@dataclass
class Server:
    """A mail server that keeps what it gets."""

    port: int = 0
    answer: str = "250 OK"
    to_recipient: str = "250 OK"
    mails: list[Envelope] = field(default_factory=list)
    logins: list[tuple[bytes, bytes]] = field(default_factory=list)
    was_secure: list[bool] = field(default_factory=list)

    async def handle_RCPT(self, server: Any, session: Any, envelope: Envelope, address: str, options: Any) -> str:  # noqa: N802
        if self.to_recipient.startswith("250"):
            envelope.rcpt_tos.append(address)
        return self.to_recipient

    async def handle_DATA(self, server: Any, session: Any, envelope: Envelope) -> str:  # noqa: N802
        self.was_secure.append(server.transport.get_extra_info("sslcontext") is not None)
        self.mails.append(envelope)
        return self.answer

    def knows(self, server: Any, session: Any, envelope: Any, mechanism: str, login: Any) -> AuthResult:
        self.logins.append((login.login, login.password))
        is_right = (login.login, login.password) == (USER.encode(), PASSWORD.encode())
        # Not handled: the library says no.
        return AuthResult(success=is_right, handled=is_right)


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate of 127.0.0.1, with its key; it vouches for itself."""
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, ADDRESS)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(ADDRESS))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(secret + made.public_bytes(serialization.Encoding.PEM))
    return path


@pytest.fixture
def trusted(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """This machine believes the certificate."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))


class Servers:
    """Mail servers in a thread of their own."""

    def __init__(self, certificate: Path) -> None:
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._listeners: list[asyncio.Server] = []
        self._talking: list[SMTP] = []
        self._thread.start()

    def open(self, kind: str = "plain", *, asks_login: bool = False) -> Server:
        """With STARTTLS (`starttls`), with TLS at once (`smtps`), or plain; with or without a login."""
        server, options = Server(), {"hostname": "mail.clinic.test", "loop": self._loop}
        if kind == "starttls":
            options["tls_context"] = self._context
        if asks_login:
            options |= {"authenticator": server.knows, "auth_required": True, "auth_require_tls": kind == "starttls"}
        at_once = self._context if kind == "smtps" else None
        listening = self._loop.create_server(lambda: self._talk(server, options), ADDRESS, 0, ssl=at_once)
        self._listeners.append(asyncio.run_coroutine_threadsafe(listening, self._loop).result())
        server.port = self._listeners[-1].sockets[0].getsockname()[1]
        return server

    def close(self) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _talk(self, server: Server, options: dict[str, Any]) -> SMTP:
        with warnings.catch_warnings():
            # That a login without TLS is unwise, it tells whoever tests it.
            warnings.simplefilter("ignore", UserWarning)
            self._talking.append(SMTP(server, **options))
        return self._talking[-1]

    async def _end(self) -> None:
        for listener in self._listeners:
            listener.close()
        for protocol in self._talking:
            if protocol.transport is not None:
                protocol.transport.abort()
        while others := asyncio.all_tasks() - {asyncio.current_task()}:
            for task in others:
                task.cancel()
            await asyncio.wait(others)


@pytest.fixture
def opened(certificate: Path) -> Iterator[Callable[..., Server]]:
    """Opens mail servers, and closes them."""
    servers = Servers(certificate)
    yield servers.open
    servers.close()
