// The npm SDK: upstreams and their credentials, forks, URLs, and the client itself.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import { PACKHOUSE_ORG, PACKHOUSE_URL, change, folder, names, sdk, started, storage, text } from './setup.mjs';

const { GitStorage } = sdk;

// The token in a URL that the SDK made.
const tokenOf = (url) => new URL(url).password;

// What the SDK has no words for: a repository of this very server as the upstream, by its URL.
async function follow(upstream, auth) {
  const repo = storage.repo({ id: `node-follower/${randomUUID()}` });
  const token = tokenOf(await repo.getRemoteURL({ permissions: ['repo:write', 'git:read'] }));
  const base = { provider: 'git', url: `${PACKHOUSE_URL}/${upstream.id}.git`, auth };
  const headers = { Authorization: `Bearer ${token}` };
  const made = await fetch(`${PACKHOUSE_URL}/api/v1/repos`, { method: 'POST', headers, body: JSON.stringify({ base_repo: base }) });
  assert.equal(made.status, 201, await made.text());
  return repo;
}

async function until(what) {
  const end = Date.now() + 30_000;
  for (;;) {
    const found = await what().catch(() => false);
    if (found) return found;
    assert.ok(Date.now() < end, 'it does not come to pass');
    await new Promise((done) => setTimeout(done, 50));
  }
}

test('a repository follows an upstream and pulls', async () => {
  const upstream = await started({ a: '1' });
  const token = tokenOf(await upstream.getRemoteURL());
  const repo = await follow(upstream, { token, username: 't' });
  await until(async () => (await text(repo, { path: 'a' })) === '1');
  await change(upstream, { a: '2' });
  await repo.pullUpstream();
  await until(async () => (await text(repo, { path: 'a' })) === '2');
  await change(upstream, { b: '1' }, { targetBranch: 'side', baseBranch: 'main' });
  await repo.pullUpstream({ ref: 'side' });
  await until(async () => names(await repo.listBranches()).includes('side'));
  await assert.rejects(upstream.pullUpstream(), /has no upstream/);
});

test('the credential of an upstream is stored, replaced and forgotten', async () => {
  const upstream = await started({ a: '1' });
  const password = tokenOf(await upstream.getRemoteURL());
  const repo = await follow(upstream, { auth_type: 'credential' });
  const made = await storage.createGitCredential({ repoId: repo.id, username: 't', password: 'wrong' });
  await assert.rejects(storage.createGitCredential({ repoId: repo.id, password: 'x' }), /already exists/);
  const updated = await storage.updateGitCredential({ id: made.id, username: 't', password });
  assert.equal(updated.id, made.id);
  await until(async () => (await text(repo, { path: 'a' })) === '1');
  await storage.deleteGitCredential({ id: made.id });
  await assert.rejects(storage.deleteGitCredential({ id: made.id }), /not found/);
  await assert.rejects(storage.updateGitCredential({ id: made.id, password: 'x' }), /not found/);
});

test('what is no upstream is refused', async () => {
  // There is no GitHub App.
  await assert.rejects(storage.createRepo({ baseRepo: { provider: 'github', owner: 'octocat', name: 'Hello' } }));
  const bad = { provider: 'gitlab', owner: '..', name: 'x' };
  await assert.rejects(storage.createRepo({ baseRepo: bad }));
});

test('a fork has what its source had, and goes its own way', async () => {
  const source = await started({ a: '1' });
  await change(source, { a: '2' });
  const fork = await storage.createRepo({ baseRepo: { id: source.id, sha: source.first } });
  assert.equal(await text(fork, { path: 'a' }), '1');
  await change(fork, { b: '1' });
  assert.deepEqual((await source.listFiles()).paths, ['a']);
  await assert.rejects(storage.createRepo({ baseRepo: { id: `never-${randomUUID()}` } }));
});

test('an import, and reads by the same handle', async () => {
  const repo = await storage.createRepo();
  const work = join(folder, 'import');
  const git = (...args) =>
    execFileSync('git', ['-c', 'url.http://.insteadOf=https://', '-c', 'user.name=Ada', '-c', 'user.email=ada@example.com', ...args], {
      encoding: 'utf8',
      stdio: 'pipe',
    });
  git('init', '-q', '-b', 'main', work);
  writeFileSync(join(work, 'imported'), 'from elsewhere\n');
  git('-C', work, 'add', '.');
  git('-C', work, 'commit', '-q', '-m', 'All of it');
  git('-C', work, 'push', '-q', await repo.getImportRemoteURL(), 'main');
  const handle = storage.repo({ id: repo.id, defaultBranch: 'main' });
  assert.equal(await text(handle, { path: 'imported' }), 'from elsewhere\n');
});

test('the client keeps its options, and a token may be brought along', async () => {
  const config = storage.getConfig();
  assert.equal(config.name, PACKHOUSE_ORG);
  assert.equal(config.apiBaseUrl, PACKHOUSE_URL);
  const repo = await started();
  const token = tokenOf(await repo.getRemoteURL());
  const made = sdk.createClient({ ...config, key: undefined, token });
  assert.ok(made instanceof GitStorage);
  assert.deepEqual((await made.repo({ id: repo.id }).listFiles()).paths, ['README.md']);
});

test('names that lead to the vendor unless they are told otherwise, and claims of policies', () => {
  assert.equal(GitStorage.getDefaultAPIBaseUrl('acme'), 'https://api.acme.code.storage');
  assert.equal(GitStorage.getDefaultStorageBaseUrl('acme'), 'acme.code.storage');
  const claim = sdk.encodeRefsClaim([{ pattern: 'main', ops: [sdk.OP_NO_PUSH] }, { pattern: '*', ops: [] }]);
  assert.deepEqual(claim, [['main', ['no-push']], ['*', []]]);
});
