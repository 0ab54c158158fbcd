import type { OutputColumn } from '../sql/plan.js';
import type { Analysis } from '../sql/ports.js';
import { decodeBackend } from '../wire/decode-backend.js';
import { frontendTypes } from '../wire/protocol.js';
import { expects, internal } from './expectations.js';
import type { Pipeline } from './pipeline.js';
import { writeParse } from './server-statements.js';

/**
 * Settings of the trusted connection by which it reports its analysis in notices (elog_node_display), and evaluates
 * constants of a statement that it only binds. It waits for no lock for ever: whoever holds it may wait in the cloud
 * for this session, a deadlock that no server sees.
 */
export const analysisSettings: ReadonlyMap<string, string> = new Map([
  ['debug_print_parse', 'on'],
  ['debug_print_rewritten', 'on'],
  ['debug_pretty_print', 'off'],
  ['client_min_messages', 'log'],
  ['plan_cache_mode', 'force_custom_plan'],
  ['lock_timeout', '5s'],
]);

/**
 * Lets the trusted PostgreSQL analyse a statement: Parse and Describe, nothing is executed.
 * @throws PostgresError what is wrong with the statement, position in `sql`
 */
export function analyse(
  pipeline: Pipeline,
  sql: string,
  parameterTypes: readonly number[],
): Promise<Analysis> {
  return new Promise((resolve, reject) => {
    const parsed: string[] = [];
    const rewritten: string[] = [];
    let types: readonly number[] = [];
    let columns: readonly OutputColumn[] | undefined;
    const { writer } = pipeline;
    writeParse(writer, '', sql, parameterTypes, true);
    pipeline.expect(
      internal(expects.parse, {
        failed: reject,
        notice({ message, detail = '' }) {
          if (message === 'parse tree:') parsed.push(detail);
          else if (message === 'rewritten parse tree:') rewritten.push(detail);
        },
      }),
    );
    writer.begin(frontendTypes.describe);
    writer.uint8(0x53);
    writer.cstring('');
    writer.end();
    pipeline.expect(
      internal(expects.describe, {
        failed: reject,
        notice: () => undefined,
        message(type, buffer, body, end) {
          const message = decodeBackend(type, buffer, body, end);
          if (message.kind === 'ParameterDescription') types = message.types;
          if (message.kind === 'RowDescription') {
            columns = message.fields.map(({ attribute, format: _, ...field }) => ({
              ...field,
              attnum: attribute,
            }));
          }
        },
        done: () => resolve({ shape: { parameterTypes: types, columns }, parsed, rewritten }),
      }),
    );
    pipeline.sync(internal(expects.sync));
    pipeline.send();
  });
}

/** Notices of these severities are there for the analysis only. */
export const isLog = (severity: string): boolean => severity === 'LOG' || severity.startsWith('DEBUG');
