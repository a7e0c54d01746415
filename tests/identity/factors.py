"""An authenticator app, and what people do with one."""

from datetime import datetime

import pyotp
from httpx2 import Response

from tests.cast import PASSWORD, Person

TOTP, CONFIRM = "/auth/mfa/totp", "/auth/mfa/totp/confirm"
WRONG = "000000"


class Phone:
    """An authenticator app. Each step's code is good once, and three steps are good at a time."""

    def __init__(self, secret: str, moment: datetime) -> None:
        self._totp, self._moment = pyotp.TOTP(secret), moment

    def code(self, steps: int = 0) -> str:
        """Of the present step, or of one so many steps off."""
        return str(self._totp.at(self._moment, counter_offset=steps))


def begins(person: Person, moment: datetime) -> Phone:
    """The app has the secret, and nothing is confirmed."""
    told = person.posts(TOTP, {"password": PASSWORD}, expect=200).json()
    return Phone(told["secret"], moment)


def turns_on(person: Person, moment: datetime) -> tuple[Phone, list[str]]:
    """Codes are on; the present step's and the next one's are unused."""
    phone = begins(person, moment)
    told = person.posts(CONFIRM, {"otp": phone.code(-1)}, expect=200).json()
    return phone, list(told["recovery_codes"])


def login(person: Person, otp: str | None = None, *, password: str = PASSWORD) -> Response:
    body = {"email": person.email, "password": password, "clinic": person.clinic.slug}
    return person.clinic.nobody.posts("/auth/login", body if otp is None else {**body, "otp": otp})


def refused(answer: Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]
