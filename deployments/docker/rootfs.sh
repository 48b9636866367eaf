#!/usr/bin/env bash
# Lays out the root file system of the container image in a folder: deployments/docker/rootfs.sh DIR
#
# The image's last stage is this folder and nothing else: no shell, no package manager, no libc. Tests run the binary
# chrooted into the same folder as the same user. GOOS and GOARCH choose the platform, as for go build.
set -euo pipefail
umask 022
[ $# = 1 ] || { echo "usage: $(basename "$0") DIR   (DIR is made anew)" >&2; exit 64; }
mkdir -p "$1"
root=$(cd "$1" && pwd)
cd "$(dirname "$0")/../.."
user=65532

certificates=''
for file in /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt /etc/ssl/cert.pem; do
  [ ! -s "$file" ] || { certificates=$file; break; }
done
[ -n "$certificates" ] || { echo "no bundle of CA certificates on this machine: install ca-certificates" >&2; exit 1; }

rm -rf "${root:?}"/*
# The version comes from git, where there is a repository that git trusts.
vcs=auto
git status > /dev/null 2>&1 || vcs=false
CGO_ENABLED=0 go build -trimpath "-buildvcs=$vcs" -ldflags '-s -w' -o "$root/foretop" ./cmd/foretop
install -D -m 0644 "$certificates" "$root/etc/ssl/certs/ca-certificates.crt"
printf 'foretop:x:%d:%d::/var/lib/foretop:/foretop\n' "$user" "$user" > "$root/etc/passwd"
printf 'foretop:x:%d:\n' "$user" > "$root/etc/group"
mkdir -p "$root/var/lib"
mkdir -m 0700 "$root/var/lib/foretop"
mkdir -m 1777 "$root/tmp"

# Only root can give a folder away; without it the folder serves to look at, and the image is built as root.
if [ "$(id -u)" = 0 ]; then
  chown -R 0:0 "$root"
  chown "$user:$user" "$root/var/lib/foretop"
fi
