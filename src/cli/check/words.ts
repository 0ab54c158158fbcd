/** The report of `clarus check` in words. */
import type { CheckedCloud, CheckReport } from './report.js';
import type { CheckedColumn, CheckedTable } from './tables.js';

/** What no policy reaches: a cloud learns it in any case. */
export const beyondThePolicy = (names: CheckReport['names']): readonly string[] => [
  'how many rows each table has, how large it is, and how both change',
  names === 'hidden'
    ? 'the names of schemas, of unprotected tables and what belongs to them, of types, functions and views, and those that applications give cursors and savepoints; of protected tables which names are the same, and the types of columns in the clear'
    : 'the names of schemas, tables, columns, keys, checks and indexes, and the types of columns in the clear',
  'which CHECK over protected columns a row broke that was refused, and which row of its statement that was',
  'which values of a row are NULL, how long each is, and that cells belong to one row',
  'which rows were written together, in which order, and how often each was changed',
  'who connects when, each statement’s form, time and number of rows, and which rows it reads or writes',
  'functions, views, triggers and rules that stand in the cloud itself, and what they do there',
];

/** Lines of the report, for people. */
export function reportLines(report: CheckReport): readonly string[] {
  const { trusted, clouds, warnings, problems } = report;
  return [
    `${report.file}: understood`,
    `root key: fingerprint ${report.rootKey}, the one of the trusted database`,
    `trusted database: PostgreSQL ${trusted.major}, ${trusted.where}${trusted.running ? ' ("clarus run" serves now)' : ''}`,
    ...clouds.flatMap(cloud => cloudLines(cloud, report.names)),
    ...learnedLines(clouds),
    '',
    ...inTheClearLines(report),
    '',
    'Not reached by the policy (the cloud learns it in any case):',
    ...beyondThePolicy(report.names).map(line => `  ${line}`),
    ...clouds.flatMap(({ objects }) =>
      Object.entries(objects).map(
        ([kind, count]) => `  in the cloud now: ${count} ${kind}${count === 1 ? '' : 's'}`,
      ),
    ),
    '',
    ...warnings.map(warning => `warning: ${warning}`),
    ...(problems.length === 0
      ? ['Everything would work.']
      : [
          `${problems.length} problem${problems.length === 1 ? '' : 's'}:`,
          ...problems.map(problem => `  ${problem}`),
        ]),
  ];
}

function cloudLines(cloud: CheckedCloud, names: CheckReport['names']): readonly string[] {
  const place = `cloud "${cloud.name}" (${cloud.address}, database ${cloud.database})`;
  if (!cloud.reached) return [`${place}: not reached`];
  const { traits } = cloud;
  const policy =
    cloud.policyVersion === 0
      ? 'no policy is in force yet: the next "clarus run" takes that of the file'
      : `policy in force: version ${cloud.policyVersion}${cloud.differences.length ? '; the file differs:' : ', as the file says'}`;
  return [
    `${place}: PostgreSQL ${traits?.major}, ${traits?.encoding}, ${traits?.provider} ${traits?.locale}`,
    ...cloud.mismatches.flatMap(({ what, consequence }) => [`  differs: ${what}`, `    so: ${consequence}`]),
    policy,
    ...cloud.differences.map(difference => `  ${difference}`),
    ...cloud.tables.flatMap(table => tableLines(table, names)),
  ];
}

const states: Readonly<Record<CheckedTable['state'], string>> = {
  protected: 'protected',
  open: 'in the clear',
  blocked: 'neither served nor written',
  absent: 'not made yet; CREATE TABLE through Clarus makes it so',
};

function tableLines(table: CheckedTable, names: CheckReport['names']): readonly string[] {
  const { name, state, reason, plaintext, listed, columns } = table;
  const toCome = plaintext && state === 'blocked';
  return [
    '',
    `${name}: ${states[state]}`,
    ...(table.listedAs === undefined ? [] : [`  listed as ${table.listedAs} before it was renamed`]),
    ...(reason ? [`  ${reason}`] : []),
    ...(state === 'protected' ? nameLines(table, names) : []),
    ...(toCome && listed ? ['  Once its protected copy is made:'] : []),
    ...(state === 'open' || (toCome && !listed) ? [] : columns.flatMap(columnLines)),
  ];
}

