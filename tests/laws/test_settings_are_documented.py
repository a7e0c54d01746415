"""`docs/settings.md` is what `docs/make_settings.py` makes of the settings today."""

import re
import runpy
from pathlib import Path

from app.settings import Settings

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGE = (DOCS / "settings.md").read_text()


def test_page_is_made_of_the_settings() -> None:
    made = runpy.run_path(str(DOCS / "make_settings.py"))["page"]()
    assert made == PAGE, "run: python docs/make_settings.py"


def test_page_names_every_setting_and_no_other() -> None:
    assert re.findall(r"^\| `([A-Z_]+)` \|", PAGE, flags=re.MULTILINE) == [
        name.upper() for name in Settings.model_fields
    ]


def test_every_setting_has_a_meaning_and_its_values() -> None:
    for row in re.findall(r"^\| `[A-Z_]+` \|.*", PAGE, flags=re.MULTILINE):
        variable, values, default, meaning = (cell.strip() for cell in row.strip("|").split(" | "))
        assert all((variable, values, default, meaning)), row
        assert meaning.endswith("."), row


def test_page_tells_no_secret() -> None:
    assert not re.search(r"postgres(ql)?://\w", PAGE)
