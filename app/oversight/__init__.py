"""Who did what, for those who answer for the clinic, and for each person about their own record.

Reads the audit log; owns nothing, changes nothing.
"""
