/**
 * Steps of applications that Clarus refuses, and what they wait for. A step that passes must go from here, and none may
 * come: the suite fails on both.
 */

const afterQueue = 'pg-boss has no queue';

/** By policy, application and step. */
export const waiting: Readonly<
  Record<'sensitive' | 'encryptedByDefault', Readonly<Record<string, Readonly<Record<string, string>>>>>
> = {
  sensitive: {},
  encryptedByDefault: {
    'pg-boss': {
      'make a queue': 'a function that writes: the type of a parameter within a statement of it',
      maintain: 'a write in WITH over a partitioned table',
      ...Object.fromEntries(
        ['send', 'fetch', 'complete', 'fetch and fail', 'look', 'size', 'queues', 'work'].map(step => [
          step,
          afterQueue,
        ]),
      ),
    },
  },
};
