/** Structured log lines on standard error: one JSON object a line, no values of the data. */
export type Log = (
  level: 'info' | 'warning' | 'error',
  message: string,
  fields?: Readonly<Record<string, string | number | boolean>>,
) => void;

/** For `clarus run`: each line with its time (ISO 8601, UTC). */
export const jsonLog: Log = (level, message, fields) => {
  process.stderr.write(`${JSON.stringify({ time: new Date().toISOString(), level, message, ...fields })}\n`);
};

/** For commands with people before them: problems only, in words. */
export const quietLog: Log = (level, message, fields) => {
  if (level === 'info') return;
  const more = Object.values(fields ?? {}).join(' ');
  process.stderr.write(`${level}: ${message}${more ? ` (${more})` : ''}\n`);
};
