/**
 * Steps of applications that Clarus refuses, and what they wait for. A step that passes must go from here, and none may
 * come: the suite fails on both.
 */

/** By policy, application and step. */
export const waiting: Readonly<
  Record<'sensitive' | 'encryptedByDefault', Readonly<Record<string, Readonly<Record<string, string>>>>>
> = {
  sensitive: {},
  encryptedByDefault: {},
};
