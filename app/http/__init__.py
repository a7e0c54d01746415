"""What every HTTP call shares: problems, limits, paging, field types, request ids, security headers, the documents.

Knows nothing of the domain. Promises: every error, whatever raised it, is RFC 9457 problem+json with a stable code.
"""
