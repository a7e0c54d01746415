"""Passkeys (WebAuthn level 3) as a second factor: registered, asked for at a login, listed, removed.

Owns `passkeys`, `passkey_challenges`. Promises: a challenge is answered once, within five minutes, by a passkey of the
person it was made for, on the clinic's own site; a passkey whose counter stands still or goes back opens nothing.
Deliberately not here: logins without a password.
"""
