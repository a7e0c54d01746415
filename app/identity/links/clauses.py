"""The CTEs with which an account that is being made gets its first link."""

from sqlalchemy import CTE

from app.identity.links.models import new_links
from app.identity.links.rules import MADE, Purpose
from app.outbox.clauses import announce


def ask_to_confirm(user: CTE) -> tuple[CTE, CTE]:
    """A link that confirms the new user's e-mail, and the event that has it mailed.

    Binds `link_id`, `nonce`, `token_hash` and `event_id`.
    """
    link = new_links(user, user_id=user.c.id, purpose=Purpose.CONFIRM_EMAIL)
    made = link.returning(link.table.c.clinic_id, link.table.c.id).cte("link")
    return made, announce(made, topic=MADE, entity_id=made.c.id, clinic_id=made.c.clinic_id, is_delivered=True)
