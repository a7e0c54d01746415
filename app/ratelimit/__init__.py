"""How much one caller, and one network, may ask for in a minute; all replicas count together.

Counting costs a request no statement: a process counts by itself, and once a second tells the others what it counted.
"""
