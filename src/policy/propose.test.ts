import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseConfig } from './parse.js';
import { type ColumnProposal, type DescribedTable, proposeProtection } from './propose.js';
import { writeConfigTemplate } from './template.js';

const covid: DescribedTable = {
  schema: 'public',
  name: 'covid_test',
  rows: 15_524,
  columns: [
    { name: 'subject_id', type: 'integer', distinct: 12_344 },
    { name: 'fake_first_name', type: 'text', distinct: -0.1 },
    { name: 'fake_last_name', type: 'text', distinct: 1_500 },
    { name: 'gender', type: 'text', distinct: 2 },
    { name: 'pan_day', type: 'integer', distinct: 107 },
    { name: 'test_id', type: 'text', distinct: 3 },
    { name: 'result', type: 'text', distinct: 3 },
    { name: 'age', type: 'numeric', distinct: 110 },
    { name: 'ct_result', type: 'numeric(5,2)', distinct: 1_000 },
    { name: 'drive_thru_ind', type: 'integer', distinct: 2 },
  ],
};

const hospital: readonly DescribedTable[] = [
  {
    schema: 'public',
    name: 'patients',
    rows: 1_000,
    columns: [
      { name: 'id', type: 'bigint', primaryKey: true, generated: true },
      { name: 'mrn', type: 'character varying(12)', unique: true, distinct: -1 },
      { name: 'name', type: 'text' },
      { name: 'birthDate', type: 'date' },
      { name: 'E-Mail', type: 'citext' },
      { name: 'phone_number', type: 'text' },
      { name: 'zipCode', type: 'text', distinct: 400 },
      { name: 'street', type: 'text' },
      { name: 'marital_status', type: 'text' },
      { name: 'created_at', type: 'timestamp with time zone' },
      { name: 'notes', type: 'text' },
      { name: 'data', type: 'jsonb' },
      { name: 'scan', type: 'bytea' },
      { name: 'is_smoker', type: 'boolean' },
      { name: 'mystery', type: 'integer' },
      { name: 'password_hash', type: 'text' },
      { name: 'clarus_row', type: 'bigint' },
    ],
  },
  {
    schema: 'public',
    name: 'visits',
    columns: [
      { name: 'visit_id', type: 'integer', primaryKey: true },
      {
        name: 'patient_id',
        type: 'bigint',
        references: { schema: 'public', table: 'patients', column: 'id' },
      },
      {
        name: 'patient_mrn',
        type: 'text',
        references: { schema: 'public', table: 'patients', column: 'mrn' },
        distinct: 10,
      },
      { name: 'admission_date', type: 'date' },
      { name: 'diagnosis_code', type: 'text' },
      { name: 'weight', type: 'double precision' },
    ],
  },
  {
    schema: 'public',
    name: 'bills',
    columns: [
      { name: 'mrn', type: 'text', references: { schema: 'public', table: 'visits', column: 'patient_mrn' } },
      { name: 'amount', type: 'numeric' },
    ],
  },
];

/** `class protect [queries] domain`, and a mark for a guess. */
function shown(column: ColumnProposal | undefined): string {
  assert.ok(column);
  const { class: columnClass, protect, queries, domain, guess } = column;
  return [
    columnClass,
    protect,
    ...queries,
    ...(domain === undefined ? [] : [`in ${domain}`]),
    ...(guess ? ['?'] : []),
  ].join(' ');
}

function proposed(tables: readonly DescribedTable[]): Record<string, string> {
  const columns = proposeProtection(tables).flatMap(table =>
    table.columns.map(column => [`${table.name}.${column.name}`, shown(column)]),
  );
  return Object.fromEntries(columns);
}

test('the laboratory data are protected as an expert would begin, and columns of few values get no tags', () => {
  assert.deepEqual(proposed([covid]), {
    'covid_test.subject_id': 'identifier encrypt equality',
    'covid_test.fake_first_name': 'identifier encrypt equality',
    'covid_test.fake_last_name': 'identifier encrypt equality',
    'covid_test.gender': 'quasi-identifier encrypt',
    'covid_test.pan_day': 'quasi-identifier encrypt range ?',
    'covid_test.test_id': 'identifier encrypt ?',
    'covid_test.result': 'confidential encrypt',
    'covid_test.age': 'quasi-identifier encrypt range sum',
    'covid_test.ct_result': 'confidential encrypt sum',
    'covid_test.drive_thru_ind': 'confidential encrypt ?',
  });
});

