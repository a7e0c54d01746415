"""The report: one HTML file without anything from outside, and the same figures as JSON.

Promises: every figure that was measured is in both; each chart says in a sentence how it is read.
"""
