/** Reading where the built-in functions of a trusted PostgreSQL are at home. */
import { collect } from './execute/collect.js';
import { statement } from './execute/convert.js';
import { type FunctionHomes, functionHomes, functionHomesQuery } from './functions.js';
import type { StatementPort } from './ports.js';

/** @param trusted a backend of the trusted PostgreSQL. @throws PostgresError */
export async function readFunctionHomes(trusted: StatementPort): Promise<FunctionHomes> {
  const rows = await collect(trusted, statement(functionHomesQuery, []), [], [], [0]);
  return functionHomes(
    rows.map(row => row.map(field => Buffer.from(field ?? []).toString()) as [string, string, string]),
  );
}
