"""Opening the record of somebody else's patient in an emergency: an hour, with a reason, told and reviewed.

Owns `break_glass_grants`. Promises: a grant is for one doctor and one patient, and for an hour; it lets read and
change nothing; the patient is told by the statement that makes it; what was said stays, and is reviewed once. The
rooms whose records it opens ask `clauses.grant_in_force` in the statement that reads.
"""
