//! stub main
use oneloop::{
    limits::Limits,
    reactor::{
        Reactor,
        address::{Bind, Host},
        listen,
    },
    service::Front,
    site::{Options, Site},
};
use std::sync::Arc;
fn main() {
    let args: Vec<String> = std::env::args().collect();
    let limits = Arc::new(Limits::default());
    let options = Options {
        index: vec![b"index.html".to_vec()],
        listing: true,
        hidden: false,
        follow_symlinks: false,
        spa: false,
        only: None,
        cors: None,
        lines: {
            let mut l = oneloop::http::fields::FieldLines::new();
            l.push("Server", "oneloop");
            l.push("X-Content-Type-Options", "nosniff");
            l
        },
    };
    let site = Site::new(std::path::Path::new(&args[2]), options, limits.clone()).unwrap();
    let l = listen::open(
        &[Bind::Tcp {
            host: Host::Ip("127.0.0.1".parse().unwrap()),
            port: args[1].parse().unwrap(),
        }],
        limits.backlog,
    )
    .unwrap();
    Reactor::new(l, Front::new(site, None), limits)
        .unwrap()
        .run()
        .unwrap();
}
