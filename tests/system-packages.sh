#!/bin/sh
# Install what the browser tests need from Debian, where this is possible; otherwise say what will be skipped.
set -u
if command -v chromium >/dev/null 2>&1; then exit 0; fi
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
  if { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium fonts-dejavu-core; } >/dev/null 2>&1; then
    echo "Installed chromium for the browser tests."
    exit 0
  fi
  echo "Installing chromium failed."
fi
echo "SKIPPED: browser tests, for want of chromium (install Debian's package 'chromium' to run them)."
