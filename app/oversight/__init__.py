"""Who did what, for those who answer for the clinic. Reads the audit log; owns nothing, changes nothing."""
