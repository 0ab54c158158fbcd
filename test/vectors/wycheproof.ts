import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';

/** A test of Project Wycheproof; byte strings are hexadecimal. */
export type WycheproofTest<Field extends string> = {
  readonly tcId: number;
  readonly comment: string;
  readonly result: 'valid' | 'invalid' | 'acceptable';
} & Readonly<Record<Field, string>> & { readonly size?: number };

/** A group of tests of one shape; sizes in bits. */
export interface WycheproofGroup<Field extends string> {
  readonly keySize: number;
  readonly ivSize?: number;
  readonly tagSize?: number;
  readonly tests: readonly WycheproofTest<Field>[];
}

/** Reads `<name>_test.json.gz`. */
export function wycheproof<Field extends string>(name: string): readonly WycheproofGroup<Field>[] {
  const file = readFileSync(new URL(`./${name}_test.json.gz`, import.meta.url));
  const { testGroups } = JSON.parse(gunzipSync(file).toString()) as { testGroups: WycheproofGroup<Field>[] };
  return testGroups;
}

export const fromHex = (digits: string): Uint8Array => new Uint8Array(Buffer.from(digits, 'hex'));
