"""What becomes of mails while there is no mail server."""

import asyncio
import io
import sys
from pathlib import Path

import pytest

from app.mail.errors import MailDelayed
from app.mail.rules import Mail
from app.mail.service import Post, post_of
from app.mail.transports import Folder, MailServer, Screen, Transport
from app.settings import Settings
from tests.conftest import SECRET_KEY

MAIL = Mail("ada@clinic.test", "Hello", "A token: canary\n")
URL = "postgresql://nobody@localhost/nowhere"


def sends(transport: Transport, id: str = "one") -> None:
    asyncio.run(Post("no-reply@clinic.test", transport).send(MAIL, id=id))


def configured(**values: object) -> Transport:
    return post_of(Settings(_env_file=None, secret_key=SECRET_KEY, **values)).transport


def test_folder_is_made_and_its_mails_are_their_owners(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "mail"
    sends(Folder(folder))
    assert folder.stat().st_mode & 0o777 == 0o700
    [path] = folder.iterdir()
    assert (path.name, path.stat().st_mode & 0o777) == ("one.eml", 0o600)
    assert "canary" in path.read_text()


def test_mail_that_comes_twice_is_one_file(tmp_path: Path) -> None:
    for id in ("one", "two", "one"):
        sends(Folder(tmp_path), id)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.eml", "two.eml"]


def test_folder_that_cannot_be_written_is_a_delay(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(MailDelayed, match=r"FileExistsError|NotADirectoryError"):
        sends(Folder(tmp_path / "file"))


def test_terminal_shows_the_mail(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = io.StringIO()
    terminal.isatty = lambda: True  # type: ignore[method-assign]
    monkeypatch.setattr(sys, "stderr", terminal)
    sends(Screen())
    assert "canary" in terminal.getvalue()


def test_log_never_gets_a_mail(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Standard error that is no terminal is kept by somebody: the mail waits."""
    with pytest.raises(MailDelayed) as caught:
        sends(Screen())
    assert "SMTP_URL" in caught.value.detail
    said = capsys.readouterr()
    assert said.out + said.err == ""


def test_settings_decide_on_the_way(tmp_path: Path) -> None:
    assert configured(database_url=URL) == Screen()
    assert configured(database_url=URL, mail_folder=tmp_path) == Folder(tmp_path)
    assert configured(telemed_data_dir=tmp_path) == Folder(tmp_path / "mail")
    smtp = {"smtp_url": "smtp://mail.clinic.test", "mail_from": "no-reply@clinic.test", "mail_folder": tmp_path}
    assert configured(telemed_data_dir=tmp_path, **smtp) == MailServer("smtp://mail.clinic.test")
