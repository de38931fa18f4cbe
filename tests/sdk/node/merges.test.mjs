// The npm SDK: merges and their previews, and tags and notes in more detail.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { author, change, sdk, started, text } from './setup.mjs';

const { ApiError, RefUpdateError } = sdk;
const message = { commitMessage: 'Merge topic', author };

// `main` and `topic` have both gone on from one commit, in different files.
async function diverged() {
  const repo = await started({ a: '1\n' });
  repo.theirs = (await change(repo, { b: '1\n' }, { targetBranch: 'topic', baseBranch: 'main' })).commitSha;
  repo.ours = (await change(repo, { a: '2\n' })).commitSha;
  return repo;
}

const merge = (repo, options = {}) =>
  repo.merge({ sourceBranch: 'topic', targetBranch: 'main', strategy: 'merge', ...options });

async function refused(promise, status) {
  const error = await promise.then(() => assert.fail('it was not refused'), (error) => error);
  assert.ok(error instanceof ApiError, error);
  assert.equal(error.status, status, error.message);
  return error;
}

test('a merge commit, and one that changes nothing', async () => {
  const repo = await diverged();
  const merged = await merge(repo, message);
  assert.equal(merged.result, 'merge_commit');
  assert.equal(merged.mergeBaseSha, repo.first);
  assert.equal(merged.promotedCommits, 1);
  assert.deepEqual(merged.source, { branch: 'topic', ephemeral: false, sha: repo.theirs });
  assert.deepEqual(merged.target, { branch: 'main', ephemeral: false, oldSha: repo.ours, newSha: merged.commitSha });
  const { commit } = await repo.getCommit({ sha: merged.commitSha });
  assert.deepEqual(commit.parentShas, [repo.ours, repo.theirs]);
  assert.deepEqual((await repo.listFiles()).paths, ['a', 'b']);
  assert.equal((await merge(repo)).result, 'no_op');
});

test('fast forwards and squashes', async () => {
  const repo = await diverged();
  await refused(merge(repo, { strategy: 'ff_only' }), 409);
  await refused(merge(repo, { strategy: 'ff_prefer' }), 400);
  const squashed = await merge(repo, { squash: true, ...message });
  assert.equal(squashed.result, 'squash');
  assert.deepEqual((await repo.getCommit({ sha: squashed.commitSha })).commit.parentShas, [repo.ours]);
  await repo.createBranch({ baseRef: repo.first, targetBranch: 'behind' });
  const moved = await repo.merge({ sourceBranch: 'topic', targetBranch: 'behind', strategy: 'ff_only' });
  assert.equal(moved.result, 'fast_forward');
  assert.equal(moved.commitSha, repo.theirs);
});

test('a conflict is refused, and previewed with its contents', async () => {
  const repo = await diverged();
  await change(repo, { a: '3\n' }, { targetBranch: 'topic' });
  const error = await refused(merge(repo, message), 409);
  assert.match(error.message, /`a`/);
  assert.equal(await text(repo, { path: 'a' }), '2\n');
  const shown = await repo.previewMerge({ sourceBranch: 'topic', targetBranch: 'main', includeContent: true });
  assert.equal(shown.status, 'conflicted');
  assert.deepEqual(shown.conflictPaths, ['a']);
  const [conflict] = shown.conflicts;
  assert.deepEqual([conflict.base.content, conflict.ours.content, conflict.theirs.content], ['1\n', '2\n', '3\n']);
  assert.equal(conflict.result.content, '<<<<<<< main\n2\n=======\n3\n>>>>>>> topic\n');
});

test('a clean preview changes nothing', async () => {
  const repo = await diverged();
  const shown = await repo.previewMerge({ sourceBranch: 'topic', targetBranch: 'main' });
  assert.equal(shown.status, 'clean');
  assert.equal(shown.result, 'merge_commit');
  assert.equal(shown.mergeBaseSha, repo.first);
  assert.deepEqual([shown.sourceTipSha, shown.targetTipSha], [repo.theirs, repo.ours]);
  assert.deepEqual(shown.conflictPaths, []);
  assert.equal((await repo.getCommit({ sha: 'main' })).commit.sha, repo.ours);
  await refused(repo.previewMerge({ sourceBranch: 'nothing', targetBranch: 'main' }), 404);
});

test('guards, ephemeral branches, unrelated and missing ones', async () => {
  const repo = await diverged();
  await refused(merge(repo, { expectedTargetSha: repo.first, ...message }), 409);
  await refused(merge(repo, { sourceBranch: 'nothing', ...message }), 404);
  await change(repo, { c: '1\n' }, { targetBranch: 'draft', baseBranch: 'main', ephemeral: true });
  const merged = await merge(repo, { sourceBranch: 'draft', sourceIsEphemeral: true, expectedTargetSha: repo.ours, ...message });
  assert.equal(merged.source.ephemeral, true);
  // A branch with itself: there is nothing to merge.
  assert.equal((await merge(repo, { sourceBranch: 'main', ...message })).result, 'no_op');
  const denied = [{ pattern: 'main', ops: ['no-push'] }];
  await refused(merge(repo, { refPolicies: denied, ...message }), 403);
});

test('tags: pages, names, and what is refused', async () => {
  const repo = await started();
  for (const name of ['v1', 'v2', 'release/3']) {
    const made = await repo.createTag({ name, target: repo.first });
    assert.deepEqual([made.name, made.sha], [name, repo.first]);
  }
  const first = await repo.listTags({ limit: 2 });
  assert.equal(first.hasMore, true);
  const rest = await repo.listTags({ limit: 2, cursor: first.nextCursor });
  assert.deepEqual([...first.tags, ...rest.tags].map(({ name }) => name), ['release/3', 'v1', 'v2']);
  await refused(repo.createTag({ name: 'v4', target: '1'.repeat(40) }), 404);
  await refused(repo.createTag({ name: 'bad..name', target: repo.first }), 400);
  await refused(repo.deleteTag({ name: 'v9' }), 404);
});

test('notes: refs of their own, guards, and what is refused', async () => {
  const repo = await started();
  const sha = repo.first;
  const made = await repo.createNote({ sha, note: 'fine', ref: 'reviews', author });
  assert.equal(made.targetRef, 'refs/notes/reviews');
  assert.equal((await repo.getNote({ sha, ref: 'reviews' })).note, 'fine');
  assert.deepEqual((await repo.listNotesRefs({ prefix: 'reviews' })).refs.map(({ ref }) => ref), ['refs/notes/reviews']);
  for (const [call, reason] of [
    [() => repo.appendNote({ sha, note: 'x', ref: 'reviews', expectedRefSha: sha }), 'precondition_failed'],
    [() => repo.createNote({ sha: '1'.repeat(40), note: 'of nothing' }), 'not_found'],
    [() => repo.deleteNote({ sha, ref: 'other' }), 'not_found'],
  ]) {
    const error = await call().catch((error) => error);
    assert.ok(error instanceof RefUpdateError, error);
    assert.equal(error.reason, reason, error.message);
  }
  await refused(repo.createNote({ sha, note: 'x', ref: 'refs/heads/main' }), 400);
  await refused(repo.getNote({ sha }), 404);
  const gone = await repo.deleteNote({ sha, ref: 'reviews', expectedRefSha: made.newRefSha });
  assert.equal(gone.result.success, true);
});
