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


def test_second_factor_is_demanded_and_no_more(beside: Home) -> None:
    beside.telemed("clinic", "create", "strict")
    create = ["user", "create", "--role", "doctor", "--name", "Dora", "--clinic", "strict", "--password-stdin"]
    beside.telemed(*create, "dora@strict.test", given="plum-tractor-candle")
    demand = ["clinic", "demand-second-factor", "strict"]
    told = beside.telemed(*demand, "--of", "doctor", "--of", "admin").stdout
    assert "admin and doctor" in told
    assert "1" in told
    assert "nobody" in beside.telemed(*demand, "--nobody").stdout


def test_bookings_are_limited(beside: Home) -> None:
    beside.telemed("clinic", "create", "busy")
    assert "ahead 3, a day as set for all" in beside.telemed("clinic", "limit-bookings", "busy", "--ahead", "3").stdout
    assert "telemed clinic create" in beside.refuses("clinic", "limit-bookings", "nowhere")


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        ([], "--of doctor"),
        (["--of", "doctor", "--nobody"], "--of doctor"),
        (["--of", "patient"], "'patient'"),
    ],
    ids=["of whom", "both", "patient"],
)
def test_demand_that_makes_no_sense_is_one_line(home: Home, arguments: list[str], hint: str) -> None:
    assert hint in home.refuses("clinic", "demand-second-factor", "main", *arguments)
    assert not home.data_dir.exists()


def test_demand_of_an_unknown_clinic_is_one_line(beside: Home) -> None:
    assert "no clinic" in beside.refuses("clinic", "demand-second-factor", "nowhere", "--nobody")
