#!/bin/sh
# caddy for `oneloop bench`: on one processor thread, without an admin address and logs.
#   oneloop bench --server 'caddy=sh docs/bench/caddy.sh {port} {root}'
# In the folder of the run, which is removed when the run ends.
here=$(mktemp -d "$2/../caddy.XXXXXX")
cat > "$here/Caddyfile" <<END
{
	admin off
	auto_https off
	log {
		output discard
	}
}
http://:$1 {
	bind 127.0.0.1
	root * $2
	file_server
}
END
export HOME="$here" GOMAXPROCS=1
exec caddy run --adapter caddyfile --config "$here/Caddyfile"
