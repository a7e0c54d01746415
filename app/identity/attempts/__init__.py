"""Guessing passwords is slow, and nobody can keep somebody else out (docs/decisions/0013)."""
