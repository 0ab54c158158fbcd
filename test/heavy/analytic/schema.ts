/** A shop's orders and items, and the policy that protects what is sensitive of them. */

/** What people are called, how they are reached, what they owe and pay is protected; keys are partly tagged. */
export const policy = `unlisted: refuse
limits: { split_rows_max: 100000000 }
tables:
  region:
    columns:
      id: { protect: none }
      name: { protect: none }
  country:
    columns:
      id: { protect: none }
      region_id: { protect: none }
      name: { protect: none }
  customer:
    columns:
      id: { queries: [equality], domain: customer }
      country_id: { protect: none }
      segment: { queries: [equality] }
      name: {}
      phone: { queries: [equality] }
      born: {}
      balance: {}
      comment: {}
  supplier:
    columns:
      id: { protect: none }
      country_id: { protect: none }
      name: {}
      phone: {}
      balance: {}
      comment: {}
  part:
    columns:
      id: { protect: none }
      brand: { protect: none }
      kind: { protect: none }
      name: {}
      size: { queries: [equality] }
      price: {}
  offer:
    columns:
      part_id: { protect: none }
      supplier_id: { protect: none }
      available: {}
      cost: {}
  orders:
    columns:
      id: { queries: [equality], domain: order }
      customer_id: { queries: [equality], domain: customer }
      status: { protect: none }
      priority: { protect: none }
      placed: {}
      clerk: { queries: [equality] }
      total: {}
      comment: {}
  item:
    columns:
      order_id: { queries: [equality], domain: order }
      line: { protect: none }
      part_id: { protect: none }
      supplier_id: { protect: none }
      mode: { protect: none }
      returned: { protect: none }
      quantity: {}
      price: {}
      discount: {}
      tax: {}
      shipped: {}
      due: {}
      received: {}
`;

/** Tables, in the order in which they can be filled, and a view. */
export const ddl: readonly string[] = [
  'CREATE TABLE region (id int PRIMARY KEY, name text NOT NULL)',
  'CREATE TABLE country (id int PRIMARY KEY, region_id int NOT NULL REFERENCES region, name text NOT NULL)',
  `CREATE TABLE customer (id int PRIMARY KEY, country_id int NOT NULL REFERENCES country, segment text NOT NULL,
     name text NOT NULL, phone varchar(20) NOT NULL, born date, balance numeric(12, 2) NOT NULL, comment text)`,
  `CREATE TABLE supplier (id int PRIMARY KEY, country_id int NOT NULL REFERENCES country, name text NOT NULL,
     phone varchar(20) NOT NULL, balance numeric(12, 2) NOT NULL, comment text)`,
  `CREATE TABLE part (id int PRIMARY KEY, brand text NOT NULL, kind text NOT NULL, name text NOT NULL,
     size int NOT NULL, price numeric(12, 2) NOT NULL)`,
  `CREATE TABLE offer (part_id int REFERENCES part, supplier_id int REFERENCES supplier, available int NOT NULL,
     cost numeric(12, 2) NOT NULL, PRIMARY KEY (part_id, supplier_id))`,
  `CREATE TABLE orders (id bigint PRIMARY KEY, customer_id int NOT NULL REFERENCES customer, status char(1) NOT NULL,
     priority int NOT NULL, placed date NOT NULL, clerk text NOT NULL, total numeric(12, 2) NOT NULL, comment text)`,
  `CREATE TABLE item (order_id bigint NOT NULL REFERENCES orders, line int NOT NULL, part_id int NOT NULL,
     supplier_id int NOT NULL, mode text NOT NULL, returned boolean NOT NULL, quantity int NOT NULL,
     price numeric(12, 2) NOT NULL, discount numeric(4, 2) NOT NULL, tax numeric(4, 2) NOT NULL,
     shipped date NOT NULL, due date NOT NULL, received date, PRIMARY KEY (order_id, line))`,
  `CREATE VIEW revenue AS
     SELECT supplier_id, sum(price * (1 - discount)) AS total FROM item
      WHERE shipped >= '2024-01-01' AND shipped < '2025-01-01' GROUP BY supplier_id`,
];
