/** Tables of people that several suites have: what a policy says of them, and rows. */

/** Lines of clarus.yaml: whatever is not named is encrypted, towns are in the clear. More tables may follow. */
export const townsPolicy = `unlisted: encrypt
tables:
  public.place:
    columns:
      id: { protect: none }
      town: { protect: none }
  public.person:
    columns:
      id: { protect: none }
      town: { protect: none }
      name: { class: identifier, protect: encrypt, queries: [equality] }
      amount: { class: confidential, protect: encrypt }`;

/** Rows of `place (id, town)` and of `person (id, town, name, amount)`. */
export const townsRows = [
  "INSERT INTO place VALUES (1, 'Ulm'), (2, 'Bonn'), (3, NULL)",
  "INSERT INTO person VALUES (1, 'Ulm', 'Zaphod', 10.5), (2, 'Bonn', 'Trillian', 20), (3, 'Ulm', NULL, NULL), (4, NULL, 'Marvin', -3)",
];

/** Lines of clarus.yaml: whatever is not named passes. More tables may follow. */
export const secretsPolicy = `unlisted: pass
tables:
  public.person:
    columns:
      id: { protect: none }
      open: { protect: none }
      name: { class: identifier, protect: encrypt, queries: [equality] }
      amount: { class: confidential, protect: encrypt }
  public.secret:
    columns:
      id: { protect: none }
      word: { class: confidential, protect: encrypt }`;

/** The tables, with an open one. */
export const secretsTables = [
  'CREATE TABLE person (id int PRIMARY KEY, open text, name text, amount numeric)',
  'CREATE TABLE secret (id int PRIMARY KEY, word text)',
  'CREATE TABLE plain (id int PRIMARY KEY, note text)',
];

/** Rows of people. */
export const secretsPeople =
  "INSERT INTO person VALUES (1, 'a', 'Zaphod', 10.5), (2, 'b', 'Trillian', 20), (3, 'a', NULL, NULL), (4, NULL, 'Marvin', -3)";

/** Stand in protected columns only. */
export const secretsSentinels = ['Zaphod', 'Trillian', 'Marvin', 'Slartibartfast'];
