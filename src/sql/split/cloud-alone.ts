/**
 * Refusals of statements that are finished on the trusted side and ask for what the cloud alone answers. Why encodings do not answer
 * such a statement is not why it is refused.
 */
import { ClarusError } from '../../errors.js';

/** What stands for which refusal. */
const causes = new WeakMap<object, ClarusError>();

/** Is an error that refusal, or one that stands for it? */
export const isCause = (error: unknown, cause: ClarusError): boolean =>
  error === cause || (error instanceof ClarusError && causes.get(error) === cause);

/** The refusal of a sequence. @param cause why encodings do not answer the statement */
export const asksSequence = (cause: ClarusError): ClarusError =>
  instead(cause, 'a sequence is asked for values in a statement that is finished on the trusted side', {
    hint: 'Ask for the value in a statement of its own, or let the default of a column take it; ALTER SEQUENCE ... OWNED BY brings it to the side of a protected column.',
  });

/** The refusal of a function. @param cause why encodings do not answer the statement */
export const asksCloud = (cause: ClarusError): ClarusError =>
  instead(
    cause,
    'a function that the cloud alone can run is called in a statement that is finished on the trusted side',
    {
      hint: 'Call it in a statement of its own.',
    },
  );

function instead(cause: ClarusError, message: string, { hint }: { readonly hint: string }): ClarusError {
  const { detail, ...fields } = cause.fields;
  const because = `Encodings do not answer it: ${cause.message}.`;
  const error = new ClarusError('0A000', message, {
    ...fields,
    detail: detail === undefined ? because : `${because} ${detail}`,
    hint,
  });
  causes.set(error, cause);
  return error;
}
