"""What is measured: a module each, with `measure(bench)`, `bounds(result)` and what the report says of it.

Promises: a scenario leaves nothing running; what it measured is one frozen value that turns into JSON as it is.
"""
