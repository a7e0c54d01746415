"""How the application talks to PostgreSQL: one statement, one round trip; and the embedded server.

Promises: what is unknown is never guessed (a lost connection is `Unavailable`); every wait is bounded; a broken
constraint reaches the caller by its name. Deliberately absent: sessions, lazy loading, an identity map.
"""
