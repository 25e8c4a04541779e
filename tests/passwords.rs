//! Passwords, with the installed program: `--password-file` and `[[protect]]`, in every model.
#![cfg(feature = "passwords")]

#[path = "kernel/client.rs"]
#[allow(dead_code, reason = "other test programs use the rest")]
mod client;
#[path = "support/process.rs"]
#[allow(dead_code, reason = "other test programs use the rest")]
mod process;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use client::{Client, Response, get};
use process::{Launch, Server, available, eventually, has, site, skipped};
use rustix::process::Signal;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;
use tempfile::TempDir;

const EVERY: [&str; 13] = [
    "sequential",
    "uring",
    "thread",
    "thread-reuse",
    "process",
    "prefork",
    "level",
    "poll",
    "select",
    "coroutine",
    "pool",
    "reactor",
    "reactors",
];

/// `alice` with the password `password`, by htpasswd -nB -C 4.
const ALICE: &str = "alice:$2y$04$NjSIBBmD9Y1RcWW.MSWCtOMuB.QNmeyZYcPC4hywr09h8dN2jlW96\n";

/// The same password for `bob`, by mkpasswd -m sha-256 -R 1000.
const BOB: &str = "bob:$5$rounds=1000$saltsalt$azOwbpkvuuBKkE82dQPwTsQE8JyT9Fflpr9aKid3aT9\n";

/// A folder with a site in `root`, and files of users beside it.
fn folder() -> TempDir {
    site(&[
        ("root/small", b"small"),
        ("root/app.3f2a9c1b.js", b"1"),
        ("root/private/x", b"secret"),
        ("root/private/index.html", b"index"),
        ("root/private/open/y", b"open"),
        ("root/private/.hidden", b"hidden"),
        ("root/page.html", b"page"),
        ("users", format!("# of the tests\n{ALICE}{BOB}").as_bytes()),
        ("bob", BOB.as_bytes()),
        ("oneloop.toml", b""),
    ])
}

/// The field Authorization.
fn basic(user: &str, password: &str) -> String {
    let pair = BASE64_STANDARD.encode(format!("{user}:{password}"));
    format!("Authorization: Basic {pair}\r\n")
}

/// Sends a request with this method, target and these fields.
fn request(client: &mut Client, line: &str, fields: &str) {
    client.send(format!("{line} HTTP/1.1\r\nHost: test\r\n{fields}\r\n"));
}

/// The response to a request in a connection of its own.
fn ask(server: &Server, line: &str, fields: &str) -> Response {
    let mut client = Client::of(server);
    request(&mut client, line, &format!("{fields}Connection: close\r\n"));
    client.read_response()
}

fn status(server: &Server, target: &str, fields: &str) -> u16 {
    ask(server, &format!("GET {target}"), fields).status()
}

fn with_file(folder: &TempDir, model: &str) -> Launch {
    Launch::of(folder.path().join("root"))
        .arg("--password-file")
        .arg(folder.path().join("users"))
        .arg("--model")
        .arg(model)
}

/// Starts a server whose configuration file has this text.
fn configured(folder: &TempDir, text: &str) -> Server {
    let file = folder.path().join("oneloop.toml");
    fs::write(&file, format!("root = 'root'\n{text}")).unwrap();
    Launch::configured_by(&file).start()
}

fn without_date(response: &Response) -> String {
    let lines = response.head.lines();
    let kept = lines.filter(|line| !line.starts_with("Date: "));
    kept.collect::<Vec<_>>().join("\n")
}

const DENIED: &str = "HTTP/1.1 401 Unauthorized\nServer: oneloop\n\
    X-Content-Type-Options: nosniff\nVary: Accept\nContent-Type: text/plain; charset=utf-8\n\
    WWW-Authenticate: Basic realm=\"restricted\", charset=\"UTF-8\"\nContent-Length: 62";

