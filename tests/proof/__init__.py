"""The long runs: `make proof`. Storms, kills and outages against real server processes, and a checker over the tables.

Each scenario is a function from a size to figures; `tests/concurrency` runs the same functions at a short size.
Clients are released by a barrier, never by a sleep; what is random is drawn from a seed that is printed.
"""
