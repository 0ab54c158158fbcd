import type { Theme } from './theme.js';

export const theme: Theme = {
  cases: [
    {
      steps: [
        'BEGIN',
        'DECLARE c CURSOR FOR SELECT id, upper(name) FROM staff ORDER BY id',
        'FETCH 2 FROM c',
        'FETCH NEXT FROM c',
        'MOVE 1 FROM c',
        'FETCH ALL FROM c',
        'CLOSE c',
        'COMMIT',
      ],
    },
    {
      steps: [
        'BEGIN',
        "DECLARE c SCROLL CURSOR FOR SELECT id, name FROM staff WHERE name = 'Ann Arryn' ORDER BY id",
        'FETCH LAST FROM c',
        'FETCH FIRST FROM c',
        'FETCH BACKWARD ALL FROM c',
        'FETCH ABSOLUTE 2 FROM c',
        'FETCH RELATIVE -1 FROM c',
        'COMMIT',
      ],
    },
    {
      steps: [
        'BEGIN',
        'DECLARE h CURSOR WITH HOLD FOR SELECT sum(salary) FROM staff',
        'COMMIT',
        'FETCH ALL FROM h',
        'CLOSE h',
      ],
    },
    { steps: ['DECLARE x CURSOR FOR SELECT upper(name) FROM staff'] },
    { steps: ['BEGIN', 'FETCH 1 FROM nosuch', 'ROLLBACK'] },
  ],
};
