#!/bin/sh
# Prints a capture of two chat clients at a terminal, for the README. Needs tmux and a release build.
set -eu
cd "$(dirname "$0")/../.."
program=$PWD/target/release/sockactors
scratch=$(mktemp -d)
session="tmux -L sockactors-capture-$$"
trap '$session kill-server 2>/dev/null; rm -rf "$scratch"' EXIT

# Waits up to ten seconds until the pane shows a text.
wait_for() {
    tries=0
    until $session capture-pane -p -t "$1" | grep -qF -- "$2"; do
        tries=$((tries + 1))
        [ "$tries" -lt 100 ] || { echo "$1 does not show: $2" >&2; exit 1; }
        sleep 0.1
    done
}

say() {
    $session send-keys -t "$1" -l "$2"
    $session send-keys -t "$1" Enter
}

client="env -u COLORTERM $program --scenario chat --connect unix:$scratch/chat --color never"
$session new-session -d -s server -x 76 -y 12 \
    "$program --scenario chat --listen unix:$scratch/chat --no-input"
wait_for server chat
$session new-session -d -s ada -x 76 -y 12 "$client --nick ada"
wait_for ada 'ada in lobby'
$session new-session -d -s bob -x 76 -y 12 "$client --nick bob"
wait_for ada 'bob joined'
say ada 'hello bob'
wait_for bob 'ada: hello bob'
say bob '/me waves'
wait_for ada 'bob waves'
say ada '/who'
wait_for ada 'ada, bob'
say bob '/join den'
wait_for ada 'bob left'
$session capture-pane -p -t ada | sed -e 's/ *$//' -e '/^$/d'
