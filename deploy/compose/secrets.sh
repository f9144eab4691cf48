#!/bin/sh
# Makes what compose.yaml mounts as secrets, in the folder `secrets` beside this file or in the one named as the
# argument. What is there already is kept. The folder is its owner's alone; the files in it are readable, because a
# container's user, which is nobody on this machine, has to read them.
set -eu
folder=${1:-$(dirname "$0")/secrets}
umask 077
mkdir -p "$folder"
chmod 700 "$folder"
for name in key postgres redis-control redis-sidecar; do
    [ -e "$folder/$name" ] || head -c 32 /dev/urandom | base64 >"$folder/$name"
done
# Filled by `consentry sidecars invite`; a mount needs a file.
[ -e "$folder/enrolment" ] || : >"$folder/enrolment"
chmod 644 "$folder"/*
