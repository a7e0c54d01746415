"""Mutants that no test can find, because nothing that anybody can rely on changes; each with its reason."""

from app.identity.rules import Permission

_SEALS = "app/audit/seals/rules.py"

# File, line and change.
EQUIVALENT: dict[tuple[str, str, str], str] = {
    ("app/encryption/rules.py", 'Record = TypeVar("Record")', "'Record' → 'RecordXX'"): "a name for type checkers",
    (_SEALS, "return level[0]", "0 → -1"): "one hash is left",
    (_SEALS, 'signature=b"",', "b'' → b'XX'"): "what is signed does not hold the signature, which is put in after",
    (
        _SEALS,
        "return [entry for entry, month in zip(entries, months, strict=True) if month == months[0]]",
        "True → False",
    ): "months are made of the entries, so there are as many",
    **{
        (
            _SEALS,
            "return datetime.max.replace(tzinfo=UTC) if us > 0 else datetime.min.replace(tzinfo=UTC)",
            change,
        ): "1970 does not overflow"
        for change in ("us > 0 → us >= 0", "0 → 1", "0 → -1")
    },
    **{
        ("app/identity/attempts/rules.py", "_DOUBLINGS_MAX = 12", change): "the longest wait is reached by then"
        for change in ("12 → 13", "12 → 11")
    },
    (
        "app/identity/mfa/rules.py",
        "wait = min(WAIT_S_MAX, 1 << min(factor.failures - FAILURES_FREE, 10))",
        "10 → 11",
    ): "the longest wait is reached by then",
    (
        "app/identity/passkeys/rules.py",
        "credential_current_sign_count=0,",
        "0 → -1",
    ): "the library lets every counter above it pass, and 0; what counts is compared where it is stored",
    **{
        (
            "app/identity/rules.py",
            f'{permission.name} = "{permission.value}"',
            f"'{permission.value}' → '{permission.value}XX'",
        ): "permissions are told apart by what they are; the words are for whoever reads them"
        for permission in Permission
    },
    (
        "app/mail/rules.py",
        'return checked.ascii_email or f"{checked.local_part}@{checked.ascii_domain}"',
        (
            "checked.ascii_email or f'{checked.local_part}@{checked.ascii_domain}'"
            " → f'{checked.local_part}@{checked.ascii_domain}'"
        ),
    ): "where there is an `ascii_email`, it is spelt just so",
    (
        "app/ratelimit/rules.py",
        "return max(1, math.ceil(MINUTE_S * (1 - room / count.previous) - at_s))",
        "1 → 0",
    ): "more than nothing is left, so it rounds up to one; the guard is against floating point",
    **{
        ("app/ratelimit/rules.py", 'known = ipaddress.ip_address(address or "")', change): "none of these is an address"
        for change in ("address or '' → address", "'' → 'XX'")
    },
}
