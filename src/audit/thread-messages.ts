/** Messages between the journal and the thread that writes it. Answers carry the id of the request. */

/** Asked of the thread. */
export type ThreadRequest =
  | { readonly kind: 'append'; readonly id: number; readonly events: Uint8Array }
  | { readonly kind: 'close'; readonly id: number };

/** Answered by the thread; the request 0 is to open the file. */
export type ThreadAnswer =
  | { readonly kind: 'opened' }
  | { readonly kind: 'done'; readonly id: number }
  | {
      readonly kind: 'failed';
      readonly id: number;
      readonly code: string;
      readonly message: string;
      readonly hint: string | undefined;
    };
