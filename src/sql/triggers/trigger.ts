/** Triggers of protected tables: what they are. */
import type { LogicalTable } from '../../catalog/catalog.js';

/** What fires a trigger. */
export type TriggerEvent = 'INSERT' | 'UPDATE' | 'DELETE' | 'TRUNCATE';

/** A trigger of users on a protected table. */
export interface Trigger {
  readonly name: string;
  /** OID of its function in the shadow */
  readonly routine: number;
  readonly timing: 'BEFORE' | 'AFTER' | 'INSTEAD OF';
  readonly level: 'ROW' | 'STATEMENT';
  readonly events: readonly TriggerEvent[];
  /** UPDATE OF: names of the columns; empty: any */
  readonly columns: readonly string[];
  /** its condition as SQL; undefined: none */
  readonly when: string | undefined;
  /** OIDs of the functions that it calls */
  readonly whenCalls: ReadonlySet<number>;
  /** TG_ARGV */
  readonly args: readonly string[];
  /** it fires in a session of session_replication_role `origin` */
  readonly enabled: boolean;
  /** it is a constraint trigger that may fire when the transaction ends */
  readonly isDeferrable: boolean;
  /** it was made for a partition because its table has it */
  readonly isClone: boolean;
  /** REFERENCING OLD TABLE AS, NEW TABLE AS */
  readonly oldTable: string | undefined;
  readonly newTable: string | undefined;
}

/** The triggers that one statement fires on the table that it writes. */
export interface FiredTriggers<Event extends TriggerEvent = Exclude<TriggerEvent, 'TRUNCATE'>> {
  readonly table: LogicalTable;
  readonly event: Event;
  /** in the order of their names; none where it is only looked for conflicts (exclusions/) */
  readonly triggers: readonly Trigger[];
}

/** Those of a moment, in the order of their names. */
export const triggersAt = (
  { triggers }: { readonly triggers: readonly Trigger[] },
  timing: Trigger['timing'],
  level: Trigger['level'],
): readonly Trigger[] => triggers.filter(t => t.timing === timing && t.level === level);