#[test]
fn in_every_model_users_are_served_and_named_in_the_log_and_others_get_401() {
    let folder = folder();
    for model in available(&EVERY) {
        let log = folder.path().join(model);
        let launch = with_file(&folder, model).arg("--log-file").arg(&log);
        let mut server = launch.arg("--log-format").arg("common").start();
        let mut client = Client::of(&server);
        let (alice, bob) = (basic("alice", "password"), basic("bob", "password"));
        for (line, fields, expected) in [
            ("GET /small", "", 401),
            ("GET /small", &*alice, 200),
            ("GET /small", &*alice, 200),
            ("GET /nothing", &*bob, 404),
            ("GET /nothing", "", 401),
            ("GET /small", &*basic("alice", "passwords"), 401),
            ("GET /small", &*basic("eve", "password"), 401),
            ("POST /small", "", 405),
        ] {
            request(&mut client, line, fields);
            let response = client.read_response();
            assert_eq!(response.status(), expected, "{model}: {line} {fields}");
            if expected == 401 {
                assert_eq!(without_date(&response), DENIED, "{model}");
            }
            let is_private = response.field("Cache-Control") == Some("private");
            assert_eq!(
                is_private,
                [200, 404].contains(&expected),
                "{model}: {line}"
            );
        }
        // Pipelined: the first needs no check any more, the second one does.
        let new = basic("bob", "another");
        let get = |fields: &str| format!("GET /small HTTP/1.1\r\nHost: test\r\n{fields}\r\n");
        client.send(get(&alice) + &get(&new) + &get(&alice));
        let statuses = [(); 3].map(|()| client.read_response().status());
        assert_eq!(statuses, [200, 401, 200], "{model}");
        drop(client);
        server.signal(Signal::TERM);
        assert_eq!(server.wait().code(), Some(0), "{model}");
        let log = fs::read_to_string(log).unwrap();
        let users = log.lines().map(|line| line.split(' ').nth(2).unwrap());
        let expected = [
            "-", "alice", "alice", "bob", "-", "alice", "eve", "-", "alice", "bob", "alice",
        ];
        assert_eq!(users.collect::<Vec<_>>(), expected, "{model}: {log}");
        let pair = BASE64_STANDARD.encode("alice:password");
        assert!(!log.contains("password") && !log.contains(&pair), "{log}");
    }
}

#[test]
fn head_has_the_fields_of_get_without_a_body() {
    let folder = folder();
    let server = with_file(&folder, "reactor").start();
    let mut client = Client::of(&server);
    request(&mut client, "HEAD /small", "");
    let head = client.read_head();
    request(&mut client, "HEAD /small", &basic("alice", "password"));
    let right = client.read_head();
    request(&mut client, "HEAD /small", "Connection: close\r\n");
    client.read_head();
    assert_eq!(client.read_to_end().0, b"");
    // A browser asks without the password whether a script may read (a CORS preflight).
    let mut client = Client::of(&server);
    request(&mut client, "OPTIONS /small", "");
    assert!(client.read_head().starts_with("HTTP/1.1 204 "));
    assert!(
        head.contains("\r\nWWW-Authenticate: Basic realm="),
        "{head}"
    );
    assert!(right.contains("\r\nCache-Control: private\r\n"), "{right}");
}

