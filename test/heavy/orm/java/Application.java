// JDBC: prepared statements, batches, generated keys, fetch sizes, savepoints, metadata of the database.
// `java -cp postgresql.jar Application.java`, the address in PGHOST, PGPORT, PGDATABASE, PGUSER and PGPASSWORD.

import java.math.BigDecimal;
import java.sql.Array;
import java.sql.Connection;
import java.sql.Date;
import java.sql.DatabaseMetaData;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.ResultSetMetaData;
import java.sql.SQLException;
import java.sql.Savepoint;
import java.sql.Statement;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

public class Application {
  interface Step {
    Object run() throws Exception;
  }

  static Connection connection;

  public static void main(String[] arguments) throws Exception {
    String url = "jdbc:postgresql://" + variable("PGHOST") + ":" + variable("PGPORT") + "/" + variable("PGDATABASE");
    connection = DriverManager.getConnection(url, variable("PGUSER"), variable("PGPASSWORD"));
    Map<String, Step> steps = new LinkedHashMap<>();
    steps.put("migrate", Application::migrate);
    steps.put("metadata", Application::metadata);
    steps.put("insert", Application::insert);
    steps.put("related", Application::related);
    steps.put("read", Application::read);
    steps.put("described", Application::described);
    steps.put("batch", Application::batch);
    steps.put("array", Application::array);
    steps.put("fetch size", Application::fetchSize);
    steps.put("scrollable and updatable", Application::updatable);
    steps.put("update", Application::update);
    steps.put("update with an expression", Application::updateWithExpression);
    steps.put("savepoint", Application::savepoint);
    steps.put("violated key", Application::violatedKey);
    steps.put("delete", Application::delete);
    steps.put("drop", Application::drop);
    for (Map.Entry<String, Step> step : steps.entrySet()) {
      try {
        print("{\"step\": " + json(step.getKey()) + ", \"gives\": " + json(step.getValue().run()) + "}");
      } catch (SQLException error) {
        String message = error.getMessage().split("\n")[0];
        print("{\"step\": " + json(step.getKey()) + ", \"code\": " + json(error.getSQLState()) + ", \"error\": " + json(message) + "}");
        if (!connection.getAutoCommit()) {
          connection.rollback();
          connection.setAutoCommit(true);
        }
      }
    }
    connection.close();
  }

  static Object migrate() throws SQLException {
    connection.setAutoCommit(false);
    try (Statement statement = connection.createStatement()) {
      statement.execute(
          "CREATE TABLE customers (id serial PRIMARY KEY, name varchar(80) NOT NULL, email text NOT NULL UNIQUE,"
              + " birthday date, active boolean NOT NULL DEFAULT true)");
      statement.execute(
          "CREATE TABLE orders (id bigserial PRIMARY KEY, customer_id integer NOT NULL REFERENCES customers (id)"
              + " ON DELETE CASCADE, amount numeric(12, 2) NOT NULL, notes text)");
      statement.execute("CREATE INDEX orders_customer ON orders (customer_id)");
      statement.execute("COMMENT ON COLUMN orders.amount IS 'in euros'");
    }
    connection.commit();
    connection.setAutoCommit(true);
    return null;
  }

  static Object metadata() throws SQLException {
    DatabaseMetaData data = connection.getMetaData();
    List<Object> seen = new ArrayList<>();
    seen.add(rows(data.getSchemas()));
    seen.add(rows(data.getTables(null, "public", "%", new String[] {"TABLE", "VIEW"})));
    seen.add(rows(data.getColumns(null, "public", "%", "%")));
    seen.add(rows(data.getPrimaryKeys(null, "public", "customers")));
    seen.add(rows(data.getImportedKeys(null, "public", "orders")));
    seen.add(rows(data.getExportedKeys(null, "public", "customers")));
    seen.add(rows(data.getIndexInfo(null, "public", "orders", false, false)));
    seen.add(rows(data.getBestRowIdentifier(null, "public", "orders", DatabaseMetaData.bestRowSession, true)));
    seen.add(rows(data.getTablePrivileges(null, "public", "orders")));
    seen.add(rows(data.getColumnPrivileges(null, "public", "orders", "%")));
    seen.add(rows(data.getFunctions(null, "public", "%")));
    seen.add(rows(data.getTableTypes()));
    seen.add(rows(data.getUDTs(null, "public", "%", null)));
    seen.add(rows(data.getTypeInfo()).size());
    return seen;
  }

