"""Checks every API response that passes through httpx against the server's own OpenAPI document.

The SDKs are not touched: `watch` wraps `send` of httpx's clients, which they all go through.
"""

from collections import Counter

import httpx
import jsonschema

# (base url) -> the document it serves
_documents = {}
# (method, path, status) -> how often it was seen and found right
checked = Counter()


def _document(request):
    base = f"{request.url.scheme}://{request.url.netloc.decode()}"
    if base not in _documents:
        # Not through a watched client, and with the caller's idea of which certificates to trust.
        with httpx.Client(trust_env=True) as client:
            response = _plain_send(client, client.build_request("GET", f"{base}/api/openapi.json"))
        assert response.status_code == 200, response.text
        _documents[base] = response.json()
    return _documents[base]


def _operation(request):
    path = request.url.path
    if not path.startswith("/api/v1/"):
        return None
    return _described(_document(request)["paths"], path).get(request.method.lower())


def _described(paths, path):
    """What the document says of a path, or of one with names in place of some of its parts."""
    if path in paths:
        return paths[path]
    for template, described in paths.items():
        parts, wanted = template.split("/"), path.split("/")
        fits = zip(parts, wanted)
        if len(parts) == len(wanted) and all(one == other or one.startswith("{") for one, other in fits):
            return described
    return {}


def check(response):
    """Raises unless the document describes this response: its status, its content type, its body."""
    request = response.request
    operation = _operation(request)
    if operation is None:
        return
    what = f"{request.method} {request.url.path} {response.status_code}"
    described = operation["responses"].get(str(response.status_code))
    assert described is not None, f"{what} is not in the OpenAPI document"
    content = described.get("content", {})
    kind = response.headers.get("content-type", "").split(";")[0]
    has_body = request.method != "HEAD" and response.status_code != 304
    if has_body and (kind or content):
        assert kind in content, f"{what}: content type {kind!r} is not in the OpenAPI document"
    if kind == "application/json" and has_body:
        # References into the document resolve because its components are part of the schema.
        schema = {**content[kind]["schema"], "components": _document(request)["components"]}
        validator = jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker())
        problems = [f"{'/'.join(map(str, e.absolute_path))}: {e.message}" for e in validator.iter_errors(response.json())]
        assert not problems, f"{what}: {problems}\n{response.text}"
    checked[request.method, request.url.path, response.status_code] += 1


def _is_json(response):
    return response.headers.get("content-type", "").startswith("application/json")


_plain_send = httpx.Client.send
_plain_async_send = httpx.AsyncClient.send


def _send(self, request, **options):
    response = _plain_send(self, request, **options)
    if _is_json(response):
        response.read()
    check(response)
    return response


async def _async_send(self, request, **options):
    response = await _plain_async_send(self, request, **options)
    if _is_json(response):
        # httpx keeps what was read, so whoever asked for a stream still gets it.
        await response.aread()
    check(response)
    return response


def watch():
    """From now on every response is checked."""
    httpx.Client.send = _send
    httpx.AsyncClient.send = _async_send
