"""Clinical text that only its key opens.

Owns `data_keys`. Promises: what a doctor prescribes and why somebody cancels, opens or reviews a record is encrypted
before it leaves the process; each writing has a data key of its own, filed under its patient and wrapped by the key
ring of the deployment (docs/decisions/0022). Without the patient's data keys the text is gone, wherever a copy lies.
The rooms that own the text ask `rules.KeyRing` to seal and open it, and `clauses` to file and fetch its key.
"""
