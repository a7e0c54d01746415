"""Recovery codes: on paper, for who has lost every other second factor. Owns `recovery_codes`.

Promises: only hashes are stored, each code is good once, and there are none without a second factor.
"""
