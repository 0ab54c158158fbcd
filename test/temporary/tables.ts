/** Tables that the tests of temporary tables have beside them. */
export const policy = `unlisted: encrypt
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

export const tables = [
  'CREATE TABLE place (id int PRIMARY KEY, town text)',
  'CREATE TABLE person (id int PRIMARY KEY, town text, name text, amount numeric(8,2))',
  'CREATE TABLE kept (id int PRIMARY KEY, name text, amount numeric)',
  'CREATE SEQUENCE counted',
  "INSERT INTO place VALUES (1, 'Ulm'), (2, 'Bonn'), (3, NULL)",
  "INSERT INTO person VALUES (1, 'Ulm', 'Zaphod', 10.5), (2, 'Bonn', 'Trillian', 20), (3, 'Ulm', NULL, NULL), (4, NULL, 'Marvin', -3)",
  "INSERT INTO kept VALUES (1, 'Zaphod', 1), (2, 'Arthur', 2)",
];

/** Stand in temporary tables and protected columns only. */
export const sentinels = ['Zaphod', 'ZAPHOD', 'Trillian', 'Marvin', 'Arthur', 'Slartibartfast', 'Fenchurch'];
