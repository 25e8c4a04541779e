#!/bin/sh
# lighttpd for `oneloop bench`: its configuration can only come from a file.
#   oneloop bench --server 'lighttpd=sh docs/bench/lighttpd.sh {port} {root}'
# In the folder of the run, which is removed when the run ends.
here=$(mktemp -d "$2/../lighttpd.XXXXXX")
cat > "$here/lighttpd.conf" <<END
server.document-root = "$2"
server.bind = "127.0.0.1"
server.port = $1
server.max-fds = 16384
server.max-keep-alive-requests = 65535
mimetype.assign = (".html" => "text/html", "" => "application/octet-stream")
END
exec lighttpd -D -f "$here/lighttpd.conf"
