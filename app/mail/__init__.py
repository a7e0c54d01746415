"""How mails leave the house: by a mail server, into a folder, or onto a developer's screen.

Owns no table: what is to be mailed stands in the outbox. Promises: each mail is handed on at least once, in the
ordinary case exactly once; one that cannot be sent holds up no other; nothing of a mail is logged. Knows no domain:
other rooms write the letters.
"""
