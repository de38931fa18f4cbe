"""Many writers on one branch.

Invariant: the reflog of the branch is one unbroken chain, its end is the branch, and every acknowledged commit is in it.
"""

import json
import sqlite3
import threading

from harness import Client, git

WRITERS = 16
COMMITS = 40


def in_threads(count, work):
    results, problems = [None] * count, []

    def run(at):
        try:
            results[at] = work(at)
        except Exception as error:  # noqa: BLE001 - told by the test
            problems.append(repr(error))

    threads = [threading.Thread(target=run, args=(at,)) for at in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=120)
        assert not thread.is_alive(), "a writer hangs"
    assert not problems, problems
    return results


def prepared(server, repo):
    client = Client(server, repo)
    client.create()
    status, body = client.commit("main", {"README": b"start\n"})
    assert status == 201, body
    return body["commit"]["commit_sha"]


def check_chain(server, repo, acknowledged, first):
    database = sqlite3.connect(f"file:{server.data / 'catalog.db'}?mode=ro", uri=True)
    rows = database.execute(
        "SELECT reflog.old, reflog.new FROM reflog JOIN repos ON repos.id = reflog.repo_id"
        " WHERE repos.name = ? AND reflog.name = ? ORDER BY reflog.generation, reflog.ordinal",
        (repo, b"refs/heads/main"),
    ).fetchall()
    database.close()
    assert rows[0][0] is None
    for before, after in zip(rows, rows[1:]):
        assert after[0] == before[1], "the reflog is not one chain"
    logged = [row[1].hex() for row in rows]
    assert logged[0] == first
    assert len(set(logged)) == len(logged)
    assert set(acknowledged) <= set(logged), "an acknowledged commit is missing"
    tip = git("ls-remote", server.git_url(repo), "refs/heads/main").stdout.split()[0]
    assert tip == logged[-1]
    return logged


def test_writers_without_a_guard_all_land(server):
    first = prepared(server, "free")

    def writer(number):
        client, shas = Client(server, "free"), []
        for at in range(COMMITS):
            status, body = client.commit("main", {f"w{number}/f{at}": f"{number} {at}\n".encode()})
            assert status == 201, body
            shas.append(body["commit"]["commit_sha"])
        return shas

    acknowledged = [sha for shas in in_threads(WRITERS, writer) for sha in shas]
    logged = check_chain(server, "free", acknowledged, first)
    assert len(logged) == 1 + WRITERS * COMMITS
    status, body = Client(server, "free").send("GET", "/repos/files")
    assert status == 200
    assert len(json.loads(body)["paths"]) == 1 + WRITERS * COMMITS


def test_writers_with_a_guard_lose_nothing_and_overwrite_nothing(server):
    first = prepared(server, "guarded")
    wins = [0] * WRITERS

    def writer(number):
        client, shas, head = Client(server, "guarded"), [], first
        for at in range(COMMITS * 4):
            status, body = client.commit("main", {f"w{number}": f"{at}\n".encode()}, expected_head_sha=head)
            if status == 201:
                head = body["commit"]["commit_sha"]
                shas.append(head)
                wins[number] += 1
            else:
                assert status == 409, body
                assert body["result"]["status"] == "precondition_failed", body
                assert body["result"]["old_sha"] != head, "refused although the guard held"
                head = body["result"]["old_sha"]
        return shas

    acknowledged = [sha for shas in in_threads(WRITERS, writer) for sha in shas]
    logged = check_chain(server, "guarded", acknowledged, first)
    # With a guard every commit that landed was acknowledged to exactly one writer.
    assert sorted(logged[1:]) == sorted(acknowledged)
    assert sum(wins) >= COMMITS


def test_pushes_and_api_commits_on_one_branch(server, tmp_path):
    first = prepared(server, "mixed")

    def writer(number):
        if number % 4:
            client, shas = Client(server, "mixed"), []
            for at in range(COMMITS):
                status, body = client.commit("main", {f"w{number}": f"{at}\n".encode()})
                assert status == 201, body
                shas.append(body["commit"]["commit_sha"])
            return shas
        folder, shas = tmp_path / f"clone-{number}", []
        git("clone", "-q", server.git_url("mixed"), str(folder))
        for at in range(5):
            git("pull", "-q", "--rebase", cwd=folder)
            (folder / f"pushed{number}").write_text(f"{at}\n")
            git("add", ".", cwd=folder)
            git("commit", "-q", "-m", f"push {at}", cwd=folder)
            sha = git("rev-parse", "HEAD", cwd=folder).stdout.strip()
            pushed = git("push", "-q", "origin", "main", cwd=folder, check=False)
            if pushed.returncode == 0:
                shas.append(sha)
            else:
                assert "rejected" in pushed.stderr or "cannot lock ref" in pushed.stderr, pushed.stderr
        return shas

    acknowledged = [sha for shas in in_threads(8, writer) for sha in shas]
    check_chain(server, "mixed", acknowledged, first)
