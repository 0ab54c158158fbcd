/** What planning and executing DDL work with. */
import type { CatalogNumbers } from '../../catalog/derive.js';
import type { EncodingRegistry } from '../../encodings/registry.js';
import type { FunctionHomes } from '../functions.js';
import type { ProtectedBody, SessionPort } from '../plan.js';
import type { RawNode } from '../raw/node.js';

/** The body of a plan for one DDL statement. */
export interface DdlBody extends ProtectedBody {
  readonly kind: 'ddl';
  readonly node: RawNode;
  /** the statement as the client wrote it: runs in the shadow database only */
  readonly text: string;
}

/** What DDL needs of the trusted side beyond the session. */
export interface DdlDependencies {
  readonly registry: EncodingRegistry;
  /** homes of the trusted server's built-in functions */
  readonly homes: FunctionHomes;
  readonly numbers: CatalogNumbers;
  /** name of the cloud, as the policy calls it */
  readonly cloud: string;
  /**
   * Waits until every commit that another session has begun is in the catalogue, and makes `session.catalog()`
   * at least that new. Called while the session holds the lock on DDL.
   * @throws ClarusError 55P03 when that takes too long
   */
  settle(session: SessionPort): Promise<void>;
}
