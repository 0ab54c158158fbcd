/** Messages between the journal and the thread that writes it. Answers carry the id of the request. */

export type ThreadRequest =
  | { readonly kind: 'append'; readonly id: number; readonly events: Uint8Array }
  | { readonly kind: 'close'; readonly id: number };

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
