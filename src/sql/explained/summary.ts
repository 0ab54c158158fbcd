/** What EXPLAIN ANALYZE adds of a statement that is not run by the server that plans it. */
import type { ExplainOptions } from './options.js';

/** @param time_ms that the whole statement took, its plan aside */
export function withExecutionTime(
  lines: readonly string[],
  time_ms: number,
  { format }: Pick<ExplainOptions, 'format'>,
): readonly string[] {
  const time = time_ms.toFixed(3);
  switch (format) {
    case 'text':
      return [...lines, `Execution Time: ${time} ms`];
    case 'json':
      return lines.map(text => text.replace(/\n( *)\}\s*\]\s*$/, `,\n$1  "Execution Time": ${time}\n$1}\n]`));
    case 'xml':
      return lines.map(text =>
        text.replace(/\n( *)<\/Query>\s*<\/explain>\s*$/, `\n$1  <Execution-Time>${time}</Execution-Time>$&`),
      );
    case 'yaml':
      return lines.map(text => `${text}\n  Execution Time: ${time}`);
  }
}
