// The npm SDK: repositories, commits, branches, files, history, diffs, tags, notes, git, webhooks.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { test } from 'node:test';

import { PACKHOUSE_ORG, PACKHOUSE_URL, author, change, folder, host, names, sdk, started, storage, text, zero } from './setup.mjs';

const { ApiError, GitStorage, RefUpdateError, parseSignatureHeader, validateWebhook, validateWebhookSignature } = sdk;

test('create, find, list and delete repositories', async () => {
  const id = `node-list/${randomUUID()}`;
  const made = await storage.createRepo({ id, defaultBranch: 'trunk' });
  assert.equal(made.id, id);
  const found = await storage.findOne({ id });
  assert.equal(found.defaultBranch, 'trunk');
  assert.ok(!Number.isNaN(Date.parse(found.createdAt)));
  const page = await storage.listRepos({ q: id.toUpperCase(), limit: 5 });
  assert.deepEqual(page.repos.map((repo) => repo.repoId), [id]);
  assert.equal(page.hasMore, false);
  const deleted = await storage.deleteRepo({ id });
  assert.equal(deleted.repoId, id);
  assert.equal(await storage.findOne({ id }), null);
});

test('a repository that exists, one that never was, one that is gone', async () => {
  const repo = await started();
  await assert.rejects(storage.createRepo({ id: repo.id }), /exists/);
  await assert.rejects(storage.deleteRepo({ id: `never-${randomUUID()}` }), /not found/);
  await storage.deleteRepo({ id: repo.id });
  await assert.rejects(storage.deleteRepo({ id: repo.id }), /already deleted/);
  await assert.rejects(repo.listFiles(), ApiError);
});

test('repositories are listed in pages', async () => {
  const tag = randomUUID();
  for (let n = 0; n < 5; n++) await storage.createRepo({ id: `${tag}/${n}` });
  const seen = [];
  let cursor;
  do {
    const page = await storage.listRepos({ q: tag, limit: 2, cursor });
    seen.push(...page.repos.map((repo) => repo.repoId));
    cursor = page.nextCursor;
    assert.equal(page.hasMore, cursor !== undefined);
  } while (cursor);
  assert.deepEqual(seen, [0, 1, 2, 3, 4].map((n) => `${tag}/${n}`));
});

test('commit text, bytes, modes and deletions', async () => {
  const repo = await storage.createRepo();
  const first = await repo
    .createCommit({ targetBranch: 'main', commitMessage: 'First', author })
    .addFileFromString('a.txt', 'grüße\n')
    .addFile('bytes.bin', new Uint8Array([0, 255, 10]))
    .addFileFromString('run.sh', '#!/bin/sh\n', { mode: '100755' })
    .addFileFromString('link', 'a.txt', { mode: '120000' })
    .addFileFromString('dir/one', '1')
    .addFileFromString('dir/two', '2')
    .send();
  assert.equal(first.blobCount, 6);
  assert.deepEqual(first.refUpdate, { branch: 'main', oldSha: zero, newSha: first.commitSha });
  assert.equal(await text(repo, { path: 'a.txt' }), 'grüße\n');
  const second = await change(repo, { dir: null, 'a.txt': 'new\n' });
  assert.equal(second.refUpdate.oldSha, first.commitSha);
  const listed = await repo.listFiles();
  assert.deepEqual(listed.paths, ['a.txt', 'bytes.bin', 'link', 'run.sh']);
  assert.deepEqual(
    listed.entries.map((entry) => [entry.path, entry.type, entry.mode]),
    [['a.txt', 'blob', '100644'], ['bytes.bin', 'blob', '100644'], ['link', 'symlink', '120000'], ['run.sh', 'blob', '100755']],
  );
});

test('stream a large file in and out', async () => {
  const repo = await storage.createRepo();
  const piece = Buffer.alloc(1 << 20, 'x');
  async function* pieces() {
    for (let n = 0; n < 9; n++) yield piece;
  }
  await repo.createCommit({ targetBranch: 'main', commitMessage: 'Large', author }).addFile('large', pieces()).send();
  const response = await repo.getFileStream({ path: 'large' });
  let size = 0;
  for await (const part of response.body) size += part.length;
  assert.equal(size, 9 << 20);
});

