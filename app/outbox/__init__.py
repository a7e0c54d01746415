"""What must be told to the world: mails, webhooks and calendars read it later.

Owns `outbox`. Promises: an event is written in the transaction that makes it true, or not at all. It carries ids,
never personal text; who delivers it reads the record then.
"""
