#!/bin/sh
# Install what the tests need from Debian, where this is possible; otherwise say what will be skipped.
set -u
missing=""
command -v chromium >/dev/null 2>&1 || missing="$missing chromium fonts-dejavu-core"
command -v curl >/dev/null 2>&1 || missing="$missing curl"
ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || command -v initdb >/dev/null 2>&1 || missing="$missing postgresql"
[ -z "$missing" ] && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
  # shellcheck disable=SC2086 - a list of packages
  if { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing; } >/dev/null 2>&1; then
    echo "Installed for the tests:$missing"
    exit 0
  fi
  echo "Installing failed:$missing"
fi
for package in $missing; do
  case $package in
    chromium) echo "SKIPPED: browser tests, for want of chromium (install Debian's package 'chromium' to run them)." ;;
    postgresql) echo "SKIPPED: tests on PostgreSQL, for want of its server (install Debian's package 'postgresql' to run them)." ;;
    curl) echo "SKIPPED: the service's whole story, for want of curl (install Debian's package 'curl' to run it)." ;;
  esac
done
