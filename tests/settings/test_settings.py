"""Settings that are wrong stop the start, with one line that says what to do, through whatever door one comes."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from app.settings import WELL_KNOWN_SECRETS, Settings, SettingsError, load
from tests.conftest import SECRET_KEY

ROOT = Path(__file__).resolve().parents[2]
URL = "postgresql://nobody:canary-password@localhost:1/nowhere"
NAMES = [name.upper() for name in Settings.model_fields]


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(f"{name}_FILE", raising=False)
    monkeypatch.setenv("TELEMED_DATA_DIR", str(tmp_path / "data"))


WRONG = {
    "no secret": ({"DATABASE_URL": URL}, "SECRET_KEY", "token_urlsafe"),
    "empty secret": ({"DATABASE_URL": URL, "SECRET_KEY": ""}, "SECRET_KEY", "token_urlsafe"),
    "short secret": ({"DATABASE_URL": URL, "SECRET_KEY": "x" * 31}, "SECRET_KEY", "32 bytes"),
    "blank secret": ({"DATABASE_URL": URL, "SECRET_KEY": " " * 40}, "SECRET_KEY", "token_urlsafe"),
    "sample secret": ({"DATABASE_URL": URL, "SECRET_KEY": "supersecret"}, "SECRET_KEY", "sample"),
    "sample in capitals": ({"DATABASE_URL": URL, "SECRET_KEY": "ChangeMe"}, "SECRET_KEY", "sample"),
    "short secret, embedded": ({"SECRET_KEY": "x" * 31}, "SECRET_KEY", "32 bytes"),
    "short pepper": ({"DATABASE_URL": URL, "SECRET_KEY": SECRET_KEY, "PEPPER": "x"}, "PEPPER", "32 bytes"),
    "short accepted secret": (
        {"DATABASE_URL": URL, "SECRET_KEY": SECRET_KEY, "SECRET_KEYS_ACCEPTED": f"{SECRET_KEY[::-1]},x"},
        "SECRET_KEYS_ACCEPTED",
        "32 bytes",
    ),
    "short field key": (
        {"DATABASE_URL": URL, "SECRET_KEY": SECRET_KEY, "FIELD_KEYS": f"{SECRET_KEY[::-1]},x"},
        "FIELD_KEYS",
        "32 bytes",
    ),
    "field keys without one": ({"SECRET_KEY": SECRET_KEY, "FIELD_KEYS": " , "}, "FIELD_KEYS", "names no secret"),
    "another database": ({"DATABASE_URL": "mysql://a@b/c", "SECRET_KEY": SECRET_KEY}, "DATABASE_URL", "postgresql://"),
    "a file as database": ({"DATABASE_URL": "sqlite:///x", "SECRET_KEY": SECRET_KEY}, "DATABASE_URL", "postgresql://"),
    "a host as database": ({"DATABASE_URL": "db:5432", "SECRET_KEY": SECRET_KEY}, "DATABASE_URL", "postgresql://"),
    "a bad port": (
        {"DATABASE_URL": "postgresql://a:b@c:port/d", "SECRET_KEY": SECRET_KEY},
        "DATABASE_URL",
        "postgresql://",
    ),
    "a space in the address": (
        {"DATABASE_URL": "postgresql://a:b@c:1 2/d", "SECRET_KEY": SECRET_KEY},
        "DATABASE_URL",
        "postgresql://",
    ),
    "no address": ({"PUBLIC_URL": "clinic.example"}, "PUBLIC_URL", "https://"),
    "an address with a user": ({"PUBLIC_URL": "https://me@clinic.example"}, "PUBLIC_URL", "https://"),
    "an address with a query": ({"PUBLIC_URL": "https://clinic.example/?a=b"}, "PUBLIC_URL", "https://"),
    "an address with a bad port": ({"PUBLIC_URL": "https://clinic.example:99999"}, "PUBLIC_URL", "https://"),
    "another algorithm": ({"ALGORITHM": "RS256"}, "ALGORITHM", "HS256"),
    "no algorithm": ({"ALGORITHM": "none"}, "ALGORITHM", "HS256"),
    "no number": ({"ACCESS_TOKEN_EXPIRE_MINUTES": "soon"}, "ACCESS_TOKEN_EXPIRE_MINUTES", "integer"),
    "zero minutes": ({"ACCESS_TOKEN_EXPIRE_MINUTES": "0"}, "ACCESS_TOKEN_EXPIRE_MINUTES", "1"),
    "too many minutes": ({"ACCESS_TOKEN_EXPIRE_MINUTES": "99999"}, "ACCESS_TOKEN_EXPIRE_MINUTES", "1440"),
    "half a minute": ({"ACCESS_TOKEN_EXPIRE_MINUTES": "0.5"}, "ACCESS_TOKEN_EXPIRE_MINUTES", "integer"),
    "cheap hashes": ({"BCRYPT_COST": "3"}, "BCRYPT_COST", "4"),
    "a role with a quote": ({"DATABASE_APP_ROLE": 'x"; --'}, "DATABASE_APP_ROLE", "match"),
    "a tiny pool": ({"DATABASE_POOL_MAX": "1"}, "DATABASE_POOL_MAX", "2"),
    "a mail server without a scheme": ({"SMTP_URL": "mail.clinic.test:587"}, "SMTP_URL", "smtp://"),
    "another mail scheme": ({"SMTP_URL": "http://a:canary@mail.clinic.test"}, "SMTP_URL", "smtps://"),
    "a bad mail port": ({"SMTP_URL": "smtp://a:canary@mail.clinic.test:70000"}, "SMTP_URL", "587"),
    "mails from nobody": ({"SMTP_URL": "smtp://a:canary@mail.clinic.test"}, "MAIL_FROM", "no-reply@clinic.example"),
    "a sender without an at": ({"MAIL_FROM": "the clinic"}, "MAIL_FROM", "no-reply@clinic.example"),
    "a sender of two lines": ({"MAIL_FROM": "a@b.test\nBcc: c@d.test"}, "MAIL_FROM", "no-reply@clinic.example"),
    "a link with a question": ({"PUBLIC_URL": "https://clinic.test/?x=1"}, "PUBLIC_URL", "https://"),
    "a link of another kind": ({"PUBLIC_URL": "javascript:alert(1)"}, "PUBLIC_URL", "https://"),
    "a loud log": ({"LOG_LEVEL": "shout"}, "LOG_LEVEL", "info"),
}


def give(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize("name", WRONG)
def test_wrong_setting_is_told_in_one_line_that_says_what_to_do(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    environment, variable, hint = WRONG[name]
    give(monkeypatch, environment)
    with pytest.raises(SettingsError) as caught:
        load()
    sentence = str(caught.value)
    assert variable in sentence
    assert hint in sentence
    assert "\n" not in sentence
    assert "canary" not in sentence
    assert len(sentence) < 300


@pytest.mark.parametrize("secret", sorted(WELL_KNOWN_SECRETS))
def test_well_known_secret_is_refused(monkeypatch: pytest.MonkeyPatch, secret: str) -> None:
    give(monkeypatch, {"DATABASE_URL": URL, "SECRET_KEY": secret})
    with pytest.raises(SettingsError, match="sample"):
        load()


@pytest.mark.parametrize("doing", ["missing", "a folder", "unreadable bytes", "empty"])
@pytest.mark.parametrize("variable", ["SECRET_KEY", "DATABASE_URL", "PEPPER"])
def test_file_that_cannot_be_read_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variable: str, doing: str
) -> None:
    path = tmp_path / "secret"
    if doing == "a folder":
        path.mkdir()
    elif doing != "missing":
        path.write_bytes(b"\xff\xfe\x00" if doing == "unreadable bytes" else b" \n")
    give(monkeypatch, {"DATABASE_URL": URL, "SECRET_KEY": SECRET_KEY, f"{variable}_FILE": str(path)})
    monkeypatch.delenv(variable, raising=False)
    with pytest.raises(SettingsError) as caught:
        load()
    assert f"{variable}_FILE" in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_secrets_come_from_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, value in {"SECRET_KEY": SECRET_KEY, "DATABASE_URL": URL, "PEPPER": SECRET_KEY[::-1]}.items():
        (tmp_path / name).write_text(value + "\n")
        monkeypatch.setenv(f"{name}_FILE", str(tmp_path / name))
    settings = load()
    assert (settings.secret_key, settings.database_url, settings.pepper) == (SECRET_KEY, URL, SECRET_KEY[::-1])


def test_env_file_with_the_four_variables_of_the_seed_is_read(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(
        f'DATABASE_URL="{URL}"\nSECRET_KEY={SECRET_KEY}\nALGORITHM=HS512\nACCESS_TOKEN_EXPIRE_MINUTES=60\nOTHER=1\n'
    )
    settings = load()
    assert (settings.database_url, settings.secret_key) == (URL, SECRET_KEY)
    assert (settings.algorithm, settings.access_token_expire_minutes) == ("HS512", 60)


def test_environment_goes_before_the_env_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("ALGORITHM=HS512\n")
    monkeypatch.setenv("ALGORITHM", "HS384")
    assert load().algorithm == "HS384"


def test_env_file_that_is_no_text_is_named(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"SECRET_KEY=\xff\xfe\x00\n")
    with pytest.raises(SettingsError, match=r"\.env"):
        load()


@pytest.mark.parametrize(
    "prefix",
    ["postgresql://", "postgres://", "postgresql+psycopg://", "postgresql+psycopg2://", "postgresql+asyncpg://"],
)
def test_address_in_any_usual_spelling_is_understood(monkeypatch: pytest.MonkeyPatch, prefix: str) -> None:
    give(monkeypatch, {"DATABASE_URL": f" {prefix}u:p%40w@host:5432/name?sslmode=require ", "SECRET_KEY": SECRET_KEY})
    assert load().database_url == "postgresql://u:p%40w@host:5432/name?sslmode=require"


@pytest.mark.parametrize(
    "url",
    ["smtp://mail.clinic.test", "smtp://u:p%40w@mail.clinic.test:587", "smtps://[::1]:465/", " smtp://mailpit:1025 "],
)
def test_mail_server_in_any_usual_spelling_is_understood(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    give(monkeypatch, {"SMTP_URL": url, "MAIL_FROM": "Clinic <no-reply@clinic.test>"})
    settings = load()
    assert (settings.smtp_url, settings.mail_from) == (url.strip(), "Clinic <no-reply@clinic.test>")
    assert url.strip() not in repr(settings)


def test_mail_server_comes_from_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "url").write_text("smtp://u:canary@mail.clinic.test\n")
    give(monkeypatch, {"SMTP_URL_FILE": str(tmp_path / "url"), "MAIL_FROM": "no-reply@clinic.test"})
    assert load().smtp_url == "smtp://u:canary@mail.clinic.test"


def test_links_begin_with_the_public_address_without_a_final_slash(monkeypatch: pytest.MonkeyPatch) -> None:
    give(monkeypatch, {"PUBLIC_URL": "https://clinic.test/care/"})
    assert load().public_url == "https://clinic.test/care"


def test_own_secret_is_made_once_for_its_owner_only(tmp_path: Path) -> None:
    first, second = load(), load()
    assert first.secret_key == second.secret_key
    assert len(first.secret_key.encode()) >= 32
    path = tmp_path / "data" / "secret_key"
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert [one.name for one in path.parent.iterdir()] == ["secret_key"]


def test_no_secret_is_made_for_a_database_of_ones_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    give(monkeypatch, {"DATABASE_URL": URL, "SECRET_KEY": SECRET_KEY})
    load()
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("doing", ["a file", "below a file"])
def test_data_folder_that_cannot_be_made_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, doing: str) -> None:
    (tmp_path / "file").write_text("")
    folder = tmp_path / "file" / ("" if doing == "a file" else "below")
    monkeypatch.setenv("TELEMED_DATA_DIR", str(folder))
    with pytest.raises(SettingsError) as caught:
        load()
    assert str(tmp_path / "file") in str(caught.value)


def test_secrets_are_in_no_representation(monkeypatch: pytest.MonkeyPatch) -> None:
    give(monkeypatch, {"DATABASE_URL": URL, "SECRET_KEY": SECRET_KEY, "PEPPER": SECRET_KEY[::-1]})
    settings = load()
    for text in (repr(settings), str(settings), f"{settings!r:>10}"):
        assert SECRET_KEY not in text
        assert SECRET_KEY[::-1] not in text
        assert "canary" not in text


DOORS = {
    "telemed check": ["-m", "app.cli", "check"],
    "telemed serve": ["-m", "app.cli", "serve", "--port", "1"],
    "uvicorn": ["-m", "uvicorn", "app.main:app", "--port", "1"],
}


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("name", ["no secret", "another algorithm", "a bad port"])
def test_every_door_refuses_in_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, door: str, name: str) -> None:
    environment, variable, hint = WRONG[name]
    give(monkeypatch, environment)
    ended = subprocess.run(
        [sys.executable, *DOORS[door]],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    said = (ended.stdout + ended.stderr).strip()
    assert ended.returncode == 1, said
    assert len(said.splitlines()) == 1, said
    assert re.search(rf"{variable}.*{re.escape(hint)}", said)
