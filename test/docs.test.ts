/** The documents tell what is there: commands, scripts, dependencies, links. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import ts from 'typescript';
import { commands } from '../src/cli/commands.js';
import { commandHelp } from '../src/cli/help.js';

const root = fileURLToPath(new URL('..', import.meta.url));
const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
  readonly scripts: Record<string, string>;
  readonly dependencies: Record<string, string>;
  readonly devDependencies: Record<string, string>;
};
const pages = [
  'README.md',
  'CHANGELOG.md',
  ...readdirSync(join(root, 'docs'), { recursive: true, encoding: 'utf8' })
    .filter(name => name.endsWith('.md'))
    .map(name => `docs/${name}`),
];
const textOf = (page: string): string => readFileSync(join(root, page), 'utf8');

/** Lines of shell in code blocks, without comments, and what stands between backticks. */
function commandLines(text: string): readonly string[] {
  const blocks = [...text.matchAll(/^```(?:sh|bash|shell)\n([\s\S]*?)^```/gm)].flatMap(([, body]) =>
    body!.split('\n'),
  );
  const inline = [...text.replace(/^```[\s\S]*?^```/gm, '').matchAll(/`([^`\n]+)`/g)].map(
    ([, code]) => code!,
  );
  return [...blocks, ...inline]
    .flatMap(line => line.replace(/\s#\s.*$/, '').split('&&'))
    .map(line => line.trim());
}

/** Words of a shell line; quotes group. */
const words = (line: string): string[] =>
  [...line.matchAll(/"([^"]*)"|'([^']*)'|(\S+)/g)].map(
    ([, double, single, bare]) => double ?? single ?? bare!,
  );

test('every clarus command in the documents is one, and takes the options shown', () => {
  let seen = 0;
  for (const page of pages)
    for (const line of commandLines(textOf(page))) {
      const call = /^(?:npx )?clarus (.*)$/.exec(line)?.[1];
      const [name, ...args] = words(call ?? '');
      if (name === undefined || name.startsWith('-') || /^[A-Z]/.test(name)) continue;
      const command = commands[name];
      assert.ok(command, `${page}: there is no command "${name}" (${line})`);
      const options = {
        config: { type: 'string' },
        json: { type: 'boolean' },
        help: { type: 'boolean' },
        ...command.options,
      } as const;
      assert.doesNotThrow(() => parseArgs({ args, allowPositionals: true, options }), `${page}: ${line}`);
      assert.match(commandHelp(name, command), new RegExp(`Usage: clarus ${name}`));
      seen++;
    }
  assert.ok(seen > 10, `only ${seen} commands were found`);
});

test('every npm script in the documents exists', () => {
  const builtIn = ['ci', 'test', 'pack', 'install', 'init'];
  for (const page of pages)
    for (const line of commandLines(textOf(page))) {
      const [program, verb, script] = words(line);
      if (program !== 'npm' || verb === undefined) continue;
      if (verb === 'run') assert.ok(script === 'NAME' || manifest.scripts[script!], `${page}: ${line}`);
      else assert.ok(builtIn.includes(verb), `${page}: ${line}`);
    }
});

test('docs/dependencies.md names every dependency', () => {
  const [run, development] = textOf('docs/dependencies.md').split('## For development');
  const named = (part: string): string[] =>
    [...part.matchAll(/^\| `([^`]+)` \| [^|]+ \| [^|]+ \| [^|]+ \|$/gm)].map(([, name]) => name!).sort();
  assert.deepEqual(named(run!), Object.keys(manifest.dependencies).sort());
  assert.deepEqual(named(development!), Object.keys(manifest.devDependencies).sort());
  for (const name of named(run!)) {
    const { license } = JSON.parse(readFileSync(join(root, 'node_modules', name, 'package.json'), 'utf8'));
    assert.match(textOf('docs/dependencies.md'), new RegExp(`^\\| \`${name}\` \\| ${license}`, 'm'));
  }
});

test('links and paths in the documents lead somewhere', () => {
  for (const page of pages) {
    const text = textOf(page);
    for (const [, target] of text.matchAll(/\]\((?!https?:)([^)#]+)[^)]*\)/g))
      assert.ok(existsSync(join(root, dirname(page), target!)), `${page}: ${target}`);
    if (page === 'docs/promises.md') continue;
    for (const [, path] of text.matchAll(/`((?:src|test|docs|scripts|examples|bench)\/[\w./-]+)`/g))
      assert.ok(existsSync(join(root, path!)), `${page}: ${path}`);
  }
});

test('docs/architecture.md has every room', () => {
  const text = textOf('docs/architecture.md');
  for (const entry of readdirSync(join(root, 'src'), { withFileTypes: true }))
    if (entry.isDirectory()) assert.ok(text.includes(`\`src/${entry.name}/\``), entry.name);
});

test('every exported symbol is documented', () => {
  let seen = 0;
  const bare: string[] = [];
  for (const file of readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' })) {
    if (!file.endsWith('.ts') || file.endsWith('.test.ts')) continue;
    const source = ts.createSourceFile(file, textOf(`src/${file}`), ts.ScriptTarget.Latest, true);
    for (const statement of source.statements) {
      const modifiers = ts.canHaveModifiers(statement) ? ts.getModifiers(statement) : undefined;
      if (!modifiers?.some(({ kind }) => kind === ts.SyntaxKind.ExportKeyword)) continue;
      seen++;
      if (ts.getJSDocCommentsAndTags(statement).length > 0) continue;
      const { line } = source.getLineAndCharacterOfPosition(statement.getStart());
      bare.push(`src/${file}:${line + 1}: ${statement.getText().split('\n')[0]}`);
    }
  }
  assert.deepEqual(bare, []);
  assert.ok(seen > 1_000, `only ${seen} exported symbols were found`);
});
