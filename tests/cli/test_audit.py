"""`telemed audit`: whether the audit log is what was sealed, and what is kept elsewhere to know it."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.db import embedded
from app.kit.signing import Signer
from tests.cli.home import Home
from tests.conftest import SECRET_KEY
from tests.vault import ADD, ELSEWHERE, HERE, Vault, vault
from tests.worker.house import first_of, last_of, month

CUT = "Without --checkpoints it cannot be told whether the newest seals were cut off.\n"
DELETE = "DELETE FROM audit_logs WHERE clinic_id = 1 AND request_id = 'request-13'"


@pytest.fixture
def log(postgres: embedded.Attachment) -> Iterator[Vault]:
    """25 rows here under three seals, 7 elsewhere under one."""
    with vault(postgres, "audited") as log:
        log.add(1, 25)
        log.add(1, 7, clinic_id=ELSEWHERE)
        log.seal_all(batch=10)
        yield log


@pytest.fixture
def home(log: Vault, tmp_path: Path) -> Home:
    return Home(tmp_path, DATABASE_URL=log.url, SECRET_KEY=SECRET_KEY, AUDIT_KEEP_MONTHS="2")


def finds(home: Home, *arguments: str) -> list[str]:
    """What `audit verify` says of a log that is not what was sealed."""
    ended = home.telemed("audit", "verify", *arguments, expect=1)
    assert ended.stderr == "telemed: the audit log is not what was sealed.\n"
    return ended.stdout.splitlines()


def test_whole_log_holds_and_young_rows_are_told(log: Vault, home: Home) -> None:
    log.add(26, 28)
    assert home.telemed("audit", "verify").stdout == (
        "clinic 1 (main): 3 seals over 25 rows checked, not sealed yet: 3.\n"
        "clinic 2 (elsewhere): 1 seals over 7 rows checked, not sealed yet: 0.\n" + CUT
    )


def test_finding_is_a_line_and_exit_code_1_and_of_its_clinic_alone(log: Vault, home: Home) -> None:
    log.edit(DELETE)
    assert finds(home)[0].startswith("clinic 1, seal 2: missing: 1 of 10 rows up to ")
    finds(home, "--clinic", "main")
    assert "clinic 2" in home.telemed("audit", "verify", "--clinic", "elsewhere").stdout


def test_checkpoint_kept_elsewhere_finds_what_was_cut_off(log: Vault, home: Home) -> None:
    kept = home.folder / "checkpoints"
    kept.write_text(home.telemed("audit", "checkpoint").stdout)
    lines = [json.loads(line) for line in kept.read_text().splitlines()]
    assert [(line["clinic_id"], line["number"]) for line in lines] == [(HERE, 3), (ELSEWHERE, 1)]
    assert {line["public_key"] for line in lines} == {home.telemed("audit", "key").stdout.strip()}
    assert CUT not in home.telemed("audit", "verify", "--checkpoints", str(kept)).stdout
    log.edit("DELETE FROM audit_seals WHERE clinic_id = 1 AND number = 3")
    log.edit("DELETE FROM audit_seals WHERE clinic_id = 2")
    log.edit("DELETE FROM clinics WHERE clinic_id = 2")
    home.telemed("audit", "verify")
    said = finds(home, "--checkpoints", str(kept))
    assert "clinic 1, seal 3: truncated: there is a checkpoint of it, and the chain ends with 2" in said
    assert "clinic 2, seal 1: truncated: there is a checkpoint of it, and the chain ends with 0" in said


def test_export_is_checked_without_a_database(log: Vault, home: Home, tmp_path: Path) -> None:
    export, kept = home.folder / "export", home.folder / "checkpoints"
    export.write_text(home.telemed("audit", "export").stdout)
    kept.write_text(home.telemed("audit", "checkpoint").stdout)
    # Another machine: it has no settings, and knows the key alone.
    (tmp_path / "away").mkdir()
    away = Home(tmp_path / "away", TELEMED_DATA_DIR="/nowhere")
    trusted = ("--export", str(export), "--key", home.telemed("audit", "key").stdout.strip())
    said = away.telemed("audit", "verify", *trusted).stdout
    assert said == "clinic 1: 3 seals over 25 rows checked.\nclinic 2: 1 seals over 7 rows checked.\n" + CUT
    assert away.telemed("audit", "verify", "--export", str(export), "--checkpoints", str(kept)).returncode == 0

    lines = export.read_text().splitlines(keepends=True)
    row = next(number for number, line in enumerate(lines) if "request-13" in line)
    for edited, kind in (
        ([*lines[:row], *lines[row + 1 :]], "seal 2: missing"),
        ([*lines[:row], lines[row], *lines[row:]], "seal 2: inserted"),
        ([*lines[:row], lines[row].replace("doctor", "admin"), *lines[row + 1 :]], "seal 2: changed"),
        ([*lines[:row], lines[row + 1], lines[row], *lines[row + 2 :]], "seal 2: reordered"),
        (lines[:11] + lines[22:], "seal 3: chain broken"),
    ):
        export.write_text("".join(edited))
        assert any(kind in line for line in finds(away, *trusted)), kind
    export.write_text("".join(lines[:22]))
    assert any("truncated" in line for line in finds(away, *trusted, "--checkpoints", str(kept)))


def test_wrong_key_is_told(log: Vault, home: Home) -> None:
    stranger = Home(home.folder, DATABASE_URL=log.url, SECRET_KEY=SECRET_KEY[::-1])
    assert all("unknown key" in line for line in finds(stranger)[:3])
    stranger.telemed("audit", "verify", "--key", log.signer.public.hex())
    assert "hexadecimal" in home.refuses("audit", "verify", "--key", "x")
    assert "hexadecimal" in home.refuses("audit", "verify", "--key", "00")


@pytest.mark.parametrize("content", ["no JSON", "[]", '{"row": []}', '{"seal": {"number": "x"}}'])
def test_export_that_is_none_of_ours_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "file").write_text(content)
    key = Signer(bytes(32)).public.hex()
    assert "line 1 " in Home(tmp_path).refuses("audit", "verify", "--export", "file", "--key", key)


def test_checkpoints_that_are_none_or_not_there_are_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text('{"number": 1}')
    assert "holds no seal" in Home(tmp_path).refuses("audit", "verify", "--checkpoints", "file")
    assert "cannot read" in Home(tmp_path).refuses("audit", "verify", "--checkpoints", "nothing")


def test_clinic_that_does_not_exist_is_refused(home: Home) -> None:
    assert "no clinic" in home.refuses("audit", "verify", "--clinic", "nowhere")
    assert "--clinic is for" in home.refuses("audit", "verify", "--clinic", "main", "--export", "file")


def test_months_that_tidy_dropped_are_known_and_others_are_missed(log: Vault, home: Home) -> None:
    log.edit("DELETE FROM audit_seals")
    log.edit("DELETE FROM audit_logs")
    at = ADD.replace("now() - interval '1 hour'", "%s::timestamptz")
    for ahead in (-5, -4, -1):
        log.edit("SELECT make_month('audit_logs', %s::date)", first_of(ahead))
        log.boss.execute(at.replace("SELECT %s, gen", "SELECT 1, gen").encode(), [last_of(ahead), 0, 0])
    log.add(1, 5)
    log.seal_all()
    assert home.telemed("tidy").stdout == f"Dropped {month(-5)}, {month(-4)}.\n".replace("_", "-")
    said = home.telemed("audit", "verify", "--clinic", "main").stdout
    assert said.startswith("clinic 1 (main): 5 seals over 6 rows checked, 2 rows dropped by telemed tidy, not sealed")
    log.seal_all()
    home.telemed("audit", "verify")
    # Somebody without the key does the same with another month.
    log.edit(f"DROP TABLE audit_logs_{month(-1)}")
    assert finds(home)[0].startswith("clinic 1, seal 3: missing: 1 of 1 rows")
