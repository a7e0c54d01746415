"""Makes the secrets of compose.yaml once, in the folder given; a second run changes nothing.

What `.env` sets (SECRET_KEY, PEPPER, DATABASE_URL) is taken instead of being made. The API gets its own
files, PostgreSQL the password; nobody else can read them.
"""

import os
import secrets
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

API_USER = 10001  # USER in the Dockerfile
POSTGRES_GROUP = 999  # postgres in the Debian image


def main(folder: Path) -> None:
    """Make what is missing, in the order in which one is made from the other."""
    database_url = os.environ.get("DATABASE_URL", "")
    write(folder / "secret_key", os.environ.get("SECRET_KEY", ""), otherwise=secrets.token_urlsafe(48))
    write(folder / "pepper", os.environ.get("PEPPER", ""), otherwise=secrets.token_urlsafe(48))
    # The password of a database elsewhere is none of our `db` service's business.
    url = urlsplit(database_url)
    password = write(
        folder / "postgres_password",
        unquote(url.password or "") if url.hostname == "db" else "",
        otherwise=secrets.token_urlsafe(32),
        group=POSTGRES_GROUP,
    )
    write(folder / "database_url", database_url, otherwise=f"postgresql://postgres:{password}@db:5432/telemed")


def write(file: Path, value: str, *, otherwise: str, group: int = API_USER) -> str:
    """Keep the file, unless a value is given; without a file and a value, write `otherwise`."""
    if file.exists():
        kept = file.read_text()
        if value in ("", kept):
            return kept
    value = value or otherwise
    # Renamed into place: a kill leaves the whole file or none. Owner last: it ends our right to chmod.
    unfinished = file.with_suffix(".unfinished")
    unfinished.unlink(missing_ok=True)
    unfinished.touch(mode=0o600)
    unfinished.write_text(value)
    unfinished.chmod(0o400 if group == API_USER else 0o440)
    os.chown(unfinished, API_USER, group)
    unfinished.rename(file)
    print(f"made {file.name}")
    return value


if __name__ == "__main__":
    main(Path(sys.argv[1]))
