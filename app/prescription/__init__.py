"""What a doctor orders after a completed consultation.

Owns `prescriptions`. Promises: one for a consultation, only of a completed one, only by its doctor, never edited;
each held by a constraint, a trigger or a missing grant as well as by the code.
"""
