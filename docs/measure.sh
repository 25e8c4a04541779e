#!/usr/bin/env bash
# oneloop beside nginx, on this machine: server CPU per request, interleaved rounds, medians.
#
# usage: docs/measure.sh [ROUNDS]        (default 5; about 25 seconds a round)
#
# The server has core 0 and the load generator (wrk) core 1. CPU time is read from the kernel
# (/proc/PID/schedstat, all threads and children), because with a cheap server it is wrk that
# limits the requests per second. Both servers serve the same files, without an access log
# and, for nginx, with its cache of open files on, which is the faster of its two settings.
# Needs: nginx, wrk, taskset; `cargo build --release` first. Loopback only.
set -euo pipefail

rounds=${1:-5}
cd "$(dirname "$0")/.."
for program in nginx wrk taskset curl ./target/release/oneloop; do
    command -v "$program" >/dev/null || { echo "missing: $program" >&2; exit 1; }
done

work=$(mktemp -d)
chmod 755 "$work"
servers=()
trap 'kill "${servers[@]}" 2>/dev/null || true; wait 2>/dev/null || true; rm -rf "$work"' EXIT
mkdir "$work/site"
head -c 1024 /dev/zero | tr '\0' 'x' >"$work/site/1k.html"
head -c 102400 /dev/zero | tr '\0' 'x' >"$work/site/100k.html"
cat >"$work/pipeline.lua" <<'LUA'
init = function()
    local requests = {}
    for i = 1, 16 do requests[i] = wrk.format() end
    together = table.concat(requests)
end
request = function() return together end
LUA

./target/release/oneloop --quiet --port 7901 "$work/site" &
servers+=($!)
cat >"$work/nginx.conf" <<CONF
daemon off; worker_processes 1; pid $work/pid; error_log $work/error.log;
events { worker_connections 4096; multi_accept on; }
http {
    access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000000;
    include /etc/nginx/mime.types;
    open_file_cache max=1000; open_file_cache_valid 60s;
    server { listen 127.0.0.1:7902 backlog=4096; root $work/site; }
}
CONF
nginx -c "$work/nginx.conf" -p "$work" &
servers+=($!)
for port in 7901 7902; do
    for _ in $(seq 50); do
        curl -s -o /dev/null "http://127.0.0.1:$port/1k.html" && break
        sleep 0.1
    done
done

family() { # a process and its children
    echo "$1"
    cat /proc/"$1"/task/*/children | tr ' ' '\n'
}
cpu() { # nanoseconds that a server has run
    for pid in $(family "$1"); do cat /proc/"$pid"/task/*/schedstat; done | awk '{ sum += $1 } END { print sum }'
}
for pid in "${servers[@]}"; do
    for member in $(family "$pid"); do taskset -acp 0 "$member" >/dev/null; done
done

load() { # NAME PID PORT WRK-ARGUMENTS...: microseconds of server CPU per request
    local pid=$1 port=$2 path=$3; shift 3
    local before after requests
    before=$(cpu "$pid")
    requests=$(taskset -c 1 wrk -t1 -d2s "$@" "http://127.0.0.1:$port/$path" | awk '/requests in/ { print $1 }')
    after=$(cpu "$pid")
    awk "BEGIN { printf \"%.3f\", ($after - $before) / 1000 / $requests }"
}
median() { sort -n | awk '{ value[NR] = $1 } END { print value[int((NR + 1) / 2)] }'; }

printf '%-32s %10s %10s %8s\n' "server CPU per request, us" oneloop nginx ratio
measure() { # TITLE PATH WRK-ARGUMENTS...
    local title=$1 path=$2; shift 2
    : >"$work/a"; : >"$work/b"; : >"$work/ratio"
    for _ in $(seq "$rounds"); do
        local a b
        a=$(load "${servers[0]}" 7901 "$path" "$@")
        b=$(load "${servers[1]}" 7902 "$path" "$@")
        echo "$a" >>"$work/a"; echo "$b" >>"$work/b"
        awk "BEGIN { print $a / $b }" >>"$work/ratio"
    done
    printf '%-32s %10.2f %10.2f %8.2f\n' "$title" "$(median <"$work/a")" "$(median <"$work/b")" "$(median <"$work/ratio")"
}
measure "1 KiB, keep-alive, 64 at once" 1k.html -c64
measure "1 KiB, one connection" 1k.html -c1
measure "1 KiB, a connection per request" 1k.html -c64 -H "Connection: close"
measure "1 KiB, 16 requests pipelined" 1k.html -c64 -s "$work/pipeline.lua"
measure "100 KiB, keep-alive, 64 at once" 100k.html -c64