test('a stale expected head is a precondition that failed', async () => {
  const repo = await started();
  const tip = (await change(repo, { a: '1' })).commitSha;
  const error = await change(repo, { a: '2' }, { expectedHeadSha: repo.first }).catch((error) => error);
  assert.ok(error instanceof RefUpdateError);
  assert.equal(error.status, 'precondition_failed');
  assert.equal(error.reason, 'precondition_failed');
  assert.equal(error.refUpdate.oldSha, tip);
});

test('commit errors by their reason', async () => {
  const repo = await started();
  for (const [files, options, reason] of [
    [{ b: '1' }, { targetBranch: 'other' }, 'not_found'],
    [{ b: '1' }, { targetBranch: 'other', baseBranch: 'nowhere' }, 'not_found'],
    [{ '.git/config': '1' }, {}, 'invalid'],
    [{ 'a/../b': '1' }, {}, 'invalid'],
    [{ missing: null }, {}, 'invalid'],
    [{ 'README.md/x': '1' }, {}, 'conflict'],
  ]) {
    const error = await change(repo, files, options).catch((error) => error);
    assert.ok(error instanceof RefUpdateError, JSON.stringify(files));
    assert.equal(error.reason, reason, `${JSON.stringify(files)}: ${error.message}`);
  }
  assert.equal((await repo.listCommits()).commits.length, 1);
});

test('a new branch from a base, guarded by the head of the base', async () => {
  const repo = await started();
  const made = await change(repo, { b: '1' }, { targetBranch: 'feature', baseBranch: 'main', expectedHeadSha: repo.first });
  assert.equal(made.refUpdate.oldSha, zero);
  assert.deepEqual((await repo.listFiles({ ref: 'feature' })).paths, ['README.md', 'b']);
});

test('branches: create, list in pages, delete', async () => {
  const repo = await started();
  for (const name of ['one', 'two', 'three']) {
    const made = await repo.createBranch({ baseRef: 'main', targetBranch: name });
    assert.equal(made.targetBranch, name);
    assert.equal(made.commitSha, repo.first);
  }
  const first = await repo.listBranches({ limit: 3 });
  assert.equal(first.hasMore, true);
  const rest = await repo.listBranches({ limit: 3, cursor: first.nextCursor });
  assert.deepEqual([...names(first), ...names(rest)].sort(), ['main', 'one', 'three', 'two']);
  const deleted = await repo.deleteBranch({ name: 'two' });
  assert.equal(deleted.name, 'two');
  assert.deepEqual(names(await repo.listBranches()), ['main', 'one', 'three']);
  await assert.rejects(repo.deleteBranch({ name: 'two' }), ApiError);
  await assert.rejects(repo.deleteBranch({ name: 'main' }), ApiError);
  await assert.rejects(repo.createBranch({ baseRef: 'nowhere', targetBranch: 'x' }));
});

test('ephemeral branches and their promotion', async () => {
  const repo = await started();
  await change(repo, { p: '1' }, { targetBranch: 'preview', baseBranch: 'main', ephemeral: true });
  await change(repo, { q: '1' }, { targetBranch: 'next', baseBranch: 'preview', ephemeral: true, ephemeralBase: true });
  assert.deepEqual(names(await repo.listBranches()), ['main']);
  assert.deepEqual(names(await repo.listBranches({ ephemeral: true })), ['next', 'preview']);
  assert.equal((await repo.listFiles({ ref: 'next', ephemeral: true })).ref, 'refs/namespaces/ephemeral/refs/heads/next');
  assert.equal(await text(repo, { path: 'q', ref: 'next', ephemeral: true }), '1');
  await repo.createBranch({ baseRef: 'next', targetBranch: 'kept', baseIsEphemeral: true });
  assert.deepEqual((await repo.listFiles({ ref: 'kept' })).paths, ['README.md', 'p', 'q']);
  assert.equal((await repo.listCommits({ branch: 'next', ephemeral: true })).commits.length, 3);
  const gone = await repo.deleteBranch({ name: 'next', ephemeral: true });
  assert.equal(gone.ephemeral, true);
});