  static Object insert() throws SQLException {
    String text = "INSERT INTO customers (name, email, birthday) VALUES (?, ?, ?)";
    List<Object> keys = new ArrayList<>();
    try (PreparedStatement statement = connection.prepareStatement(text, Statement.RETURN_GENERATED_KEYS)) {
      for (int i = 0; i < 2; i++) {
        statement.setString(1, i == 0 ? "Quillfeather Ada" : "Brambleworth Grace");
        statement.setString(2, i == 0 ? "ada@quillfeather.test" : "grace@brambleworth.test");
        statement.setDate(3, i == 0 ? Date.valueOf("1961-12-09") : null);
        statement.executeUpdate();
        keys.add(rows(statement.getGeneratedKeys()));
      }
    }
    return keys;
  }

  static Object related() throws SQLException {
    connection.setAutoCommit(false);
    List<List<String>> found = query("SELECT id FROM customers WHERE email = ?", "ada@quillfeather.test");
    String text = "INSERT INTO orders (customer_id, amount, notes) VALUES (?, ?, ?) RETURNING id, amount, notes";
    Object made;
    try (PreparedStatement statement = connection.prepareStatement(text)) {
      statement.setInt(1, Integer.parseInt(found.get(1).get(0)));
      statement.setBigDecimal(2, new BigDecimal("48151623.42"));
      statement.setString(3, "sentinel note by JDBC");
      made = rows(statement.executeQuery());
    }
    connection.commit();
    connection.setAutoCommit(true);
    return made;
  }

  static Object read() throws SQLException {
    List<Object> seen = new ArrayList<>();
    // The driver names its statements after five executions, and asks in binary.
    for (int i = 0; i < 7; i++)
      seen.add(query("SELECT c.id, c.name, c.birthday, o.amount FROM customers c LEFT JOIN orders o ON o.customer_id = c.id WHERE c.email = ?", "ada@quillfeather.test"));
    seen.add(query("SELECT id, name FROM customers WHERE name ILIKE ? ORDER BY name", "%quill%"));
    return seen;
  }

  static Object described() throws SQLException {
    List<Object> seen = new ArrayList<>();
    try (PreparedStatement statement = connection.prepareStatement("SELECT id, name, birthday FROM customers WHERE email = ?")) {
      ResultSetMetaData data = statement.getMetaData();
      for (int i = 1; i <= data.getColumnCount(); i++)
        seen.add(Arrays.asList(data.getColumnName(i), data.getColumnTypeName(i), data.getTableName(i), data.getSchemaName(i), data.isNullable(i), data.isAutoIncrement(i), data.getPrecision(i)));
      seen.add(statement.getParameterMetaData().getParameterTypeName(1));
    }
    return seen;
  }

  static Object batch() throws SQLException {
    connection.setAutoCommit(false);
    int[] counts;
    try (PreparedStatement statement = connection.prepareStatement("INSERT INTO orders (customer_id, amount, notes) VALUES (?, ?, ?)")) {
      for (int i = 1; i <= 20; i++) {
        statement.setInt(1, 2);
        statement.setBigDecimal(2, new BigDecimal(i).movePointLeft(1));
        statement.setString(3, "sentinel note " + i + " by JDBC");
        statement.addBatch();
      }
      counts = statement.executeBatch();
    }
    connection.commit();
    connection.setAutoCommit(true);
    return Arrays.toString(counts);
  }

  static Object array() throws SQLException {
    Array emails = connection.createArrayOf("text", new String[] {"ada@quillfeather.test", "nobody@nowhere.test"});
    try (PreparedStatement statement = connection.prepareStatement("SELECT name FROM customers WHERE email = ANY (?)")) {
      statement.setArray(1, emails);
      return rows(statement.executeQuery());
    }
  }

