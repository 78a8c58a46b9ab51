#!/bin/sh
# Is what pip can't bring here? Installs it where that needs no password, else says what to type.
set -eu

libraries="libpango-1.0-0 libpangoft2-1.0-0 libharfbuzz-subset0 fontconfig"
python="${PYTHON:-python3}"

found() {
    for library in libpango-1.0.so.0 libpangoft2-1.0.so.0 libharfbuzz-subset.so.0; do
        "$python" -c "import ctypes, sys; ctypes.CDLL(sys.argv[1])" "$library" 2>/dev/null || return 1
    done
}

if found; then
    exit 0
fi
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "Installing the system libraries that the PDF needs: $libraries"
    apt-get update -qq
    # shellcheck disable=SC2086
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $libraries >/dev/null
    exit 0
fi
echo "auditkit's PDF needs system libraries that are not here. Install them, then try again:" >&2
echo "    sudo apt-get install $libraries        (Debian, Ubuntu)" >&2
echo "    sudo dnf install pango harfbuzz        (Fedora)" >&2
echo "    brew install pango                     (macOS)" >&2
exit 1
