"""The lifecycle of a consultation: scheduled, then completed or cancelled.

Owns `consultations`. Promises: one live consultation a slot, no patient in two places at a time, no change once it is
completed or cancelled: constraints and a trigger keep this, the code explains it.
"""