#[test]
fn only_the_users_of_the_longest_path_are_served_whatever_the_spelling() {
    let folder = folder();
    let server = configured(
        &folder,
        "[[protect]]\npath = '/private'\npassword-file = 'users'\nrealm = 'in \"here\"'\n\
         [[protect]]\npath = ['/private/open', '/private/x/']\npassword-file = 'bob'\n\
         [[protect]]\npath = '/private/open/y'\npassword-file = 'none'\n",
    );
    let (alice, bob) = (basic("alice", "password"), basic("bob", "password"));
    for (target, none, as_alice, as_bob) in [
        ("/small", 200, 200, 200),
        ("/privat", 404, 404, 404),
        ("/private2", 404, 404, 404),
        ("/private", 401, 301, 301),
        ("/private/", 401, 200, 200),
        ("/private/index.html", 401, 200, 200),
        ("//private//index.html", 401, 200, 200),
        ("/%70rivate%2Findex.html", 401, 200, 200),
        ("/open/../private/index.html", 401, 200, 200),
        ("/PRIVATE/index.html", 401, 404, 404),
        ("/private/.hidden", 401, 404, 404),
        ("/private/nothing?a", 401, 404, 404),
        ("http://test/private/", 401, 200, 200),
        ("/private/x", 401, 401, 200),
        ("/private/open", 401, 401, 301),
        ("/private/open/y", 200, 200, 200),
        ("/private/../small", 200, 200, 200),
        ("/private/%zz", 401, 400, 400),
    ] {
        let statuses = ["", &alice, &bob].map(|fields| status(&server, target, fields));
        assert_eq!(statuses, [none, as_alice, as_bob], "{target}");
    }
    let challenge = ask(&server, "GET /private/", "");
    assert_eq!(
        challenge.field("WWW-Authenticate"),
        Some("Basic realm=\"in \\\"here\\\"\", charset=\"UTF-8\"")
    );
    let cached = ask(&server, "GET /small", &alice);
    assert_eq!(cached.field("Cache-Control"), None);
}

#[test]
fn addresses_rewrites_and_the_base_path_lead_past_no_password() {
    let folder = folder();
    let server = configured(
        &folder,
        "clean-urls = true\nbase = '/app'\nerror-page = '401=private/open/y'\n\
         [[protect]]\npath = ['/private', '/page.html']\npassword-file = 'users'\n\
         [[rule]]\npath = '/short'\nrewrite = '/private/x'\n\
         [[rule]]\npath = '/private/old'\nredirect = '/small'\n",
    );
    let alice = basic("alice", "password");
    for (target, none, as_alice) in [
        ("/app/private/x", 401, 200),
        ("/app/page", 401, 200),
        ("/app/page.html", 401, 200),
        ("/app/short", 401, 200),
        ("/app/private/old", 401, 302),
        ("/private/x", 404, 404),
        ("/app/small", 200, 200),
    ] {
        let statuses = ["", &alice].map(|fields| status(&server, target, fields));
        assert_eq!(statuses, [none, as_alice], "{target}");
    }
    assert_eq!(ask(&server, "GET /app/page", "").body, b"open");
}

/// `users` are alice and bob, `bob` is bob alone.
#[test]
fn a_file_that_is_sent_in_place_of_another_keeps_its_own_users() {
    let folder = folder();
    fs::write(folder.path().join("root/index.html"), "shell").unwrap();
    let server = configured(
        &folder,
        "spa = true\nclean-urls = true\n\
         [[protect]]\npath = '/private'\npassword-file = 'users'\n\
         [[protect]]\npath = '/private/index.html'\npassword-file = 'bob'\n\
         [[protect]]\npath = ['/index.html', '/private/x.html', '/down']\npassword-file = 'none'\n\
         [[rule]]\npath = '/down/**'\nrewrite = '/private/{rest}'\n",
    );
    let (alice, bob) = (basic("alice", "password"), basic("bob", "password"));
    for (target, none, as_alice, as_bob) in [
        ("/", 200, 200, 200),
        ("/nothing", 200, 200, 200),
        ("/private/x", 401, 200, 200),
        ("/private/nothing", 401, 200, 200),
        ("/private/", 401, 404, 404),
        ("/private/index.html", 401, 401, 200),
        ("/private/index", 401, 404, 404),
        ("/down/x", 401, 200, 200),
    ] {
        let statuses = ["", &alice, &bob].map(|fields| status(&server, target, fields));
        assert_eq!(statuses, [none, as_alice, as_bob], "{target}");
    }
}

