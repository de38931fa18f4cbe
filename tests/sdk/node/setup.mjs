// The npm SDK, unmodified, against a started server, and what all tests of it share. test_node.py says where the server is
// and with which key.
//
// The SDK checks every answer against its own schemas (zod) and throws where a field is missing or null, so each call
// that returns is a check of the wire format as well.

import { randomUUID } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';

export const { PACKHOUSE_URL, PACKHOUSE_ORG, PACKHOUSE_KEY, PACKHOUSE_NPM } = process.env;
const require = createRequire(join(PACKHOUSE_NPM, 'package.json'));
export const sdk = require('@pierre/storage');

export const host = PACKHOUSE_URL.split('://')[1];
export const storage = new sdk.GitStorage({
  name: PACKHOUSE_ORG,
  key: readFileSync(PACKHOUSE_KEY, 'utf8'),
  apiBaseUrl: PACKHOUSE_URL,
  storageBaseUrl: host,
});
export const author = { name: 'Ada Lovelace', email: 'ada@example.com' };
export const zero = '0'.repeat(40);
export const folder = mkdtempSync(join(tmpdir(), 'packhouse-node-'));
after(() => rmSync(folder, { recursive: true }));

export function change(repo, files, options = {}) {
  const builder = repo.createCommit({ targetBranch: 'main', commitMessage: 'Change', author, ...options });
  for (const [path, content] of Object.entries(files)) {
    if (content === null) builder.deletePath(path);
    else builder.addFileFromString(path, content);
  }
  return builder.send();
}

export async function started(files = { 'README.md': '# Hello\n' }) {
  const repo = await storage.createRepo({ id: `node/${randomUUID()}` });
  repo.first = (await change(repo, files)).commitSha;
  return repo;
}

export async function text(repo, options) {
  return (await repo.getFileStream(options)).text();
}

export const names = (page) => page.branches.map((branch) => branch.name).sort();
