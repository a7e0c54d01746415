"""What must be told to the world: mails, webhooks and calendars read it later.

Owns `outbox`, partitioned by month. Promises: an event is written in the transaction that makes it true, or not at
all, and stays until it is published. It carries ids, never personal text; who delivers it reads the record then.
"""
