"""The second factor: one-time codes of an authenticator app (TOTP, RFC 6238). Who has which factor is asked here.

Owns `totp_secrets`. Promises: who has confirmed an app gets no token without a code, on any way to one; a code is good
once; secrets are sealed. Deliberately not here: when a code is asked for, which the sessions decide.
"""
