/** The laboratory data that the clients load: 15,524 tests (examples/, with its licence). */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** Tests in the file. */
export const laboratoryRows = 15_524;

/** The file, with a header: the copy that the package ships. */
export const laboratoryFile: string = fileURLToPath(
  new URL('../../../examples/data/covid_testing.csv', import.meta.url),
);

/** Rows as fields of text; an empty field is NULL. */
export function laboratoryFields(): (string | null)[][] {
  const lines = readFileSync(laboratoryFile, 'utf8').split(/\r?\n/).slice(1);
  return lines
    .filter(line => line !== '')
    .map(line => line.split(',').map(field => (field === '' ? null : field)));
}
