#!/bin/sh
# Install what the tests need from Debian, where this is possible; otherwise say what will be skipped.
set -u
missing=""
command -v chromium >/dev/null 2>&1 || missing="$missing chromium"
command -v curl >/dev/null 2>&1 || missing="$missing curl"
ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || command -v initdb >/dev/null 2>&1 || missing="$missing postgresql"
NODE_PATH=${NODE_PATH:-}:/usr/share/nodejs node -e "require('axios'); require('form-data'); require('ws')" >/dev/null 2>&1 ||
  missing="$missing node-axios"
[ -z "$missing" ] && exit 0

packages() {
  case $1 in
    chromium) echo chromium fonts-dejavu-core ;;
    node-axios) echo nodejs node-axios node-form-data node-ws ;;
    *) echo "$1" ;;
  esac
}

consequence() {
  case $1 in
    chromium) echo "browser tests" ;;
    postgresql) echo "tests on PostgreSQL" ;;
    curl) echo "the service's whole story" ;;
    node-axios) echo "the documents' axios client" ;;
  esac
}

able=no
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
  apt-get update -qq >/dev/null 2>&1
  able=yes
fi
for package in $missing; do
  # shellcheck disable=SC2046 - a list of packages
  if [ $able = yes ] &&
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $(packages "$package") >/dev/null 2>&1; then
    echo "Installed for the tests: $(packages "$package")"
  else
    echo "SKIPPED: $(consequence "$package"), for want of $package (install Debian's packages '$(packages "$package")' to run them)."
  fi
done