/// Other clients get the page of the server.
#[test]
fn an_error_page_that_is_protected_is_sent_to_its_users_only() {
    let folder = folder();
    for (path, text) in [("404.html", "a secret 404"), ("private/e.html", "secret")] {
        fs::write(folder.path().join("root").join(path), text).unwrap();
    }
    let server = configured(
        &folder,
        "error-page = ['401=private/e.html', '405=private/e.html']\n\
         [[protect]]\npath = ['/private', '/404.html']\npassword-file = 'users'\n",
    );
    let alice = basic("alice", "password");
    let own = b"404 Not Found: there is nothing at this address\n";
    assert_eq!(ask(&server, "GET /nothing", "").body, own);
    let of_a_user = ask(&server, "GET /private/nothing", &alice);
    assert_eq!(of_a_user.status(), 404);
    assert_eq!(of_a_user.body, b"a secret 404");
    assert_eq!(ask(&server, "GET /404.html", "").status(), 401);
    // This page is named for those without the password.
    assert_eq!(ask(&server, "GET /private/x", "").body, b"secret");
    let refused = ask(&server, "POST /private/x", "");
    assert_eq!(refused.status(), 405);
    assert!(refused.body.starts_with(b"405 "), "{:?}", refused.body);
}

#[test]
fn a_single_file_that_is_protected_is_so_at_the_root_too() {
    let folder = folder();
    let text =
        "root = 'root/page.html'\n[[protect]]\npath = '/page.html'\npassword-file = 'users'\n";
    fs::write(folder.path().join("oneloop.toml"), text).unwrap();
    let server = Launch::configured_by(&folder.path().join("oneloop.toml")).start();
    assert_eq!(status(&server, "/", ""), 401);
    assert_eq!(status(&server, "/", &basic("alice", "password")), 200);
}

/// RFC 9111 3.5: what says `public` may be stored by every cache.
#[test]
fn shared_caches_store_what_is_protected_only_if_the_configuration_says_so() {
    let folder = folder();
    let server = configured(
        &folder,
        "cache = 'auto'\npassword-file = 'users'\n\
         [[rule]]\npath = '/small'\nheader = 'Cache-Control: public, max-age=60'\n",
    );
    for (target, expected) in [
        ("/small", "public, max-age=60"),
        ("/app.3f2a9c1b.js", "private, max-age=31536000, immutable"),
        ("/page.html", "no-cache"),
        ("/nothing", "private"),
    ] {
        let response = ask(
            &server,
            &format!("GET {target}"),
            &basic("alice", "password"),
        );
        assert_eq!(response.field("Cache-Control"), Some(expected), "{target}");
    }
}

#[test]
fn a_reload_reads_the_users_again_and_keeps_them_if_a_line_is_wrong() {
    let folder = folder();
    let users = folder.path().join("users");
    for model in available(&EVERY) {
        fs::write(&users, ALICE).unwrap();
        let server = with_file(&folder, model).start();
        let [alice, bob] = ["alice", "bob"].map(|user| basic(user, "password"));
        let statuses = || [&alice, &bob].map(|fields| status(&server, "/small", fields));
        assert_eq!(statuses(), [200, 401], "{model}");
        fs::write(&users, BOB).unwrap();
        server.signal(Signal::HUP);
        eventually("bob is served, and alice is not", || {
            statuses() == [401, 200]
        });
        fs::write(&users, format!("{BOB}alice:password\n")).unwrap();
        server.signal(Signal::HUP);
        eventually("the error is logged", || {
            let text = server.diagnostics();
            text.contains("the configuration stays as it was")
                && text.contains("users:2: this is no")
        });
        assert_eq!(statuses(), [401, 200], "{model}");
    }
}

/// The server begins without passwords: nothing watches for their checks yet.
#[test]
fn a_reload_may_add_passwords() {
    let folder = folder();
    let file = folder.path().join("oneloop.toml");
    for model in available(&EVERY) {
        fs::write(&file, "root = 'root'\n").unwrap();
        let server = Launch::configured_by(&file)
            .arg("--model")
            .arg(model)
            .start();
        assert_eq!(status(&server, "/small", ""), 200, "{model}");
        fs::write(&file, "root = 'root'\npassword-file = 'users'\n").unwrap();
        server.signal(Signal::HUP);
        eventually("a password is asked for", || {
            status(&server, "/small", "") == 401
        });
        let alice = basic("alice", "password");
        assert_eq!(status(&server, "/small", &alice), 200, "{model}");
    }
}