  static Object fetchSize() throws SQLException {
    connection.setAutoCommit(false);
    try (Statement statement = connection.createStatement()) {
      statement.setFetchSize(3);
      return rows(statement.executeQuery("SELECT id, notes FROM orders WHERE customer_id = 2"));
    } finally {
      connection.commit();
      connection.setAutoCommit(true);
    }
  }

  static Object updatable() throws SQLException {
    try (Statement statement = connection.createStatement(ResultSet.TYPE_SCROLL_INSENSITIVE, ResultSet.CONCUR_UPDATABLE)) {
      ResultSet found = statement.executeQuery("SELECT id, notes FROM orders WHERE id = 1");
      found.first();
      found.updateString("notes", "sentinel note by JDBC, changed in place");
      found.updateRow();
    }
    return query("SELECT notes FROM orders WHERE id = CAST(? AS int)", "1");
  }

  static Object update() throws SQLException {
    try (PreparedStatement statement = connection.prepareStatement("UPDATE customers SET name = ?, birthday = ? WHERE email = ?")) {
      statement.setString(1, "Quillfeather Augusta");
      statement.setDate(2, Date.valueOf("1961-12-10"));
      statement.setString(3, "ada@quillfeather.test");
      return statement.executeUpdate();
    }
  }

  static Object updateWithExpression() throws SQLException {
    connection.setAutoCommit(false);
    try (Statement statement = connection.createStatement()) {
      return statement.executeUpdate("UPDATE orders SET amount = amount + 1 WHERE customer_id = 2");
    } finally {
      connection.rollback();
      connection.setAutoCommit(true);
    }
  }

  static Object savepoint() throws SQLException {
    connection.setAutoCommit(false);
    try (Statement statement = connection.createStatement()) {
      Savepoint before = connection.setSavepoint();
      statement.executeUpdate("DELETE FROM orders");
      connection.rollback(before);
      return rows(statement.executeQuery("SELECT count(*) FROM orders"));
    } finally {
      connection.commit();
      connection.setAutoCommit(true);
    }
  }

  static Object violatedKey() throws SQLException {
    try (Statement statement = connection.createStatement()) {
      statement.executeUpdate("INSERT INTO customers (name, email) VALUES ('Other', 'grace@brambleworth.test')");
      return "no error";
    } catch (SQLException error) {
      return error.getSQLState();
    }
  }

  static Object delete() throws SQLException {
    try (PreparedStatement statement = connection.prepareStatement("DELETE FROM customers WHERE email = ?")) {
      statement.setString(1, "ada@quillfeather.test");
      return statement.executeUpdate();
    }
  }

  static Object drop() throws SQLException {
    try (Statement statement = connection.createStatement()) {
      statement.execute("DROP TABLE orders, customers");
    }
    return null;
  }

  static List<List<String>> query(String text, String parameter) throws SQLException {
    try (PreparedStatement statement = connection.prepareStatement(text)) {
      statement.setString(1, parameter);
      return rows(statement.executeQuery());
    }
  }

  /** The names of the columns, then the rows as text. */
  static List<List<String>> rows(ResultSet found) throws SQLException {
    List<List<String>> rows = new ArrayList<>();
    int columns = found.getMetaData().getColumnCount();
    List<String> names = new ArrayList<>();
    for (int i = 1; i <= columns; i++) names.add(found.getMetaData().getColumnLabel(i));
    rows.add(names);
    while (found.next()) {
      List<String> row = new ArrayList<>();
      for (int i = 1; i <= columns; i++) row.add(found.getString(i));
      rows.add(row);
    }
    found.close();
    return rows;
  }

  static String variable(String name) {
    return System.getenv(name);
  }

  static void print(String line) {
    System.out.println(line);
  }

  static String json(Object value) {
    if (value == null) return "null";
    if (value instanceof List) {
      StringBuilder text = new StringBuilder("[");
      for (Object item : (List<?>) value) text.append(text.length() > 1 ? ", " : "").append(json(item));
      return text.append("]").toString();
    }
    if (value instanceof Number || value instanceof Boolean) return value.toString();
    String escaped = value.toString().replace("\\", "\\\\").replace("\"", "\\\"").replace("\n", "\\n").replace("\t", "\\t");
    return "\"" + escaped + "\"";
  }
}
