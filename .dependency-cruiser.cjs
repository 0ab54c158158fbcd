// A room may import only rooms above it in this list (docs/architecture.md, "The house").
const rooms = [
  'crypto',
  'policy',
  'wire',
  'encodings',
  'trusted',
  'catalog',
  'clouds',
  'audit',
  'sql',
  'postgres',
  'releases',
  'console',
];
const below = rooms.map((room, i) => ({
  name: `order-of-rooms-${room}`,
  comment: `src/${room}/ may import only the rooms above it`,
  severity: 'error',
  from: { path: `^src/${room}/` },
  to: { path: `^src/(${[...rooms.slice(i + 1), 'cli'].join('|')})/|^src/proxy\\.ts$` },
}));
module.exports = {
  forbidden: [
    ...below,
    {
      name: 'proxy-composes-rooms',
      severity: 'error',
      from: { path: '^src/proxy/' },
      to: { path: '^src/cli/' },
    },
    { name: 'no-circular', severity: 'error', from: {}, to: { circular: true } },
    {
      name: 'crypto-policy-wire-are-pure',
      severity: 'error',
      from: { path: '^src/(policy|wire)/', pathNot: '\\.test\\.ts$' },
      to: { path: '^(node:)?(net|tls|fs|http|https|child_process|worker_threads|dgram)(/|$)' },
    },
    {
      name: 'proxy-is-not-imported-by-rooms',
      severity: 'error',
      from: { path: `^src/(${rooms.join('|')})/` },
      to: { path: '^src/proxy\\.ts$' },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: {
      extensions: ['.ts', '.js'],
      conditionNames: ['import', 'node', 'default'],
      exportsFields: ['exports'],
    },
  },
};