/// What the program prints with these arguments and `--check`.
fn check(arguments: &[&str], directory: &Path) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_oneloop"));
    process::remove_variables(&mut command);
    let output = command
        .args(arguments)
        .arg("--check")
        .current_dir(directory);
    let output = output.output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(text).unwrap())
}

#[test]
fn wrong_files_and_keys_are_errors_of_the_check_and_of_the_start() {
    let folder = folder();
    fs::write(folder.path().join("weak"), "a:$apr1$a$b\n").unwrap();
    for name in ["root/users", "root/.users"] {
        fs::write(folder.path().join(name), ALICE).unwrap();
    }
    std::os::unix::fs::symlink("../users", folder.path().join("root/link")).unwrap();
    let weak = "weak:1: MD5 is too weak; make the line with: htpasswd -nB USER, or mkpasswd -m \
                sha-512 after USER:";
    for (file, expected) in [
        ("users", "the configuration is valid"),
        ("weak", weak),
        ("nothing", "nothing: No such file or directory"),
        (
            "root/users",
            "root/users: a file of users must not be beneath ROOT, where it is served",
        ),
        (
            "root/.users",
            "root/.users: a file of users must not be beneath ROOT",
        ),
        (
            "root/link",
            "root/link: a file of users must not be beneath ROOT",
        ),
        ("root/../users", "the configuration is valid"),
    ] {
        let (code, text) = check(&["--password-file", file, "root"], folder.path());
        assert!(text.contains(expected), "{text}");
        assert_eq!(
            code == Some(0),
            file.ends_with("../users") || file == "users",
            "{text}"
        );
    }
    for (text, expected) in [
        (
            "[[protect]]\npath = '/a'",
            "toml:2: protect: password-file is missing",
        ),
        (
            "[[protect]]\npassword-file = 'users'",
            "toml:2: protect: path is missing",
        ),
        (
            "[[protect]]\npath = 'a'\npassword-file = 'users'",
            "toml:3: path: a path such as /private",
        ),
        (
            "[[protect]]\npath = '/a/*'\npassword-file = 'users'",
            "toml:3: path: a path such as /private, of names and slashes, without wildcards",
        ),
        (
            "[[protect]]\npath = '/a'\npassword-file = 'users'\nrealm = 'é'",
            "toml:5: realm: printable ASCII",
        ),
        (
            "[[protect]]\npath = '/a'\npassword-file = 'weak'",
            "--password-file: weak:1: MD5 is too weak",
        ),
        (
            "password-file = 'nothing'",
            "toml:2: password-file: nothing: No such file or directory",
        ),
        (
            "password-file = 'root/users'",
            "toml:2: password-file: root/users: a file of users must not be beneath ROOT",
        ),
    ] {
        let file = folder.path().join("oneloop.toml");
        fs::write(&file, format!("root = 'root'\n{text}\n")).unwrap();
        let (code, printed) = check(&["--config", "oneloop.toml"], folder.path());
        assert_eq!(code, Some(2), "{printed}");
        assert!(printed.contains(expected), "{text}: {printed}");
    }
    let launch = Launch::of(folder.path().join("root"));
    let path = folder.path().join("weak");
    let (status, text) = launch.arg("--password-file").arg(path).expect_failure();
    assert!(!status.success() && text.contains(weak), "{text}");
    let page = ["--model", "fixed", "--password-file", "users", "root"];
    let (code, text) = check(&page, folder.path());
    assert!(
        code == Some(2) && text.contains("the model fixed asks for no password"),
        "{text}"
    );
}

/// A hash that takes seconds: none is checked while the others arrive.
#[test]
fn beyond_64_passwords_that_wait_a_request_gets_503_and_others_are_served() {
    let folder = folder();
    let costly = ALICE.replace("$04$", "$14$");
    fs::write(folder.path().join("bob"), costly).unwrap();
    let server = configured(
        &folder,
        "[[protect]]\npath = '/private'\npassword-file = 'bob'\n",
    );
    let mut clients: Vec<_> = (0..80)
        .map(|number| {
            let mut client = Client::of(&server);
            let wrong = basic("alice", &number.to_string());
            request(&mut client, "GET /private/x", &wrong);
            client
        })
        .collect();
    let response = clients.last_mut().unwrap().read_response();
    assert_eq!(response.status(), 503);
    assert_eq!(response.field("Retry-After"), Some("1"));
    assert!(clients[0].has_received_nothing());
    assert_eq!(status(&server, "/small", ""), 200);
    assert_eq!(status(&server, "/private/x", ""), 401);
}

