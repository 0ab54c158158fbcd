/** Loads the laboratory's tests through the proxy by COPY, with a progress bar. */
import { createReadStream, statSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { BackendClient } from '../../clouds/backend-client.js';
import { tableSql } from './files.js';

const data = fileURLToPath(new URL('../../../examples/data/covid_testing.csv', import.meta.url));

/** @returns milliseconds, or undefined when the table is loaded already */
export async function loadLaboratory(application: BackendClient): Promise<number | undefined> {
  const [there] = await application.simple(
    "SELECT count(*) FROM pg_catalog.pg_class WHERE relname = 'covid_test' AND relkind = 'r'",
  );
  if (textOf(there!, 0) === '1') {
    const [loaded] = await application.simple('SELECT count(*) FROM covid_test');
    if (Number(textOf(loaded!, 0)) > 0) return undefined;
  } else await application.simple(tableSql);
  const size = statSync(data).size;
  let done = 0;
  const begun = performance.now();
  const bar = progressBar();
  async function* chunks(): AsyncGenerator<Uint8Array> {
    for await (const chunk of createReadStream(data)) {
      yield chunk as Uint8Array;
      done += (chunk as Uint8Array).length;
      bar.show(done / size);
    }
  }
  await application.copyIn('COPY covid_test FROM STDIN (FORMAT csv, HEADER true)', chunks());
  bar.end();
  return performance.now() - begun;
}

/** The first row's field as text. */
export function textOf(
  result: { readonly columns: readonly { readonly data: Uint8Array; readonly offsets: Uint32Array }[] },
  column: number,
): string {
  const { data: bytes, offsets } = result.columns[column]!;
  return Buffer.from(bytes.subarray(offsets[0]!, offsets[1]!)).toString();
}

function progressBar(): { show(share: number): void; end(): void } {
  const width = 40;
  const terminal = process.stdout.isTTY === true;
  let shown = -1;
  return {
    show(share) {
      const full = Math.min(width, Math.round(share * width));
      if (full === shown) return;
      shown = full;
      if (terminal)
        process.stdout.write(
          `\r  [${'#'.repeat(full)}${'.'.repeat(width - full)}] ${Math.round(share * 100)} %`,
        );
    },
    end() {
      process.stdout.write(terminal ? '\n' : `  [${'#'.repeat(width)}] 100 %\n`);
    },
  };
}
