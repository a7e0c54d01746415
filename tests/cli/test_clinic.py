import pytest

from tests.cli.home import Home


def test_clinic_is_made_once(beside: Home) -> None:
    assert "north" in beside.telemed("clinic", "create", "north").stdout
    assert "already" in beside.refuses("clinic", "create", "north")
    assert "already" in beside.refuses("clinic", "create", "main")


@pytest.mark.parametrize("slug", ["", "North", "-north", "n" * 64, "nörth", b"\xff"])
def test_slug_that_cannot_be_one_is_refused(home: Home, slug: str) -> None:
    assert "a-z" in home.refuses("clinic", "create", "--", slug)
    assert not home.data_dir.exists()


def test_schema_that_is_missing_is_told_with_what_to_do(home: Home) -> None:
    assert "telemed migrate" in home.refuses("clinic", "create", "north")
