from datetime import UTC, datetime

import pytest

from app.kit import clock


@pytest.fixture
def moment(monkeypatch: pytest.MonkeyPatch) -> datetime:
    """The clock stands still, so that no step ends between making a code and sending it."""
    present = datetime.now(UTC)
    monkeypatch.setattr(clock, "now", lambda: present)
    return present
