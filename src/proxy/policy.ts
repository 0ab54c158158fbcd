/** The policy of the file against the one in force, without a change anywhere: what a start would do. */
import { adoptPolicy, type Hindered, looksForRows } from '../catalog/adopt.js';
import type { Catalog } from '../catalog/catalog.js';
import type { CatalogNumbers } from '../catalog/derive-input.js';
import type { Encodings } from '../catalog/encodings-for.js';
import type { KeptColumn } from '../catalog/labelled.js';
import type { Reader } from '../catalog/reader.js';
import { diffPolicy } from '../policy/diff.js';
import type { Policy } from '../policy/policy.js';
import { spellingOf } from '../sql/opaque/index.js';

/** What a start with the file's policy would do. */
export interface Proposal {
  /** in words; empty: nothing differs */
  readonly differences: readonly string[];
  /** the tables that keep it from taking effect */
  readonly refused: readonly Hindered[];
  /** what labels have said against the file and would stand */
  readonly kept: readonly KeptColumn[];
  /** what would be in force */
  readonly policy: Policy;
  /** true: the proposal becomes the next version */
  readonly takesEffect: boolean;
}

/** The file's policy with what it is held against. */
export interface ProposalInput {
  readonly catalog: Catalog;
  readonly proposed: Policy;
  /** what the file said when it last took effect; undefined: not known */
  readonly filed: Policy | undefined;
  /** name of the cloud */
  readonly cloud: string;
  readonly registry: Encodings;
  /** for the question whether a table holds rows */
  readonly inCloud: Reader;
  /** one connection to the shadow database, inside a transaction; undefined: there is none before the first start */
  readonly shadow: Reader | undefined;
}

/** Works out what a start with the file's policy would do, by the code that a start runs. */
export async function proposePolicy(input: ProposalInput): Promise<Proposal> {
  const { catalog, proposed, filed, cloud, registry, inCloud, shadow } = input;
  if (catalog.policyVersion === 0 || !shadow)
    return { differences: [], refused: [], kept: [], policy: proposed, takesEffect: true };
  const { refused, kept, policy, changes } = await adoptPolicy({
    catalog,
    policy: proposed,
    filed,
    origin: 'file',
    spellingOf,
    cloud,
    registry,
    numbers: imagined(),
    shadow,
    hasRows: looksForRows(inCloud),
  });
  return {
    differences: diffPolicy(catalog.policy, proposed).map(difference => difference.words),
    refused,
    kept,
    policy,
    takesEffect: refused.length === 0 && changes.length > 0,
  };
}

/** Numbers that nobody keeps. */
function imagined(): CatalogNumbers {
  let last = 0;
  const next = async (): Promise<number> => ++last;
  return { table: next, generation: next, domain: next };
}
