#!/bin/sh
# Starts Redis with the users of users.acl, whose passwords are secrets: the file that Redis reads holds their SHA-256.
#
# The control plane writes keys that begin with `consentry:`, and no others. A sidecar only reads them: whoever takes
# over a sidecar cannot put anything there for another one. Neither user has a channel: what tracking tells comes on
# the same connection (RESP3) and needs none. users.acl allows no comments, and wants a user's rules on one line.
set -eu
secrets=${SECRETS:-/run/secrets}
users=${USERS:-/etc/redis/users.acl}
run=${RUN:-/run/redis}
hash() { tr -d '\n' <"$secrets/$1" | sha256sum | cut -d ' ' -f 1; }
umask 077
sed -e "s/@redis-control@/$(hash redis-control)/" -e "s/@redis-sidecar@/$(hash redis-sidecar)/" "$users" \
    >"$run/users.acl"
exec redis-server --dir "$run" --aclfile "$run/users.acl" --save '' --appendonly no \
    --maxmemory 256mb --maxmemory-policy allkeys-lru "$@"
