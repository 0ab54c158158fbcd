#!/usr/bin/env bash
# Installs with apt-get what the heavy suites need: PostgreSQL 15 (server, psql, pgbench), headers and pg_regress
# for PostgreSQL's own regression suite, Debian's drivers and mappers for Python and Java, expect, sqlsmith, systemd-analyze (systemd), and PgBouncer
# for the benchmark.
set -euo pipefail

packages=(
  postgresql-15 postgresql-client-15 postgresql-contrib
  postgresql-server-dev-15 dpkg-dev gcc libc6-dev bzip2 xz-utils
  python3 python3-psycopg2 expect sqlsmith pgbouncer systemd
  python3-psycopg python3-asyncpg python3-sqlalchemy python3-django libpostgresql-jdbc-java openjdk-17-jdk-headless
)
missing=()
for package in "${packages[@]}"; do
  status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
  [[ $status == installed ]] || missing+=("$package")
done
if ((${#missing[@]} == 0)); then
  echo "all of ${packages[*]} are installed"
  exit 0
fi
export DEBIAN_FRONTEND=noninteractive
apt-get -q update
apt-get -q install -y --no-install-recommends "${missing[@]}"
