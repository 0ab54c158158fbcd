/** Runs generated statements on a plain and on a protected copy, and says where the answers differ. */
import fc from 'fast-check';
import { type RecordedProxy, startRecordedProxy } from '../../support/recorded-proxy.js';
import { Choices } from './choices.js';
import { makeSchema, markers, type Schema } from './schema.js';
import { difference, Side } from './sides.js';
import { makeStatement, type Statement, type StatementKind } from './statements.js';

/** Numbers of choices that a statement has at most. */
const choicesMax = 220;
/** Statements that are tried to make a failing one smaller. */
const triesMax = 600;
/** Statements over one schema. */
const perSchema = 250;

/** What became of a construct, or of all statements. */
export interface Tally {
  made: number;
  /** on the plain copy */
  succeeded: number;
  withRows: number;
  /** by Clarus, where the plain copy answers */
  refused: number;
}

/** What a run came to. */
export interface Outcome {
  readonly all: Tally;
  readonly constructs: ReadonlyMap<string, Tally>;
  /** reasons of refusals, with how often */
  readonly refusals: ReadonlyMap<string, { count: number; example: string }>;
  readonly differences: readonly string[];
}

const sequence = fc.noBias(fc.array(fc.nat(0xffff), { maxLength: choicesMax, size: 'max' }));

/** Is a failure one of Clarus: a refusal, a limit, a snapshot that changed, or a defect that it notices itself? */
export const isOurs = (code: string): boolean => ['0A000', '54000', '40001', 'XX000'].includes(code);

/** Aggregates of users stand on the trusted side only: what the cloud runs alone does not find them. */
const isAggregateOfUsers = (code: string, message: string, { functions }: Schema): boolean =>
  code === '42883' && message.includes(functions.aggregate);

/**
 * Runs statements.
 * @param differencesMax ends after so many schemas with a difference
 */
export async function fuzz(options: {
  readonly statements: number;
  /** of the first schema, and the next numbers of the others */
  readonly seed: number;
  readonly differencesMax: number;
  /** over one schema; default 250 */
  readonly perSchema?: number;
  /** a difference is told as it was met, not made smaller */
  readonly raw?: boolean;
  /** kind of the statements; absent: all */
  readonly only?: StatementKind | undefined;
  readonly log?: (line: string) => void;
}): Promise<Outcome> {
  const recorded = await startRecordedProxy('unlisted: pass');
  const all: Tally = { made: 0, succeeded: 0, withRows: 0, refused: 0 };
  const outcome = {
    all,
    constructs: new Map<string, Tally>(),
    refusals: new Map<string, { count: number; example: string }>(),
    differences: [] as string[],
  };
  try {
    for (
      let index = 0;
      all.made < options.statements && outcome.differences.length < options.differencesMax;
      index++
    ) {
      const count = Math.min(options.perSchema ?? perSchema, options.statements - all.made);
      const run = { ...options, seed: options.seed + index, count, outcome };
      const found = await fuzzSchema(recorded, index, run);
      if (found !== undefined) {
        outcome.differences.push(found);
        options.log?.(found);
      }
    }
    return outcome;
  } finally {
    await recorded.stop();
  }
}

interface SchemaRun {
  readonly seed: number;
  readonly count: number;
  readonly raw?: boolean;
  readonly only?: StatementKind | undefined;
  readonly outcome: Outcome;
}

async function fuzzSchema(
  recorded: RecordedProxy,
  index: number,
  run: SchemaRun,
): Promise<string | undefined> {
  const { seed } = run;
  const schema = schemaOf(seed, index);
  const plain = await Side.connect(recorded.proxy.plain);
  const clarus = await Side.connect(recorded.proxy);
  try {
    let found: string | undefined;
    const sent = await recorded.sentWhile(async () => {
      await setUp(plain, clarus, schema);
      found = await compareAll(plain, clarus, schema, run);
    });
    const wrong = found ?? leak(sent);
    if (wrong === undefined) return undefined;
    const made = [...schema.sql.filter(sql => !sql.startsWith('INSERT')), ...schema.labels].join(';\n');
    return `seed ${seed}:\n${made}\n${wrong}`;
  } finally {
    await plain.close();
    await clarus.close();
  }
}

