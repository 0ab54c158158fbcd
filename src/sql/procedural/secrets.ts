/**
 * Which values of a statement come to the cloud in the clear. A variable may hold what depends on a protected column; in
 * a plan it may go to protected columns and to the trusted side.
 */
import type { CloudStatement } from '../compilation.js';
import type { InsertBody, ReadBody, UpdateBody } from '../execute/bodies.js';
import type { Plan } from '../plan.js';
import { type RawNode, rewrite } from '../raw/node.js';

/**
 * Could a plan bring one of these parameters to the cloud in the clear?
 * @param secrets numbers of parameters, from 1
 */
export function showsAny(plan: Plan, secrets: ReadonlySet<number>): boolean {
  if (plan.kind === 'trusted') return false;
  if (plan.kind !== 'protected') return true;
  switch (plan.body.kind) {
    case 'read':
      return sends((plan.body as ReadBody).cloud, secrets);
    case 'insert':
      return sends((plan.body as InsertBody).cloud, secrets);
    case 'update': {
      const { lock, cloud } = plan.body as UpdateBody;
      return sends(lock, secrets) || sends(cloud, secrets);
    }
    case 'calls':
      return false;
    default:
      return true;
  }
}

const sends = ({ parameters }: CloudStatement, secrets: ReadonlySet<number>): boolean =>
  parameters.some(source => source.kind === 'client' && secrets.has(source.index + 1));

/**
 * Parameters as subqueries: PostgreSQL evaluates them when the statement begins, so they are no constants that it could
 * carry to an unprotected column, and carriers are asked by them as by values of rows, which go to no cloud.
 */
export const hidden = (raw: RawNode, secrets: ReadonlySet<number>): RawNode =>
  rewrite(raw, (kind, fields) => {
    if (kind !== 'ParamRef' || !secrets.has((fields.number as number | undefined) ?? 0)) return undefined;
    return {
      SubLink: {
        subLinkType: 'EXPR_SUBLINK',
        subselect: {
          SelectStmt: {
            targetList: [{ ResTarget: { val: { ParamRef: fields } } }],
            limitOption: 'LIMIT_OPTION_DEFAULT',
            op: 'SETOP_NONE',
          },
        },
      },
    };
  });
