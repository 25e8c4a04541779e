#!/bin/sh
# nginx for `oneloop bench`: its configuration can only come from a file.
#   oneloop bench --server 'nginx=sh docs/bench/nginx.sh {port} {root}'
# In the folder of the run, which is removed when the run ends.
here=$(mktemp -d "$2/../nginx.XXXXXX")
cat > "$here/nginx.conf" <<END
daemon off; pid $here/nginx.pid; error_log $here/error.log;
events {}
http {
    access_log off; keepalive_requests 1000000000;
    client_body_temp_path $here/1; proxy_temp_path $here/2; fastcgi_temp_path $here/3;
    uwsgi_temp_path $here/4; scgi_temp_path $here/5;
    server { listen 127.0.0.1:$1; root $2; }
}
END
exec nginx -c "$here/nginx.conf" -e "$here/error.log"