test('history: pages, paths, one commit', async () => {
  const repo = await started();
  const shas = [repo.first];
  for (let n = 0; n < 6; n++) shas.push((await change(repo, { [`f${n % 2}`]: `${n}` }, { commitMessage: `Commit ${n}` })).commitSha);
  const seen = [];
  let cursor;
  do {
    const page = await repo.listCommits({ limit: 3, cursor });
    seen.push(...page.commits.map((commit) => commit.sha));
    cursor = page.nextCursor;
  } while (cursor);
  assert.deepEqual(seen, shas.toReversed());
  assert.equal((await repo.listCommits({ path: 'f0' })).commits.length, 3);
  const { commit } = await repo.getCommit({ sha: 'main' });
  assert.equal(commit.sha, shas.at(-1));
  assert.deepEqual(commit.parentShas, [shas.at(-2)]);
  assert.equal(commit.message, 'Commit 5');
  assert.equal(commit.signature, undefined);
  assert.ok(commit.date instanceof Date && Date.now() - commit.date < 3_600_000);
  await assert.rejects(repo.getCommit({ sha: 'nowhere' }), ApiError);
  await assert.rejects(repo.listCommits({ branch: 'nowhere' }), ApiError);
});

test('files: folders, levels, pages', async () => {
  const repo = await started({ 'a/1': '1', 'a/b/2': '2', c: '3' });
  assert.deepEqual((await repo.listFiles({ path: 'a' })).paths, ['a/1', 'a/b/2']);
  const level = await repo.listFiles({ recursive: false });
  assert.deepEqual(level.entries.map((entry) => [entry.path, entry.type]), [['a', 'tree'], ['c', 'blob']]);
  const first = await repo.listFiles({ limit: 2 });
  assert.equal(first.hasMore, true);
  const rest = await repo.listFiles({ limit: 2, cursor: first.nextCursor });
  assert.deepEqual([...first.paths, ...rest.paths].sort(), ['a/1', 'a/b/2', 'c']);
  const empty = await storage.createRepo();
  await assert.rejects(empty.listFiles(), ApiError);
});

test('files: headers, ranges, conditions', async () => {
  const repo = await started({ digits: '0123456789' });
  const head = await repo.headFile({ path: 'digits' });
  assert.equal(head.size, 10);
  assert.equal(head.etag, `"${head.blobSha}"`);
  assert.equal(head.lastCommitSha, repo.first);
  assert.ok(head.lastModified instanceof Date);
  const part = await repo.getFileStream({ path: 'digits', headers: { range: 'bytes=2-4' } });
  assert.equal(part.status, 206);
  assert.equal(await part.text(), '234');
  const same = await repo.getFileStream({ path: 'digits', headers: { ifNoneMatch: head.etag } });
  assert.equal(same.status, 304);
  const beyond = await repo.getFileStream({ path: 'digits', headers: { range: 'bytes=99-' } });
  assert.equal(beyond.status, 416);
  await assert.rejects(repo.getFileStream({ path: 'nothing' }), ApiError);
});

test('search, and files with their last commits', async () => {
  const repo = await started({ 'a.ts': 'one\ntwo\n', 'b/c.md': 'two\n' });
  const second = (await change(repo, { 'b/c.md': 'two\nthree\n' })).commitSha;
  const found = await repo.grep({
    query: { pattern: 'TWO', caseSensitive: false },
    fileFilters: { includeGlobs: ['**/*.ts', '**/*.md'] },
    context: { before: 1 },
    pagination: { limit: 1 },
  });
  assert.deepEqual(found.matches, [
    { path: 'a.ts', lines: [{ lineNumber: 1, text: 'one', type: 'context' }, { lineNumber: 2, text: 'two', type: 'match' }] },
  ]);
  assert.equal(found.repo.commit, second);
  assert.equal(found.hasMore, true);
  const listed = await repo.listFilesWithMetadata();
  assert.deepEqual(
    listed.files.map((file) => [file.path, file.size, file.lastCommitSha]),
    [['a.ts', 8, repo.first], ['b/c.md', 10, second]],
  );
  assert.equal(listed.commits[second].message, 'Change');
});

