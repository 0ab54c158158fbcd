/** What planning and executing DDL work with. */

import type { LogicalTable } from '../../catalog/catalog.js';
import type { CatalogNumbers } from '../../catalog/derive-input.js';
import type { EncodingContext } from '../../encodings/encoding.js';
import type { EncodingRegistry } from '../../encodings/registry.js';
import type { ChangingTables } from '../changing.js';
import type { FunctionHomes } from '../functions.js';
import type { ProtectedBody } from '../plan.js';
import type { SessionPort } from '../ports.js';
import type { RawNode } from '../raw/node.js';
import type { Firing } from '../triggers/fire.js';
import type { FiredTriggers, TriggerEvent } from '../triggers/trigger.js';

/** The body of a plan for one DDL statement. */
export interface DdlBody extends ProtectedBody {
  readonly kind: 'ddl';
  readonly node: RawNode;
  /** the statement as the client wrote it: runs in the shadow database only */
  readonly text: string;
  /** OIDs of the types of its parameters */
  readonly parameterTypes: readonly number[];
  /** numbers of those that may hold protected values (`SessionPort.secrets`) */
  readonly secrets: SessionPort['secrets'];
}

/** A row of a query, its values in text form. */
export type TextValues = readonly (Uint8Array | null)[];

/** Runs the queries that DDL holds, as statements of their own. */
export interface QueryRunner {
  /**
   * @param hidden what it computes goes to protected columns: no cloud may see the constants in it
   * @throws ClarusError 0A000 where it cannot be answered, 54000 for more rows than one statement may write
   */
  rows(query: string, hidden: boolean): Promise<readonly TextValues[]>;
  /**
   * Writes rows into all columns of a table.
   * @param table its qualified name
   * @returns how many there were
   */
  fill(table: string, rows: readonly TextValues[]): Promise<number>;
  /** The same for a materialised view that the trusted side fills. */
  fillView(view: LogicalTable, rows: readonly TextValues[]): Promise<void>;
  /** The same for a temporary table. */
  keep(table: string, rows: readonly TextValues[]): Promise<number>;
  /** What a statement fires. */
  firing(fired: FiredTriggers<TriggerEvent>): Pick<Firing, 'statement' | 'mustStandStill'>;
}

/** What DDL needs of the trusted side beyond the session. */
export interface DdlDependencies {
  readonly registry: EncodingRegistry;
  /** homes of the trusted server's built-in functions */
  readonly homes: FunctionHomes;
  readonly numbers: CatalogNumbers;
  /** what one statement may fetch */
  readonly limits: { readonly rows_max: number; readonly bytes_max: number };
  /** name of the cloud, as the policy calls it */
  readonly cloud: string;
  /** told what is about to be locked */
  readonly changing: Pick<ChangingTables, 'begin'>;
  /** keys and state for what opens and seals cells */
  context(session: SessionPort): EncodingContext;
  /**
   * Waits until every commit that another session has begun is in the catalogue, and makes `session.catalog()`
   * at least that new. Called while the session holds the lock on DDL.
   * @throws ClarusError 55P03 when that takes too long
   */
  settle(session: SessionPort): Promise<void>;
}
