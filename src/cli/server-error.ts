/** What the proxy answers with an error, as psql shows it. */
import type pg from 'pg';

/** A line each for message, detail and hint; the detail of a refusal holds the line of the policy. */
export const serverErrorLines = ({ severity, message, detail, hint }: pg.DatabaseError): string =>
  [
    `${severity ?? 'ERROR'}:  ${message}`,
    ...(detail ? [`DETAIL:  ${detail}`] : []),
    ...(hint ? [`HINT:  ${hint}`] : []),
    '',
  ].join('\n');
