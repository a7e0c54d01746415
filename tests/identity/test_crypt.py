"""bcrypt of the system and of the package are one function; whatever the system has, passwords work."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import bcrypt
import pytest

from app.identity import crypt

# A password of 64 characters, as ours are after the pepper.
PASSWORDS = (b"U*U", b"", b"\xff\xa3345", b"a" * 64, b"0123456789abcdef" * 4 + b"12345678")


@pytest.fixture
def system() -> Iterator[None]:
    """The choice is made anew before and after."""
    crypt._fastest.cache_clear()
    yield
    crypt._fastest.cache_clear()


def systems() -> list[crypt.Bcrypt]:
    return [found for name in crypt.LIBRARIES if (found := crypt.of_system(name)) is not None]


@pytest.mark.parametrize("password", PASSWORDS)
def test_every_library_makes_the_same_hash(password: bytes) -> None:
    salt = bcrypt.gensalt(4)
    made = {compute(password, salt) for compute in (bcrypt.hashpw, crypt.hashed, *systems())}
    assert len(made) == 1
    assert bcrypt.checkpw(password, made.pop())


def test_a_hash_of_openbsd_is_made() -> None:
    known = b"$2b$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"
    assert all(compute(b"U*U", known) == known for compute in (bcrypt.hashpw, crypt.hashed, *systems()))


@pytest.mark.parametrize("setting", [b"", b"*0", b"$2b$04$short", b"$2b$99$" + b"C" * 22, b"$6$salt$", b"$1$salt$"])
def test_what_is_no_setting_of_bcrypt_is_refused(setting: bytes) -> None:
    with pytest.raises(ValueError, match="Invalid salt"):
        crypt.hashed(b"password", setting)


@pytest.mark.usefixtures("system")
def test_without_a_library_of_the_system_the_package_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crypt, "LIBRARIES", ("libcrypt.so.none", "libc.so.6"))
    salt = bcrypt.gensalt(4)
    assert crypt.hashed(b"password", salt) == bcrypt.hashpw(b"password", salt)


@pytest.mark.usefixtures("system")
def test_a_library_that_computes_something_else_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crypt, "of_system", lambda _name: lambda _password, setting: setting[:29] + b"." * 31)
    salt = bcrypt.gensalt(4)
    assert crypt.hashed(b"password", salt) == bcrypt.hashpw(b"password", salt)


def test_many_at_once_do_not_meet() -> None:
    jobs = [(f"password {number}".encode(), bcrypt.gensalt(4)) for number in range(200)]
    with ThreadPoolExecutor(8) as threads:
        made = list(threads.map(lambda job: crypt.hashed(*job), jobs))
    assert made == [bcrypt.hashpw(*job) for job in jobs]
