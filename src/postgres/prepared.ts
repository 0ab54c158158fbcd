import { ClarusError } from '../errors.js';
import type { HeldRows } from '../sql/execute/held-rows.js';
import type { BoundParameters, Plan } from '../sql/plan.js';
import { mustBeFree } from '../sql/portal-names.js';
import type { ProtectedPortal, Statement } from './planner-port.js';

/** A statement of the client: by Parse, or by PREPARE. */
export interface PreparedStatement {
  readonly statement: Statement;
  readonly parameterTypes: readonly number[];
  plan: Plan;
}

/** A bound statement of the client. */
export interface ClientPortal {
  readonly name: string;
  readonly prepared: PreparedStatement;
  plan: Plan;
  readonly parameters: BoundParameters;
  readonly resultFormats: readonly (0 | 1)[];
  /** place among the portals of the session, in the order in which they were bound */
  order?: number;
  /** a Query of one statement: nothing that could still fail shares its implicit transaction */
  readonly alone: boolean;
  /** what runs it, for plans over protected tables */
  protected: ProtectedPortal | undefined;
  /** the simple protocol describes a result only when the arguments of EXECUTE, and planning, have proven right */
  readonly announce?: (plan: Plan) => void;
  /** name of its portal on the trusted server, once it has begun */
  trusted: string | undefined;
  /** tag with which the trusted side ran it to its end */
  completed?: string;
  /** what it has fetched from a cursor, where the client takes it in parts */
  fetched?: HeldRows;
  /** its last execution */
  execution?: { readonly hasFailed: boolean };
  /** the server skipped its Bind */
  unbound?: true;
}

/** The prepared statements of one client, those of the protocol and those of SQL alike. */
export class PreparedStatements {
  readonly #byName = new Map<string, PreparedStatement>();
  readonly #max: number;

  constructor(max: number) {
    this.#max = max;
  }

  /** @throws ClarusError 42P05 when the name is taken, 54000 when there are too many */
  check(name: string): void {
    if (name === '') return;
    if (this.#byName.has(name)) throw new ClarusError('42P05', `prepared statement "${name}" already exists`);
    if (this.#byName.size >= this.#max) {
      throw new ClarusError('54000', `more than ${this.#max} prepared statements`, {
        hint: 'Deallocate some, or raise limits.prepared_statements_max.',
      });
    }
  }

  put(name: string, statement: PreparedStatement): void {
    this.#byName.set(name, statement);
  }

  has(name: string): boolean {
    return this.#byName.has(name);
  }

  /** @throws ClarusError 26000 */
  get(name: string): PreparedStatement {
    const statement = this.#byName.get(name);
    if (statement !== undefined) return statement;
    throw new ClarusError(
      '26000',
      name === ''
        ? 'unnamed prepared statement does not exist'
        : `prepared statement "${name}" does not exist`,
    );
  }

  delete(name: string): boolean {
    return this.#byName.delete(name);
  }

  clear(): void {
    this.#byName.clear();
  }
}

/**
 * The portals of one client, as they will be when the server has got all that was sent. What ends their transaction
 * forgets them: the servers close their own.
 */
export class ClientPortals {
  /** those with a name */
  readonly #byName = new Map<string, ClientPortal>();
  /** the one without: every statement of most clients */
  #unnamed: ClientPortal | undefined;
  readonly #max: number;
  #bound = 0;
  /** number of portals that were bound when a transaction last ended: none of them can be there again */
  #over = 0;

  constructor(max: number) {
    this.#max = max;
  }

  /** Number of portals bound so far. */
  get bound(): number {
    return this.#bound;
  }

  /** Is there any but this one? */
  hasOthers(portal: ClientPortal): boolean {
    if (this.#unnamed !== undefined && this.#unnamed !== portal) return true;
    return this.#byName.size > (this.#byName.get(portal.name) === portal ? 1 : 0);
  }

  /** Makes room for a portal. @throws ClarusError 42P03 when the name is taken, 42602, 54000 */
  check(name: string): void {
    if (name === '') {
      this.close('');
      return;
    }
    if (this.#byName.has(name)) throw new ClarusError('42P03', `cursor "${name}" already exists`);
    mustBeFree(name);
    if (this.#byName.size >= this.#max) {
      throw new ClarusError('54000', `more than ${this.#max} portals`, {
        hint: 'Close some, or raise limits.portals_max.',
      });
    }
  }

  put(portal: ClientPortal): void {
    portal.order ??= ++this.#bound;
    if (portal.name === '') this.#unnamed = portal;
    else this.#byName.set(portal.name, portal);
  }

  get(name: string): ClientPortal | undefined {
    return name === '' ? this.#unnamed : this.#byName.get(name);
  }

  close(name: string): ClientPortal | undefined {
    const portal = this.get(name);
    if (portal === undefined) return undefined;
    if (name === '') this.#unnamed = undefined;
    else this.#byName.delete(name);
    portal.protected?.close();
    return portal;
  }

  /** Closes all but the one that does so. */
  closeOthers(portal: ClientPortal): void {
    if (this.#unnamed !== portal) this.#unnamed = undefined;
    for (const [name, other] of this.#byName) if (other !== portal) this.#byName.delete(name);
  }

  /** It was not closed. */
  restore(portal: ClientPortal): void {
    if (portal.unbound || portal.order! <= this.#over) return;
    if (this.get(portal.name) === undefined) this.put(portal);
  }

  /** It was not bound. */
  remove(portal: ClientPortal): void {
    portal.unbound = true;
    if (this.get(portal.name) !== portal) return;
    if (portal.name === '') this.#unnamed = undefined;
    else this.#byName.delete(portal.name);
  }

  /** Their transaction ends, or goes back. @param bound those bound first, which stay */
  forget(bound = 0): void {
    if (bound === 0) this.#over = this.#bound;
    if (this.#unnamed !== undefined && this.#unnamed.order! > bound) this.#unnamed = undefined;
    if (this.#byName.size === 0) return;
    for (const [name, { order }] of this.#byName) if (order! > bound) this.#byName.delete(name);
  }
}
