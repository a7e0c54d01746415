"""Who may do what to whose records: every operation, by everybody, to everything (`matrix.py`).

What is expected follows from three tables: the permission page, `app/identity/rules.py`; the permission that each
operation needs, `needs.py`; and whose each kind of record is, `owned.py`.
"""
