"""Refresh tokens in turn: the statements by which a session goes on. What they mean, the sessions decide."""
