#!/usr/bin/env bash
# Does what a newcomer does: clones, runs `make serve`, sends the pictures of the README, reads the answers, stops; then
# `make up`, sends many pictures at once, kills a worker, counts the answers, stops. The clone lies alone, so no weights
# or pictures are beside it.
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
folder=$(mktemp -d)
export HELIOGRAPH_PORT=${HELIOGRAPH_PORT:-8765}
export XDG_DATA_HOME="$folder/data"
server=
finish() {
    if [ -n "$server" ]; then kill -TERM "$server" 2>/dev/null || true; wait "$server" || true; fi
    rm -rf "$folder"
}
trap finish EXIT

git clone -q "$here" "$folder/heliograph"
cd "$folder/heliograph"
started=$SECONDS
make serve &
server=$!
until curl -sf "localhost:$HELIOGRAPH_PORT/readyz" >/dev/null; do
    kill -0 "$server" || { echo "make serve ended"; exit 1; }
    [ $((SECONDS - started)) -lt 600 ] || { echo "make serve did not get ready"; exit 1; }
    sleep 0.2
done
echo "ready after $((SECONDS - started)) s, set-up included"
make samples

expect() { # what, answer
    case "$2" in *"$1"*) echo "  right: $2" ;; *) echo "  expected $1 in: $2"; exit 1 ;; esac
}
url="localhost:$HELIOGRAPH_PORT"
expect "cat" "$(curl -sS -F image=@samples/cat.png "$url/classify")"
expect "つ" "$(curl -sS -F image=@samples/tsu.png "$url/classify?model=kmnist&top=1")"
curl -sS -F image=@samples/coffee.png "$url/remove-background" -o cutout.png
expect "PNG" "$(head -c 4 cutout.png)"

# The service is a child of make: the signal goes to it, and make reports how it ended.
stop() {
    kill -TERM "$(pgrep -P "$server" || echo "$server")"
    wait "$server"
    server=
    echo "stopped cleanly"
}
stop

make up 2>up.log &
server=$!
until grep -q "Kill a worker" up.log; do
    kill -0 "$server" || { cat up.log; echo "make up ended"; exit 1; }
    [ $((SECONDS - started)) -lt 900 ] || { cat up.log; echo "make up did not get ready"; exit 1; }
    sleep 0.2
done
for _ in $(seq 60); do echo 'form = "image=@samples/tsu.png"'; done >form
receipt=$(curl -sS -K form "$url/v1/jobs?model=kmnist")
expect '"durable":true' "${receipt:0:80}"
group=${receipt#*'"group":"'}
group=${group%%'"'*}
kill -KILL "$(sed -n 's/^  kill -9 //p' up.log)"
until curl -sS "$url/v1/groups/$group?limit=1" | grep -q '"finished":true'; do
    [ $((SECONDS - started)) -lt 1000 ] || { cat up.log; echo "the jobs did not end"; exit 1; }
    sleep 0.2
done
expect '"counts":{"done":60}' "$(curl -sS "$url/v1/groups/$group?limit=1")"
stop
expect "no unfinished jobs left" "$(tail -n 1 up.log)"
