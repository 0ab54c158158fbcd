import { CopyBinaryReader } from './copy-binary.js';
import { CopyCsvReader } from './copy-csv.js';
import type { CopyReader, CopyReaderOptions } from './copy-options.js';
import { CopyTextReader } from './copy-text.js';

export type { CopyReader, CopyReaderOptions, CopyRows } from './copy-options.js';

/** Makes the reader of a format. */
export function copyReader(options: CopyReaderOptions): CopyReader {
  switch (options.format) {
    case 'text':
      return new CopyTextReader(options);
    case 'csv':
      return new CopyCsvReader(options);
    case 'binary':
      return new CopyBinaryReader(options);
  }
}
