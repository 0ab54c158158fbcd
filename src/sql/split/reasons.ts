/** Why a condition stays on the trusted side. */
import { ClarusError } from '../../errors.js';
import { COMPUTE_YOURSELF } from '../columns.js';
import type { Condition } from './carrier-query.js';

/** The reason, and what would take it away. */
export interface Reason {
  readonly text: string;
  /** what the policy says, and where */
  readonly policy?: string;
  readonly hint?: string;
}

/** A condition that the trusted side looks at. */
export interface LeftCondition {
  readonly condition: Condition;
  readonly why: Reason;
}

/**
 * Why the cloud does not answer something.
 * @param plan what would answer it
 * @returns undefined: it does
 */
export async function whyRefused(plan: () => Promise<unknown>): Promise<Reason | undefined> {
  try {
    return (await plan()) === undefined
      ? { text: 'it is not answered by a query over encodings' }
      : undefined;
  } catch (error) {
    if (!(error instanceof ClarusError) || error.code !== '0A000') throw error;
    const { detail } = error.fields;
    // the statement is answered all the same
    const hint = error.fields.hint?.replace(COMPUTE_YOURSELF, '').trim() || undefined;
    return {
      text: error.message,
      ...(detail === undefined ? {} : { policy: detail.replace(/^Policy: /, '') }),
      ...(hint === undefined ? {} : { hint }),
    };
  }
}

/** PostgreSQL looks at it after one that stays, and it may fail for rows that the other takes away. */
export const mayFailEarlier: Reason = {
  text: 'it may fail, and PostgreSQL comes to it after a condition that stays',
};

/** It would show the cloud what may be meant for a protected column. */
export const showsParameter: Reason = {
  text: 'its parameter is read elsewhere too, and may be a value of a protected column',
};

/** It can be looked at once. */
export const ofNoColumn: Reason = { text: 'it reads no column' };