test('diffs of branches and commits', async () => {
  const repo = await started({ 'a.txt': '1\n2\n', 'old name': 'same\n'.repeat(9) });
  await repo.createBranch({ baseRef: 'main', targetBranch: 'side' });
  const options = { targetBranch: 'side', baseBranch: 'main' };
  const side = await change(repo, { 'a.txt': '1\ntwo', 'old name': null, 'new name': 'same\n'.repeat(9), bin: '\0' }, options);
  const found = await repo.getBranchDiff({ branch: 'side', base: 'main' });
  assert.equal(found.mergeBaseSha, repo.first);
  assert.deepEqual(found.files.map((file) => [file.path, file.state, file.oldPath]), [
    ['a.txt', 'modified', undefined],
    ['new name', 'renamed', 'old name'],
  ]);
  assert.match(found.files[0].raw, /\n-2\n\+two\n\\ No newline at end of file\n$/);
  assert.equal(found.files[0].isEof, false);
  assert.deepEqual(found.filteredFiles.map((file) => file.path), ['bin']);
  assert.deepEqual(found.stats, { files: 3, additions: 1, deletions: 1, changes: 2 });
  const some = await repo.getCommitDiff({ sha: side.commitSha, baseSha: repo.first, gitApplyCompatible: true, paths: ['bin', 'a.txt'] });
  assert.equal(some.baseSha, repo.first);
  assert.match(some.files[1].raw, /\nGIT binary patch\nliteral 1\n/);
});

test('commit a diff, and conflicts by their reason', async () => {
  const repo = await started({ 'docs/README.md': 'Old line\n' });
  const diff = '--- a/docs/README.md\n+++ b/docs/README.md\n@@\n-Old line\n+New line\n';
  const options = { targetBranch: 'main', commitMessage: 'Apply docs update', author };
  const made = await repo.createCommitFromDiff({ ...options, diff, expectedHeadSha: repo.first });
  assert.equal(made.refUpdate.oldSha, repo.first);
  assert.equal(made.blobCount, 1);
  assert.equal(await text(repo, { path: 'docs/README.md' }), 'New line\n');
  const error = await repo.createCommitFromDiff({ ...options, diff }).catch((error) => error);
  assert.ok(error instanceof RefUpdateError);
  assert.equal(error.reason, 'conflict');
  assert.match(error.message, /docs\/README.md.*line 3/);
  const empty = await repo.createCommitFromDiff({ ...options, diff: '' }).catch((error) => error);
  assert.equal(empty.reason, 'invalid');
});

test('restore an earlier commit', async () => {
  const repo = await started();
  const second = await change(repo, { 'README.md': 'broken', 'new.txt': 'x' });
  const options = { targetBranch: 'main', targetCommitSha: repo.first, author, expectedHeadSha: second.commitSha };
  const made = await repo.restoreCommit({ ...options, commitMessage: 'Go back' });
  assert.equal(made.refUpdate.oldSha, second.commitSha);
  assert.deepEqual((await repo.listFiles()).paths, ['README.md']);
  const error = await repo.restoreCommit(options).catch((error) => error);
  assert.equal(error.reason, 'precondition_failed');
});

test('archives', async () => {
  const repo = await started({ 'README.md': '# Hello\n', 'vendor/x': 'x' });
  const archive = await repo.getArchiveStream({ excludeGlobs: ['vendor/**'], archivePrefix: 'repo/' });
  assert.equal(archive.headers.get('content-type'), 'application/gzip');
  const file = join(folder, 'archive.tar.gz');
  writeFileSync(file, Buffer.from(await archive.arrayBuffer()));
  assert.equal(execFileSync('tar', ['-tzf', file], { encoding: 'utf8' }), 'repo/\nrepo/README.md\n');
  await assert.rejects(repo.getArchiveStream({ ref: 'nowhere' }), ApiError);
});

test('ref policies', async () => {
  const repo = await started();
  const refPolicies = [{ pattern: 'main', ops: ['no-push'] }, { pattern: '*', ops: [] }];
  const error = await change(repo, { a: '1' }, { refPolicies }).catch((error) => error);
  assert.ok(error instanceof RefUpdateError);
  assert.equal(error.reason, 'forbidden');
  assert.match(error.message, /denied by policy/);
  await repo.createBranch({ baseRef: 'main', targetBranch: 'side', refPolicies });
  await assert.rejects(repo.deleteBranch({ name: 'main', refPolicies }), ApiError);
});

