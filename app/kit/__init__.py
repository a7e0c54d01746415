"""Small pure parts: clock, ids, cursors, errors, derived keys. Imports nothing of the project."""