/// The hash takes longer than the head may.
#[test]
fn the_time_of_a_head_does_not_limit_the_check_of_its_password() {
    let folder = folder();
    let costly = ALICE.replace("$04$", "$12$");
    fs::write(folder.path().join("users"), costly).unwrap();
    for model in ["reactor", "coroutine", "thread"] {
        let launch = with_file(&folder, model).arg("--header-timeout");
        let server = launch.arg("0.05").start();
        let wrong = basic("alice", "wrong");
        assert_eq!(status(&server, "/small", &wrong), 401, "{model}");
    }
}

/// It is not watched, since even a hang-up would end every poll. Fails if a connection that waits
/// for its handler is watched for reading.
#[test]
fn with_levels_a_peer_that_sends_more_and_goes_away_does_not_wake_the_loop_during_a_check() {
    let folder = folder();
    let costly = ALICE.replace("$04$", "$14$");
    fs::write(folder.path().join("users"), costly).unwrap();
    for model in ["level", "poll", "select"] {
        let trace = folder.path().join(model);
        let launch = with_file(&folder, model).arg("--trace").arg(&trace);
        let server = launch.start();
        let polls = || {
            fs::read_to_string(&trace)
                .unwrap()
                .matches(" poll ")
                .count()
        };
        // One after the other: the last one waits for all.
        let mut clients: Vec<_> = (0..20)
            .map(|number| {
                let mut client = Client::of(&server);
                let wrong = basic("alice", &number.to_string());
                request(&mut client, "GET /small", &wrong);
                client.send("GET /small HTTP/1.1\r\n");
                client.finish_sending();
                client
            })
            .collect();
        clients.drain(..10).for_each(Client::reset);
        sleep(Duration::from_millis(200));
        let before = polls();
        sleep(Duration::from_millis(500));
        let count = polls() - before;
        assert!(
            before > 0 && count < 50,
            "{model}: {count} polls in half a second"
        );
        assert!(clients.last().unwrap().has_received_nothing());
    }
}

/// What a program prints.
fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap();
    assert!(output.status.success(), "{program}: {output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn the_lines_of_htpasswd_and_mkpasswd_are_read_and_curl_sends_the_password() {
    let missing = ["htpasswd", "mkpasswd", "curl"]
        .into_iter()
        .find(|program| !has(program));
    if let Some(program) = missing {
        return skipped(&format!("{program} is not installed"));
    }
    let folder = folder();
    let users: PathBuf = folder.path().join("users");
    let password = "a b:ü§";
    let bcrypt = run("htpasswd", &["-nbB", "-C", "4", "one", password]);
    let made = |method| run("mkpasswd", &["-m", method, password]);
    let lines = [
        bcrypt,
        format!("two:{}", made("sha-256")),
        format!("three:{}", made("sha-512")),
        format!("four:{}", made("bcrypt")),
    ];
    fs::write(&users, lines.join("\n")).unwrap();
    let server = with_file(&folder, "reactor").start();
    let status = |user: &str, password: &str| {
        let pair = format!("{user}:{password}");
        let format = "%{http_code}";
        let url = server.url("/small");
        run(
            "curl",
            &["-sS", "-o", "/dev/null", "-w", format, "-u", &pair, &url],
        )
    };
    for user in ["one", "two", "three", "four"] {
        assert_eq!(status(user, password), "200", "{user}");
        assert_eq!(status(user, "a b"), "401", "{user}");
    }
    let mut client = Client::of(&server);
    client.send(get("/small"));
    assert_eq!(client.read_response().status(), 401);
}
