"""The second factor: one-time codes of an authenticator app (TOTP, RFC 6238), and recovery codes.

Owns `totp_secrets`, `recovery_codes`. Promises: who has confirmed an app gets no token without a code, on any way to
one; a code is good once; secrets are sealed, recovery codes hashed. Deliberately not here: when a code is asked for,
which the sessions decide.
"""
