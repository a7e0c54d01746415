"""Who did what to which record.

Owns `audit_logs`, partitioned by month. Promises: a state change and its row are one transaction; no row is ever
changed or deleted, by grant and by trigger; whole months are dropped by the owner alone, if at all
(docs/decisions/0009). Knows no domain: it takes plain ids and words.
"""
