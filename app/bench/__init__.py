"""Measures the clinic as an engineer who must choose it would: `telemed bench`.

Owns a throw-away embedded server per run, filled with a town of doctors and patients, and the load generator.
Promises: every figure comes with what it was measured on; nothing of an existing data folder is read or written.
Deliberately absent: an average of anything. Times are percentiles, counted from when a request was due.
"""
