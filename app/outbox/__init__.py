"""What must be told to the world: mails now, webhooks and calendars later.

Owns `outbox`, partitioned by month. Promises: an event is written in the transaction that makes it true, or not at
all, and stays until it is published. It carries ids, never personal text; who delivers it reads the record then. What
is due is delivered at least once, by one process at a time, and what cannot be delivered holds up nothing else.
"""