/** The schema that a seed makes. @param index tells databases of one run apart */
export function schemaOf(seed: number, index: number): Schema {
  const [numbers] = fc.sample(
    fc.noBias(fc.array(fc.nat(0xffff), { minLength: 600, maxLength: 600, size: 'max' })),
    { seed, numRuns: 1 },
  );
  return makeSchema(new Choices(numbers!), index);
}

/** Makes a schema on both sides, protected on the one. */
export async function setUp(plain: Side, clarus: Side, { sql, labels, tables }: Schema): Promise<void> {
  const made = tables.filter(t => t.writable).length;
  for (const statement of sql.slice(0, made))
    for (const side of [plain, clarus]) await side.client.query(statement);
  for (const label of labels) await clarus.client.query(label);
  for (const statement of sql.slice(made))
    for (const side of [plain, clarus]) await side.client.query(statement);
}

/** A marker of protected values in what was sent. */
export function leak(sent: string): string | undefined {
  for (const marker of markers) {
    const at = sent.search(marker);
    if (at >= 0) return `LEAK of ${marker}: ${JSON.stringify(sent.slice(Math.max(0, at - 400), at + 100))}`;
  }
  return undefined;
}

async function compareAll(
  plain: Side,
  clarus: Side,
  schema: Schema,
  { seed, count, raw, only, outcome }: SchemaRun,
): Promise<string | undefined> {
  let failing = '';
  let tries = 0;
  const property = fc.asyncProperty(sequence, async numbers => {
    if (tries > 0 && tries++ > triesMax) return;
    const statement = makeStatement(numbers, schema, only);
    const expected = await plain.run(statement);
    const given = await clarus.run(statement);
    const refused =
      given.kind === 'failed' &&
      (isOurs(given.code) || isAggregateOfUsers(given.code, given.message, schema)) &&
      !(expected.kind === 'failed' && expected.code === given.code);
    if (tries === 0) tell(outcome, statement, expected, refused ? given.message : undefined);
    if (refused) return;
    const differs = difference(statement, expected, given);
    if (differs === undefined) return;
    if (tries === 0) tries = 1;
    failing = [statement.way, statement.sent.sql, JSON.stringify(statement.sent.values), differs].join('\n');
    throw new Error('differs');
  });
  const result = await fc.check(property, {
    seed,
    numRuns: count,
    endOnFailure: raw === true,
    interruptAfterTimeLimit: 600_000,
    markInterruptAsFailure: false,
  });
  if (!result.failed) return undefined;
  return failing === '' ? `${(result.errorInstance as Error).stack}` : failing;
}

function tell(
  { all, constructs, refusals }: Outcome,
  statement: Statement,
  expected: { kind: string; rows?: readonly string[] },
  refusal: string | undefined,
): void {
  const tallies = [
    all,
    ...[...statement.constructs].map(name => {
      const tally = constructs.get(name) ?? { made: 0, succeeded: 0, withRows: 0, refused: 0 };
      (constructs as Map<string, Tally>).set(name, tally);
      return tally;
    }),
  ];
  const succeeded = expected.kind === 'rows';
  for (const tally of tallies) {
    tally.made++;
    if (succeeded) tally.succeeded++;
    if (succeeded && (expected.rows?.length ?? 0) > 0) tally.withRows++;
    if (refusal !== undefined && succeeded) tally.refused++;
  }
  if (refusal === undefined || !succeeded) return;
  const reason = refusal.replace(/"[^"]*"/g, '"…"').replace(/\bf\d+_\w+/g, '…');
  const known = refusals.get(reason) ?? { count: 0, example: statement.sent.sql };
  known.count++;
  if (statement.sent.sql.length < known.example.length) known.example = statement.sent.sql;
  (refusals as Map<string, { count: number; example: string }>).set(reason, known);
}
