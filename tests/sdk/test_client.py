"""What the SDK's client does by itself, and a client made otherwise."""

import pierre_storage
import pytest
from conftest import commit, private_pem, read


async def test_a_client_made_by_function_is_one(server, org, repo):
    options = {
        "name": org.name, "key": private_pem(org.keys["ES256"]), "api_base_url": server.url, "storage_base_url": server.host,
    }  # fmt: skip
    storage = pierre_storage.create_client(options)
    assert storage.get_config()["api_base_url"] == server.url
    await commit(repo, {"a": "1"})
    found = await storage.find_one(id=repo.id)
    assert await read(found, "a") == b"1"


def test_names_lead_to_the_vendor_unless_they_are_told_otherwise():
    client = pierre_storage.GitStorage
    assert client.get_default_api_base_url("acme") == "https://api.acme.code.storage"
    assert client.get_default_storage_base_url("acme") == "acme.code.storage"


@pytest.mark.sdk1
async def test_the_claim_of_policies_is_what_the_server_takes(api, repo):
    claim = pierre_storage.encode_refs_claim([{"pattern": "main", "ops": ["no-push"]}, {"pattern": "*", "ops": []}])
    assert claim == [["main", ["no-push"]], ["*", []]]
    await commit(repo, {"a": "1"})
    body = {"base_ref": "main", "target_branch": "side"}
    denied = api.org.token(repo.id, refs=claim)
    assert api("POST", "/repos/branches/create", token=denied, json=body).status_code == 200
    forward = {"base_ref": "side", "target_branch": "main"}
    await commit(repo, {"a": "2"}, branch="side")
    assert api("POST", "/repos/branches/create", token=denied, json=forward).status_code == 403
