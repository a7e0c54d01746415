"""Attach, say so in one line of JSON, leave when the standard input ends: `attached.py DATA_DIR [UID]`."""

import json
import os
import sys
from pathlib import Path

import psycopg

from app.db.embedded import EmbeddedServerError, attach

UNSAFE = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off", "shared_buffers": "16MB"}


def main(data_dir: str, uid: str = "") -> None:
    if uid:
        os.setgroups([])
        os.setgid(int(uid))
        os.setuid(int(uid))
    try:
        attachment = attach(Path(data_dir), parameters=UNSAFE)
    except EmbeddedServerError as error:
        print(json.dumps({"error": str(error)}), flush=True)
        return
    with attachment:
        with psycopg.connect(attachment.url()) as connection:
            row = connection.execute("SELECT current_user").fetchone()
        answer = {"pid": attachment.pid, "url": attachment.url(), "user": row[0] if row else None}
        print(json.dumps(answer), flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main(*sys.argv[1:])
