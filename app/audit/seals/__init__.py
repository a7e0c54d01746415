"""Seals of the audit log: what somebody changes behind the triggers' backs is found.

Owns `audit_seals`. Promises: each row that is some minutes old belongs to one seal of its clinic's chain; a seal is a
signed Merkle root over at most 500 rows in their order, and never changes. A row that was changed, deleted, inserted or
moved afterwards, and a seal that was, is found by whoever has the public key; a chain whose end was cut off, by whoever
has a newer checkpoint (docs/decisions/0021). Stops nobody, and does not know what the rows mean.
"""
