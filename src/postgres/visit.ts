import { decodeFrontend } from '../wire/decode-frontend.js';
import type { FrameReader } from '../wire/frame-reader.js';
import { frontendTypes } from '../wire/protocol.js';
import { adoptStatements } from './adoption.js';
import type { CarefulContext } from './context.js';
import { expects, internal } from './expectations.js';
import type { ModeHost } from './mode.js';
import { restOf } from './pass-through.js';

/** The stay of a careful session where no table is protected: it is there only for statements to Clarus itself. */
export class Visit {
  readonly #context: CarefulContext;
  readonly #host: Pick<ModeHost, 'becomePassThrough'>;
  #goesOn: boolean;
  /** messages were taken that no Sync has followed yet */
  #inBatch = false;

  constructor(context: CarefulContext, host: Pick<ModeHost, 'becomePassThrough'>) {
    this.#context = context;
    this.#host = host;
    this.#goesOn = context.options.catalog().passThrough;
  }

  /** The database had no protected table when that was last asked. */
  get goesOn(): boolean {
    return this.#goesOn;
  }

  /** The next message begins a batch, before which the visit may end. */
  get isBetweenBatches(): boolean {
    return this.#goesOn && !this.#inBatch;
  }

  /** The client's Sync has come. */
  synced(): void {
    this.#inBatch = false;
  }

  /** A message begins a batch: does the visit end, and how? @returns false when the session has left for pass-through */
  async begin(reader: FrameReader): Promise<boolean> {
    const { cloud, transaction, options, output } = this.#context;
    const { pipeline, statements } = cloud;
    await pipeline.drained();
    const { type } = reader;
    if (this.#context.status === 'I' && !transaction.block) {
      if (options.catalog().passThrough && !this.#isForClarus(reader)) {
        statements.close();
        pipeline.sync(internal(expects.sync));
        await pipeline.drained();
        // asked again: the catalogue may have changed meanwhile
        if (options.catalog().passThrough) {
          output.flush();
          this.#host.becomePassThrough(restOf(reader), pipeline.takeRest());
          return false;
        }
      }
      if (!options.catalog().passThrough) {
        this.#goesOn = false;
        await adoptStatements(this.#context);
      }
    }
    this.#inBatch = type !== frontendTypes.query && type !== frontendTypes.sync;
    return true;
  }

  /** Does a message that begins a batch concern a statement to Clarus itself? */
  #isForClarus(reader: FrameReader): boolean {
    const { options, statements } = this.#context;
    const message = decodeFrontend(reader.type, reader.buffer, reader.body, reader.end);
    switch (message.kind) {
      case 'Query':
      case 'Parse':
        return /clarus/i.test(message.sql) && options.planner.speaksToClarus(message.sql);
      case 'Bind':
        return statements.has(message.statement);
      case 'Describe':
      case 'Close':
        return message.target === 'statement' && statements.has(message.name);
      case 'Sync':
      case 'Flush':
        return true;
      default:
        return false;
    }
  }
}
