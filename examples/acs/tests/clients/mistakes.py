"""Signs requests wrongly, each in a way of its own, with Python's standard library alone.

Usage: mistakes.py HOST PORT KEY; prints the name of each mistake and the status of the response.
"""

import base64
import hashlib
import hmac
import http.client
import json
import sys
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime

HOST, PORT, KEY = sys.argv[1], int(sys.argv[2]), sys.argv[3]
ADDRESS = f"{HOST}:{PORT}"
TARGET = "/identities?api-version=2023-10-01"
ID = "/identities/8%3Aacs%3Aa/:revokeAccessTokens?api-version=2023-10-01"
BODY = {"createTokenWithScopes": ["chat"]}
NOW = datetime.now(timezone.utc).replace(microsecond=0)
DATE = format_datetime(NOW, usegmt=True)


def b64(data):
    return base64.b64encode(data).decode()


def content_hash(body):
    return b64(hashlib.sha256(body.encode()).digest())


def digest(text, key=None):
    return hmac.new(key or base64.b64decode(KEY), text.encode(), hashlib.sha256)


def sign(text, key=None):
    return b64(digest(text, key).digest())


def send(name, text=None, *, target=TARGET, date=DATE, body="", sent_hash=None, signature=None, scheme="HMAC-SHA256"):
    sent_hash = content_hash(body) if sent_hash is None else sent_hash
    text = f"POST\n{target}\n{date};{ADDRESS};{sent_hash}" if text is None else text
    signature = sign(text) if signature is None else signature
    connection = http.client.HTTPConnection(HOST, PORT, timeout=10)
    connection.putrequest("POST", target, skip_accept_encoding=True)
    for header, value in {
        "x-ms-date": date,
        "x-ms-content-sha256": sent_hash,
        "Authorization": f"{scheme} SignedHeaders=x-ms-date;host;x-ms-content-sha256&Signature={signature}",
        "x-ms-client-request-id": name,
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
    }.items():
        connection.putheader(header, value)
    connection.endheaders(body.encode())
    print(name, connection.getresponse().status)
    connection.close()


EMPTY = content_hash("")
RIGHT = f"POST\n{TARGET}\n{DATE};{ADDRESS};{EMPTY}"
COMPACT = json.dumps(BODY, separators=(",", ":"))

send("right")

# The string to sign.
send("raw-string", RIGHT.replace("\n", r"\n"))
send("decoded-path", f"POST\n{ID.replace('%3A', ':')}\n{DATE};{ADDRESS};{EMPTY}", target=ID)
send("hash-first", f"POST\n{TARGET}\n{DATE};{EMPTY};{ADDRESS}")
send("other-verb", RIGHT.replace("POST", "GET"))
send("all-line-feeds", RIGHT.replace(";", "\n"))
send("other-host-without-port", RIGHT.replace(ADDRESS, "localhost"))
send("date-taken-twice", RIGHT.replace(DATE, format_datetime(NOW - timedelta(seconds=1), usegmt=True)))
send("iso-date-signed", RIGHT.replace(DATE, NOW.isoformat()))
send("utc-for-gmt", RIGHT.replace("GMT", "UTC"))
send("hash-of-nothing", f"POST\n{TARGET}\n{DATE};{ADDRESS};{EMPTY}", body=COMPACT)
send("body-for-hash", f"POST\n{TARGET}\n{DATE};{ADDRESS};{COMPACT}", body=COMPACT)
send("another-host-entirely", RIGHT.replace(ADDRESS, "contoso.communication.azure.com"))

# The key.
send("key-as-text", signature=sign(RIGHT, KEY.encode()))
send("key-as-text-and-raw-string", signature=sign(RIGHT.replace("\n", r"\n"), KEY.encode()))
send("key-as-latin-1", signature=sign(RIGHT, base64.b64decode(KEY).decode("latin-1").encode()))

# The signature.
send("hexdigest", signature=digest(RIGHT).hexdigest())
send("base64-of-hexdigest", signature=b64(digest(RIGHT).hexdigest().encode()))
send("bytes-as-text", signature=str(base64.b64encode(digest(RIGHT).digest())))
send("urlsafe", signature=base64.urlsafe_b64encode(b"\xff" * 32).decode())
send("no-padding", signature=sign(RIGHT).rstrip("="))

# The headers.
send("hash-of-other-spaces", body=COMPACT, sent_hash=content_hash(json.dumps(BODY)))
send("hash-of-no-spaces", body=json.dumps(BODY), sent_hash=content_hash(COMPACT))
send("hash-of-an-empty-body", body=COMPACT, sent_hash=EMPTY)
send("hash-as-bytes", sent_hash=str(base64.b64encode(hashlib.sha256(b"").digest())))
send("iso-date", date=NOW.isoformat())
send("date-without-zone", date=DATE[:-4])
send("other-scheme", scheme="SharedKey")
