"""Who is calling and what they may do: clinics, users, passwords, sessions, tokens, permissions.

Owns `clinics`, `users`, `sessions`, `refresh_tokens`, `revocations`. Promises: a token is checked without a database
read, and yet a logout, a new password, a new role or a deactivation holds everywhere within a second.
"""
