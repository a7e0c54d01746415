from tests.cli.home import Home
from tests.cli.test_user import create, post
from tests.proof.served import SECRET_KEY, Served

NEW = SECRET_KEY[::-1]
PASSWORD = "plum-tractor-candle"


def test_keys_are_rotated_beside_a_server(served: Served, beside: Home) -> None:
    changed = Home(served.home, SECRET_KEY=SECRET_KEY, FIELD_KEYS=f"{SECRET_KEY},{NEW}")
    beside.telemed(*create("dora@text.test", role="doctor"), given=PASSWORD)
    # "User", id, role, clinic.
    paul = beside.telemed(*create("paul@text.test"), given=PASSWORD).stdout.split()[1]
    dora = post(served, "/auth/login", {"email": "dora@text.test", "password": PASSWORD})[1]["access_token"]
    assert post(served, f"/patients/{paul}/break-glass", {"reason": "Unconscious"}, dora)[0] == 201
    assert "0 keys" in changed.telemed("text", "rotate-keys").stdout
    refused = Home(served.home, SECRET_KEY=SECRET_KEY, FIELD_KEYS=NEW).refuses("text", "rotate-keys")
    assert "FIELD_KEYS" in refused
    assert "clinical text" in Home(served.home, SECRET_KEY=SECRET_KEY, FIELD_KEYS=NEW).telemed("check", expect=1).stdout
    assert "1 pieces" in beside.telemed("text", "erase", "paul@text.test", "--yes").stdout
    assert "paul" in beside.refuses("text", "erase", "paul@nowhere.test", "--yes")


def test_erasing_asks_first(beside: Home) -> None:
    ended = beside.telemed("text", "erase", "paul@text.test", given="n\n", expect=1)
    assert "cannot be read again" in ended.stdout + ended.stderr