/** What the cloud sees of the names of a protected table, where the policy or the table hides them. */
function nameLines({ hiddenAs }: CheckedTable, names: CheckReport['names']): readonly string[] {
  if (names === 'hidden' && hiddenAs === undefined)
    return ['  its names are shown to the cloud until the next "clarus run", which hides them'];
  if (hiddenAs === undefined) return [];
  return [
    names === 'shown'
      ? `  the cloud knows it as ${hiddenAs} until the next "clarus run", which shows its names`
      : `  the cloud knows it as ${hiddenAs}; the names of its columns, constraints, indexes and sequences are hidden too`,
  ];
}

function columnLines(column: CheckedColumn): readonly string[] {
  const words = [
    column.type,
    column.class,
    column.protect === 'none'
      ? 'in the clear'
      : `encrypted${column.queries.length ? `, queries ${column.queries.join(', ')}` : ''}`,
  ];
  return [
    `  ${column.name}: ${words.filter(Boolean).join(', ')}`,
    ...(column.listedAs === undefined ? [] : [`    listed as ${column.listedAs} before it was renamed`]),
    ...(column.learned.length
      ? [`    forms: ${column.learned.map(({ encoding }) => encoding).join(', ')}`]
      : []),
    ...(column.tagForKey
      ? ['    its equality tag stands for a key constraint, though the policy does not grant equality']
      : []),
    ...(column.comparable.length
      ? [`    equal values can be recognised across ${column.comparable.join(', ')}`]
      : []),
    ...(column.waiting.length
      ? [
          `    waits: ${column.waiting.join(', ')} (no encoding of this version answers it; statements that need it are finished on the trusted side)`,
        ]
      : []),
  ];
}

/** What the forms of columns show, once for each form. */
function learnedLines(clouds: readonly CheckedCloud[]): readonly string[] {
  const forms = new Map(
    clouds
      .flatMap(({ tables }) => tables.filter(({ state }) => state !== 'open'))
      .flatMap(({ columns }) => columns)
      .flatMap(({ learned }) => learned)
      .map(({ encoding, atRest, fromQueries }) => [
        encoding,
        [`  ${encoding}: ${atRest};`, `    from queries ${fromQueries}`],
      ]),
  );
  return forms.size === 0
    ? []
    : ['', 'What the cloud learns of a column by its forms:', ...[...forms.values()].flat()];
}

/** Everything that stands or may come to stand in a cloud unprotected, by name; that it is not known, of a cloud that was not reached. */
export function inTheClear({ clouds, declassify, unlisted }: CheckReport): readonly string[] {
  return [
    ...clouds.flatMap(({ name: cloud, reached, tables, setAside }) => [
      ...(reached ? [] : [`cloud "${cloud}": not known, because it was not reached`]),
      ...setAside.map(
        ({ name, of }) =>
          `${name}: the plaintext original of ${of}, until you drop it (in the cloud, after the originals of tables that refer to it: DROP TABLE ${name})`,
      ),
      ...tables.flatMap(({ name, state, plaintext, columns }) => {
        if (setAside.some(aside => aside.name === name)) return [];
        if (plaintext)
          return [`${name}: every column${state === 'blocked' ? ' (stands unprotected; not served)' : ''}`];
        const open = columns.filter(({ protect }) => protect === 'none').map(column => column.name);
        return open.length ? [`${name}: ${open.join(', ')}`] : [];
      }),
    ]),
    ...(unlisted === 'pass' ? ['every table that the policy does not list (unlisted: pass)'] : []),
    ...declassify.map(target => `${target}: protected values may reach it (declassify)`),
  ];
}

function inTheClearLines(report: CheckReport): readonly string[] {
  const lines = inTheClear(report);
  return ['In the clear:', ...(lines.length === 0 ? ['  nothing'] : lines.map(line => `  ${line}`))];
}
