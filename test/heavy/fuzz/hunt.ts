/**
 * Looks for a planted fault in the sources around it: `hunt.ts FAULT [STATEMENTS SEED]`, by the statement that shows it,
 * or by random ones. Status 3: found, and printed; 0: not found.
 */
import { runDirected } from './directed.js';
import { faults } from './faults.js';
import { fuzz } from './run.js';

const [number, statements, seed] = process.argv.slice(2).map(Number);
const { shown, only } = faults[number!]!;
const found =
  statements === undefined
    ? runDirected([shown])
    : fuzz({ statements, perSchema: 50, seed: seed!, differencesMax: 1, raw: true, only }).then(
        ({ differences }) => differences[0],
      );
found.then(
  difference => {
    if (difference !== undefined) console.log(difference);
    process.exit(difference === undefined ? 0 : 3);
  },
  error => {
    console.error(error);
    process.exit(1);
  },
);
