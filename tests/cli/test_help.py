import pytest

from tests.cli.home import Home

VERBS = [
    (),
    *[(verb,) for verb in ("serve", "migrate", "demo", "check", "tidy", "bench", "db", "clinic", "user")],
    *[("db", "url"), ("clinic", "create"), ("user", "create")],
]


@pytest.mark.parametrize("verb", VERBS, ids=" ".join)
def test_everything_explains_itself(home: Home, verb: tuple[str, ...]) -> None:
    said = home.telemed(*verb, "--help").stdout
    assert "Usage: " in said
    assert not home.data_dir.exists()


def test_unknown_verb_is_exit_code_2(home: Home) -> None:
    assert "Traceback" not in home.telemed("dance", expect=2).stderr
