/** What the documents name is there, and nothing of the place where they were written. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { anchorsOf, documents, projectFiles, relativeLinks, textOf } from './markdown.ts';

const files = projectFiles();
const folders = new Set(
  [...files].flatMap((file) => file.split('/').map((_, index, parts) => parts.slice(0, index).join('/'))),
);

/** Paths of the project that stand in code spans: they begin with one of its folders. */
function namedPaths(markdown: string): string[] {
  const spans = [...markdown.matchAll(/`([^`\n]+)`/g)].map(([, span = '']) => span);
  return spans.filter((span) => /^(bench|bin|config|docs|scripts|src|test|\.ci)\/[\w./-]*\w\/?$/.test(span));
}

for (const path of documents()) {
  describe(path, () => {
    test('links to what is there', () => {
      for (const { path: target, heading } of relativeLinks(path)) {
        assert.ok(files.has(target), `${path} links to ${target}`);
        if (heading !== undefined)
          assert.ok(anchorsOf(target).has(heading), `${path} links to ${target}#${heading}`);
      }
    });

    test('names files that are there', () => {
      for (const named of namedPaths(textOf(path))) {
        const plain = named.replace(/\/$/, '');
        assert.ok(files.has(plain) || folders.has(plain), `${path} names ${named}`);
      }
    });

    test('names no place where it was written', () => {
      const text = textOf(path);
      assert.doesNotMatch(text, /(^|[\s`("'=])\/(work|tmp|root|home|Users)\//m, 'a path of a machine');
      assert.doesNotMatch(text, /registry\.|verdaccio|artifactory|nexus|proxy\.golang/i, 'a registry');
    });
  });
}
