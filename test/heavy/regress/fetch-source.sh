#!/usr/bin/env bash
# Brings PostgreSQL 15's source package of Debian and the binary packages of the same version into one directory:
# `fetch-source.sh DIRECTORY`. What the suite expects changes between minor versions, so both must agree.
# The system's own lists of sources stay as they are: a private copy asks for source packages.
#   DIRECTORY/downloads  kept between runs
#   DIRECTORY/source     the unpacked source
#   DIRECTORY/root       the unpacked binary packages; PostgreSQL finds its files relative to its programs
set -euo pipefail
directory=$1
mkdir -p "$directory/downloads"
cd "$directory/downloads"

apt_options=(
  -q -o "Dir::Etc::sourcelist=$directory/apt/sources.list" -o "Dir::Etc::sourceparts=$directory/apt/parts"
  -o "Dir::State::Lists=$directory/apt/lists" -o APT::Sandbox::User=root
)
mkdir -p "$directory/apt/parts" "$directory/apt/lists/partial"
: >"$directory/apt/sources.list"
if [[ -f /etc/apt/sources.list ]]; then
  sed -E 's/^deb(\s)(.*)$/deb\1\2\ndeb-src\1\2/' /etc/apt/sources.list >"$directory/apt/sources.list"
fi
for file in /etc/apt/sources.list.d/*.sources; do
  [[ -f $file ]] && sed -E 's/^Types:.*/Types: deb deb-src/' "$file" >"$directory/apt/parts/$(basename "$file")"
done

binaries=(postgresql-15 postgresql-client-15 postgresql-server-dev-15 libpq5 libpq-dev)
unpack() { # VERSION: fails when a package of that version is missing
  local version=$1 package
  rm -rf "$directory/root" "$directory/source"
  [[ -f postgresql-15_$version.dsc ]] ||
    apt-get "${apt_options[@]}" source --download-only --only-source "postgresql-15=$version" || return 1
  for package in "${binaries[@]}"; do
    compgen -G "${package}_${version}_*.deb" >/dev/null ||
      apt-get "${apt_options[@]}" download "$package=$version" || return 1
    dpkg-deb -x "${package}_${version}"_*.deb "$directory/root" || return 1
  done
  dpkg-source --no-check -x "postgresql-15_$version.dsc" "$directory/source" >/dev/null || return 1
  echo "$version" >"$directory/version"
}

if [[ -f $directory/version ]] && unpack "$(<"$directory/version")"; then exit 0; fi
apt-get "${apt_options[@]}" update
versions=$(apt-cache "${apt_options[@]}" showsrc postgresql-15 | sed -n 's/^Version: //p' | sort -Vru)
for version in $versions; do
  echo "PostgreSQL's source package, version $version"
  if unpack "$version"; then exit 0; fi
done
echo "no version of PostgreSQL 15 with source and binary packages can be downloaded" >&2
exit 1
