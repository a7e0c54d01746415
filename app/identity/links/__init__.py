"""Links by mail, each good once: to set a new password, and to confirm an e-mail.

Owns `links`. Promises: whoever asks learns nothing about who has an account; a link is good once, for a short time,
for one user and one purpose; the newest one voids those before it, and a new password every open one; neither the
database nor its dump holds a token. Deliberately not here: how a mail leaves the house, which the mail room decides,
and when it leaves, which the outbox knows.
"""
