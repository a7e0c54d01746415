"""Keys that make a retry safe: claim, fingerprint, refusal, replay.

Owns `idempotency_keys`. Promises rules 1 to 10 of the contract's *Booking*: one execution for a (user, operation,
key), however often and however concurrently it is sent; a refusal that was told once stays told.
Deliberately absent: locks with a timeout and recovery points. Key and effect are one transaction, so there is no
state between "nothing" and "done" (docs/decisions/0001).
"""
