"""s3_create_bucket.py ENDPOINT BUCKET: creates a bucket with one signed PUT, keys from S3_ACCESS_KEY and S3_SECRET_KEY.

The crate that Packhouse speaks S3 with cannot create buckets, and a client that can would be a large thing to install
for one request. Signature Version 4, region us-east-1. A bucket that exists is a success.
"""

import datetime
import hashlib
import hmac
import os
import sys
import urllib.error
import urllib.parse
import urllib.request

REGION = "us-east-1"
EMPTY = hashlib.sha256(b"").hexdigest()


def sign(secret: str, day: str, text: str) -> str:
    key = ("AWS4" + secret).encode()
    for part in (day, REGION, "s3", "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


def create(endpoint: str, bucket: str) -> None:
    host = urllib.parse.urlsplit(endpoint).netloc
    now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    scope = f"{now[:8]}/{REGION}/s3/aws4_request"
    names = "host;x-amz-content-sha256;x-amz-date"
    request = f"PUT\n/{bucket}\n\nhost:{host}\nx-amz-content-sha256:{EMPTY}\nx-amz-date:{now}\n\n{names}\n{EMPTY}"
    text = f"AWS4-HMAC-SHA256\n{now}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
    signature = sign(os.environ["S3_SECRET_KEY"], now[:8], text)
    credential = f"{os.environ['S3_ACCESS_KEY']}/{scope}"
    headers = {
        "x-amz-content-sha256": EMPTY,
        "x-amz-date": now,
        "Authorization": f"AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders={names}, Signature={signature}",
    }
    put = urllib.request.Request(f"{endpoint}/{bucket}", method="PUT", headers=headers)
    # The server is on this machine: a proxy from the environment has no part in it.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        opener.open(put, timeout=60).close()
    except urllib.error.HTTPError as error:
        body = error.read()
        if error.code != 409 or b"BucketAlreadyOwnedByYou" not in body:
            sys.exit(f"could not create bucket {bucket}: {error.code} {body.decode(errors='replace')}")


if __name__ == "__main__":
    create(*sys.argv[1:])
