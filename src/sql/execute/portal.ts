/** Portals of protected plans: what Bind makes and Execute runs. */
import { type Awaitable, inOrder } from '../../awaitable.js';
import type { EncodingContext } from '../../encodings/encoding.js';
import { ClarusError } from '../../errors.js';
import type { BoundParameters, ProtectedPlan } from '../plan.js';
import type { ExecuteOutcome, Execution, OutcomeListener, SessionPort } from '../ports.js';
import type { Answering, ReadBody } from './bodies.js';
import type { CopyOutFormat } from './copy-out.js';
import { cannotBeRun, Given } from './given.js';
import { HeldRows } from './held-rows.js';
import { OpeningSink } from './opening.js';
import { protectOperand } from './operands.js';

/** What executions need beside the session. */
export interface ExecutionServices {
  context(session: SessionPort): EncodingContext;
  /** first of `count` consecutive row ids of a table, reserved durably */
  rowIds(table: number, count: number): Promise<number>;
}

/** A portal over protected tables, as the gateway runs it. */
export interface Portal {
  /** @param listener hears how it ended, where it is pipelined */
  execute(maxRows: number, listener: OutcomeListener): Awaitable<Execution>;
  close(): void;
  readonly copyOut?: CopyOutFormat;
}

/** A protected plan with what Bind brought. `portal` is the client's name for it, undefined where it has none. */
export interface Bound {
  readonly plan: ProtectedPlan;
  readonly bound: BoundParameters;
  readonly formats: readonly (0 | 1)[];
  readonly session: SessionPort;
  readonly context: EncodingContext;
  readonly portal: string | undefined;
}

/** A plan that takes no parameters and returns no rows. */
export const unbound = (plan: ProtectedPlan, session: SessionPort, context: EncodingContext): Bound => ({
  plan,
  bound: { values: [], formats: [] },
  formats: [],
  session,
  context,
  portal: undefined,
});

/** One format a column of the answer, from what Bind said (none: text; one: for all). */
export function formatsOf(formats: readonly (0 | 1)[], columns: number): readonly (0 | 1)[] {
  if (formats.length > 1 && formats.length !== columns)
    throw new ClarusError(
      '08P01',
      `bind message has ${formats.length} result formats but query has ${columns} columns`,
    );
  if (formats.length > 1) return formats;
  const same = uniform[formats[0] ?? 0];
  same[columns] ??= new Array<0 | 1>(columns).fill(formats[0] ?? 0);
  return same[columns];
}

/** All text and all binary: the same array for the same number of columns. */
const uniform: readonly [(readonly (0 | 1)[])[], (readonly (0 | 1)[])[]] = [[], []];

/** What was asked last of an answer, and came to. */
const lastFormats = new WeakMap<
  Answering,
  { readonly asked: readonly (0 | 1)[]; readonly cloud: readonly (0 | 1)[] }
>();

/** Formats of the cloud's columns: what is opened comes in binary form, the rest as the client wants it. */
export function cloudFormats(answering: Answering, asked: readonly (0 | 1)[]): readonly (0 | 1)[] {
  const last = lastFormats.get(answering);
  if (last?.asked === asked) return last.cloud;
  const { binary, width } = answering;
  const cloud = Array.from({ length: width }, (_, place) => (binary.has(place) ? 1 : (asked[place] ?? 0)));
  lastFormats.set(answering, { asked, cloud });
  return cloud;
}

/** What a portal was given. */
export const givenOf = ({ plan, bound, session, portal }: Bound): Given =>
  new Given(plan, bound, session, portal);

/** Physical parameters by operand and part. */
export type Operands = readonly (readonly (Uint8Array | null)[])[];

/** Makes the operands of a statement. */
export const bindOperands = (
  operands: ReadBody['operands'],
  given: Given,
  context: EncodingContext,
): Awaitable<Operands> => inOrder(operands, operand => protectOperand(operand, given, context));

/** It is queued: who listens hears how it ended. */
export const pipelined = { kind: 'pipelined' } as const;

/** Rows that are written by row id at a time: bounds messages and memory. */
export const ROWS_MAX = 10_000;

/** A portal's name where it must outlive other statements: any that is not the unnamed one. */
export const named = 'named';

/** A write that runs to its end at its first Execute, whatever limit of rows the client says. */
export class Writing {
  #held: HeldRows | undefined;
  readonly #executions: Executions;

  /** @param run writes, gives what is returned to the sink, and returns the number of rows */
  constructor(
    private readonly bound: Bound,
    private readonly answering: Answering,
    private readonly run: (answers: OpeningSink) => Promise<number>,
  ) {
    this.#executions = new Executions(bound, answering);
  }

  async execute(maxRows: number): Promise<ExecuteOutcome> {
    const { bound, answering } = this;
    const { formats, session, context, plan } = bound;
    const command = plan.command === 'INSERT' ? 'INSERT 0' : plan.command;
    if (this.#executions.over)
      return this.#held?.give(maxRows, session.client, command) ?? this.#executions.again();
    this.#executions.begin(0);
    const held = maxRows > 0 && answering.outputs.length > 0 ? new HeldRows() : undefined;
    const sink = new OpeningSink(answering, formats, session, context, undefined, held);
    const count = await this.run(sink.executes());
    this.#held = held;
    return held?.give(maxRows, session.client, command) ?? { kind: 'complete', tag: `${command} ${count}` };
  }
}

/** How often a portal was executed: what it has run to its end gives no more rows, and writes nothing again. */
export class Executions {
  over = false;

  constructor(
    private readonly bound: Bound,
    private readonly answering: Answering,
  ) {}

  /** @param maxRows 0: to the end; else the server's portal knows where it stands */
  begin(maxRows: number): void {
    this.over = maxRows === 0;
  }

  /** @throws ClarusError 55000 for a write that returns no rows */
  again(): ExecuteOutcome {
    const { plan, portal } = this.bound;
    const returnsRows = plan.command === 'SELECT' || (plan.command !== 'COPY' && this.answering.width > 0);
    if (!returnsRows) throw new ClarusError('55000', cannotBeRun(portal));
    const tag = `${plan.command}${plan.command === 'INSERT' ? ' 0' : ''} 0`;
    return { kind: 'complete', tag };
  }
}
