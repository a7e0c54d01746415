"""What an operator sees: structured logs and the context of the request at hand.

Promises: a log line carries identifiers only, never a body, token, name, e-mail or clinical text, also where
PostgreSQL or a library puts one into an exception's message.
"""
