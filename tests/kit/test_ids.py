import time
import uuid

from app.kit.ids import uuid7, uuid7_text


def test_text_is_the_canonical_form_of_an_id_of_version_7() -> None:
    for text in [uuid7_text() for _ in range(1000)]:
        read = uuid.UUID(text)
        assert (str(read), read.version, read.variant) == (text, 7, uuid.RFC_4122)


def test_ids_sort_by_the_millisecond_they_were_made_in() -> None:
    before = time.time_ns() // 1_000_000
    made = [uuid7().int >> 80 for _ in range(100)]
    assert made == sorted(made)
    assert before <= made[0] <= made[-1] <= time.time_ns() // 1_000_000
