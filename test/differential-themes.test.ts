/**
 * What PostgreSQL answers, theme by theme: each case runs on a plain and on a protected copy, by the simple and by the
 * extended protocol, and everything that a client sees of it is compared.
 */
import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { themes } from './differential-themes/all.js';
import { type Case, policy, type Statement, tables } from './differential-themes/theme.js';
import { RawClient, say, told } from './support/raw-client.js';
import { type RecordedProxy, startRecordedProxy } from './support/recorded-proxy.js';

/** Stand in protected columns only, and in no statement that touches no protected table. */
const sentinels = ['Arryn', 'Bolton', 'Clegane', 'Estermont', 'first note'];

suite('themes', { timeout: 600_000 }, () => {
  let recorded: RecordedProxy;

  before(async () => {
    recorded = await startRecordedProxy(policy);
    for (const client of [recorded.ours, recorded.plain])
      for (const sql of [...tables, ...Object.values(themes).flatMap(({ setup = [] }) => setup)])
        await client.query(sql);
  });
  after(() => recorded?.stop());

  for (const [name, { cases }] of Object.entries(themes))
    test(`PostgreSQL's answers: ${name}`, async t => {
      const differing: string[] = [];
      for (const protocol of ['simple', 'extended'] as const) {
        const plain = await RawClient.connect(recorded.proxy.plain);
        const clarus = await RawClient.connect(recorded.proxy);
        for (const each of cases) {
          const found = await differs(plain, clarus, caseOf(each), protocol);
          if (found !== undefined) differing.push(`${protocol}: ${found}`);
        }
        await plain.close();
        await clarus.close();
      }
      t.diagnostic(`${cases.length} cases`);
      assert.deepEqual(differing, []);
    });

  test('themes show the cloud no protected value', () => {
    const sent = recorded.sent();
    for (const sentinel of sentinels) assert.ok(!sent.includes(sentinel), sentinel);
  });
});

const caseOf = (each: Statement | Case): Case =>
  typeof each === 'object' && 'steps' in each ? each : { steps: [each as Statement] };

/** @returns what differs, or undefined */
async function differs(
  plain: RawClient,
  clarus: RawClient,
  { steps, refused }: Case,
  protocol: 'simple' | 'extended',
): Promise<string | undefined> {
  if (refused !== undefined) return isRefused(clarus, steps, protocol);
  for (const step of steps) {
    const given = await answer(clarus, step, protocol);
    const expected = await answer(plain, step, protocol);
    if (given === expected) continue;
    for (const side of [plain, clarus]) await side.query('ROLLBACK');
    return `${step}\nexpected ${expected}\ngiven ${given}`;
  }
  return undefined;
}

async function isRefused(
  clarus: RawClient,
  steps: readonly Statement[],
  protocol: 'simple' | 'extended',
): Promise<string | undefined> {
  await clarus.query('BEGIN');
  const given: string[] = [];
  for (const step of steps) given.push(await answer(clarus, step, protocol));
  await clarus.query('ROLLBACK');
  const isRefusal = given.some(text => text.includes('ErrorResponse ERROR 0A000'));
  return isRefusal ? undefined : `${steps}\nis answered now: take it off the list\n${given.join('\n')}`;
}

async function answer(client: RawClient, step: Statement, protocol: 'simple' | 'extended'): Promise<string> {
  const [sql, ...values] = typeof step === 'string' ? [step] : step;
  const isCopy = sql.startsWith('COPY');
  if (!isCopy && (protocol === 'extended' || values.length > 0))
    client.send(
      say.parse(sql),
      say.describe('statement'),
      say.bind('', '', values),
      say.describe('portal'),
      say.execute(),
      say.sync,
    );
  else client.send(say.query(sql));
  const lines = told(await client.until()).map(withoutOwnTypes);
  if (lines.some(line => line.startsWith('ErrorResponse'))) return failure(lines, sql);
  // where one message ends is the server's own affair
  if (isCopy) return lines.join('\n').replaceAll('\nCopyData ', '');
  const rows = lines.filter(line => line.startsWith('DataRow'));
  if (!/ORDER BY/i.test(sql)) rows.sort();
  return [...lines.filter(line => !line.startsWith('DataRow')), ...rows].join('\n');
}

/**
 * An error as it is compared. Left out is what docs/compatibility.md names: at which message of the protocol an error of
 * planning is told, the detail that shows a failing row, and the place of an error within COPY and EXECUTE.
 */
function failure(lines: readonly string[], sql: string): string {
  const place = /^(COPY|EXECUTE)/.test(sql) ? / \d+$/ : /(?!)/;
  return lines
    .filter(line => /^(ErrorResponse|ReadyForQuery)/.test(line))
    .map(line => line.replace(/Failing row contains .*\)\. /, ' ').replace(place, ' '))
    .join('\n')
    .replace(/ +$/gm, '');
}

/** Types that users made have other OIDs in another database. */
const withoutOwnTypes = (line: string): string =>
  line.startsWith('RowDescription') || line.startsWith('ParameterDescription')
    ? line.replace(/\b\d{5,}\b/g, number =>
        Number(number) >= 16384 && Number(number) < 65536 ? 'own' : number,
      )
    : line;