test('tags, notes and blame', async () => {
  const repo = await started({ f: 'one\ntwo\n' });
  const second = (await change(repo, { f: 'one\n2\n' })).commitSha;
  await repo.createTag({ name: 'v1', target: repo.first });
  const tags = await repo.listTags();
  assert.deepEqual(tags.tags.map(({ name, sha }) => [name, sha]), [['v1', repo.first]]);
  await assert.rejects(repo.createTag({ name: 'v1', target: second }), (error) => error.status === 409);
  await repo.deleteTag({ name: 'v1' });
  assert.deepEqual((await repo.listTags()).tags, []);

  const made = await repo.createNote({ sha: second, note: 'seen', author });
  await repo.appendNote({ sha: second, note: 'twice', expectedRefSha: made.newRefSha });
  assert.equal((await repo.getNote({ sha: second })).note, 'seen\n\ntwice');
  const refused = await repo.createNote({ sha: second, note: 'again' }).catch((error) => error);
  assert.ok(refused instanceof RefUpdateError, refused);
  assert.deepEqual((await repo.listNotesRefs()).refs.map(({ ref }) => ref), ['refs/notes/commits']);
  await repo.deleteNote({ sha: second });

  const blame = await repo.getBlame({ path: 'f', ranges: ['1,2'], detectMoves: true });
  assert.deepEqual(blame.lines.map((line) => line.commitSha), [repo.first, second]);
});

test('a stranger is unauthorised', async () => {
  const { generateKeyPairSync } = await import('node:crypto');
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const key = privateKey.export({ type: 'pkcs8', format: 'pem' });
  const stranger = new GitStorage({ name: PACKHOUSE_ORG, key, apiBaseUrl: PACKHOUSE_URL, storageBaseUrl: host });
  const repo = await started();
  const theirs = stranger.repo({ id: repo.id });
  const error = await change(theirs, { a: '1' }).catch((error) => error);
  assert.equal(error.reason, 'unauthorized');
  await assert.rejects(theirs.listFiles(), (error) => error.status === 401);
});

test('clone and push by the URLs the SDK makes', async () => {
  const repo = await started();
  const git = (...args) =>
    execFileSync('git', ['-c', 'url.http://.insteadOf=https://', '-c', 'user.name=Ada', '-c', 'user.email=ada@example.com', ...args], {
      encoding: 'utf8',
      stdio: 'pipe',
    });
  const clone = join(folder, 'clone');
  git('clone', '-q', await repo.getRemoteURL(), clone);
  writeFileSync(join(clone, 'pushed'), 'from git\n');
  git('-C', clone, 'add', 'pushed');
  git('-C', clone, 'commit', '-q', '-m', 'From git');
  git('-C', clone, 'push', '-q', 'origin', 'main');
  assert.equal(await text(repo, { path: 'pushed' }), 'from git\n');
  git('-C', clone, 'push', '-q', await repo.getEphemeralRemoteURL(), 'HEAD:refs/heads/tmp');
  assert.deepEqual(names(await repo.listBranches({ ephemeral: true })), ['tmp']);
});

test('a webhook that the SDK takes', async () => {
  const repo = await started();
  const received = [];
  const server = createServer(async (request, response) => {
    const pieces = [];
    for await (const piece of request) pieces.push(piece);
    received.push({ headers: request.headers, body: Buffer.concat(pieces).toString() });
    response.end();
    server.emit('received');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  try {
    // The token of a remote URL is one for this repository; only its scopes are others.
    const url = new URL(await repo.getRemoteURL({ permissions: ['repo:write'] }));
    const made = await fetch(`${PACKHOUSE_URL}/api/v1/webhooks`, {
      method: 'POST',
      headers: { Authorization: `Bearer ${url.password}` },
      body: JSON.stringify({ url: `http://127.0.0.1:${server.address().port}/` }),
    });
    assert.equal(made.status, 201);
    const { secret } = await made.json();
    const arrived = once(server, 'received', { signal: AbortSignal.timeout(30_000) });
    const { commitSha } = await change(repo, { a: '1' });
    await arrived;
    const [{ headers, body }] = received;
    const signature = headers['x-pierre-signature'];
    const parsed = parseSignatureHeader(signature);
    assert.ok(Math.abs(parsed.timestamp - Date.now() / 1000) < 60, signature);
    assert.equal((await validateWebhookSignature(body, signature, secret)).valid, true);
    assert.equal((await validateWebhookSignature(`${body} `, signature, secret)).valid, false);
    const result = await validateWebhook(body, headers, secret);
    assert.ok(result.valid, result.error);
    assert.equal(result.eventType, 'push');
    assert.equal(result.payload.before, repo.first);
    assert.equal(result.payload.after, commitSha);
    assert.equal((await validateWebhook(body, headers, `${secret}x`)).valid, false);
  } finally {
    server.close();
    server.closeAllConnections();
  }
});
