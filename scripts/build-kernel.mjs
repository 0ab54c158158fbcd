// Compiles the AssemblyScript kernel (src/crypto/kernel/*.as) to src/crypto/kernel.wasm.ts, base64 in a module, so
// that it loads alike from src and from dist. The module is committed and names the digest of what it was made of:
// nothing is compiled while that still holds. `--check` compiles nothing and fails when it does not hold; `--verify`
// compiles in any case and fails when the module differs.
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const folder = fileURLToPath(new URL('../src/crypto/kernel/', import.meta.url));
const target = fileURLToPath(new URL('../src/crypto/kernel.wasm.ts', import.meta.url));
const compilerVersion = '0.28.20';
const options = [
  '-O3',
  '--converge',
  '--noAssert',
  '--runtime',
  'stub',
  '--enable',
  'simd',
  '--importMemory',
];

const sources = new Map(
  readdirSync(folder)
    .filter(name => name.endsWith('.as'))
    .sort()
    .map(name => [name.replace(/\.as$/, '.ts'), readFileSync(folder + name, 'utf8')]),
);
const digest = createHash('sha256')
  .update(JSON.stringify([compilerVersion, options, ...sources]))
  .digest('hex');
const old = existsSync(target) ? readFileSync(target, 'utf8') : '';
const [check, verify] = ['--check', '--verify'].map(option => process.argv.includes(option));

if (check) {
  if (!old.includes(digest))
    throw new Error('src/crypto/kernel.wasm.ts is older than its sources: npm run build');
} else if (verify || !old.includes(digest)) {
  const { default: asc } = await import('assemblyscript/asc');
  let wasm;
  const { error, stderr } = await asc.main(['index.ts', '--outFile', 'kernel.wasm', ...options], {
    readFile: name => sources.get(name) ?? null,
    writeFile: (name, content) => {
      if (name === 'kernel.wasm') wasm = Buffer.from(content);
    },
    listFiles: () => [],
  });
  if (error) throw new Error(`the kernel does not compile\n${stderr.toString()}`);
  const module = [
    '// Made by scripts/build-kernel.mjs of src/crypto/kernel/*.as; do not edit.',
    `// sources: sha256 ${digest}`,
    '/** The kernel in WebAssembly, base64. */',
    `export const kernelBase64 =\n  '${wasm.toString('base64')}';`,
    '',
  ].join('\n');
  if (!verify) writeFileSync(target, module);
  else if (module !== old)
    throw new Error('src/crypto/kernel.wasm.ts is not what scripts/build-kernel.mjs makes');
}