test('columns tied by foreign keys are protected alike and share a domain', () => {
  assert.deepEqual(proposed(hospital), {
    'patients.id': 'non-confidential none',
    'patients.mrn': 'identifier encrypt equality in mrn',
    'patients.name': 'identifier encrypt equality',
    'patients.birthDate': 'quasi-identifier encrypt range',
    'patients.E-Mail': 'identifier encrypt equality',
    'patients.phone_number': 'identifier encrypt equality',
    'patients.zipCode': 'quasi-identifier encrypt equality',
    'patients.street': 'identifier encrypt',
    'patients.marital_status': 'quasi-identifier encrypt',
    'patients.created_at': 'non-confidential none',
    'patients.notes': 'confidential encrypt',
    'patients.data': 'confidential encrypt ?',
    'patients.scan': 'confidential encrypt ?',
    'patients.is_smoker': 'confidential encrypt',
    'patients.mystery': 'confidential encrypt ?',
    'patients.password_hash': 'confidential encrypt',
    'visits.visit_id': 'non-confidential none',
    'visits.patient_id': 'non-confidential none ?',
    'visits.patient_mrn': 'identifier encrypt equality in mrn ?',
    'visits.admission_date': 'quasi-identifier encrypt range',
    'visits.diagnosis_code': 'confidential encrypt',
    'visits.weight': 'confidential encrypt sum',
    'bills.mrn': 'identifier encrypt equality in mrn',
    'bills.amount': 'confidential encrypt sum',
  });
});

test('groups of columns with equal names get domains of their own, and circles of keys end', () => {
  const table = (schema: string): DescribedTable => ({
    schema,
    name: 'person',
    columns: [
      { name: 'ssn', type: 'text', primaryKey: true },
      { name: 'spouse_ssn', type: 'text', references: { schema, table: 'person', column: 'ssn' } },
      { name: 'a_ssn', type: 'text', references: { schema, table: 'person', column: 'b_ssn' } },
      { name: 'b_ssn', type: 'text', references: { schema, table: 'person', column: 'a_ssn' } },
    ],
  });
  const domains = proposeProtection([table('one'), table('two')]).map(({ columns }) =>
    columns.map(({ domain }) => domain),
  );
  assert.deepEqual(domains, [
    ['ssn', 'ssn', 'a_ssn', 'a_ssn'],
    ['person_ssn', 'person_ssn', 'person_a_ssn', 'person_a_ssn'],
  ]);
});

test('whatever a cloud holds, the file that init writes is taken', () => {
  const name = fc
    .string({ unit: 'grapheme', minLength: 1, maxLength: 12 })
    .filter(text => !text.startsWith('pg_') && text !== 'information_schema')
    // PostgreSQL keeps no more (NAMEDATALEN)
    .filter(text => Buffer.byteLength(text) <= 63);
  const type = fc.constantFrom(
    'text',
    'integer',
    'numeric(4,1)',
    'date',
    'timestamp',
    'uuid',
    'jsonb',
    'bytea',
    'text[]',
    'mood',
    'boolean',
  );
  const column = fc.record({
    name,
    type,
    primaryKey: fc.boolean(),
    unique: fc.boolean(),
    distinct: fc.option(fc.integer({ min: -1, max: 100 }), { nil: undefined }),
  });
  const table = fc.record({
    schema: name,
    name,
    rows: fc.nat(),
    columns: fc.uniqueArray(column, { maxLength: 5, selector: ({ name: own }) => own }),
  });
  const tables = fc.uniqueArray(table, {
    minLength: 1,
    maxLength: 3,
    selector: ({ schema, name: own }) => JSON.stringify([schema, own]),
  });
  fc.assert(
    fc.property(tables, described => {
      const proposals = proposeProtection(described);
      const { policy } = parseConfig(writeConfigTemplate({ proposals }), 'clarus.yaml');
      const count = (list: readonly { readonly columns: readonly unknown[] }[]): number =>
        list.reduce((sum, { columns }) => sum + columns.length, 0);
      assert.equal(count(policy.tables), count(described));
    }),
    { numRuns: 100 },
  );
});
