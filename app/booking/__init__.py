"""Turns an open slot into a consultation exactly once.

Owns no table, but the statement that strings the other rooms' clauses together: claim the key, claim the slot,
schedule the consultation, write the audit row and the outgoing event. Promises rules 1 to 10 of the contract.
"""
