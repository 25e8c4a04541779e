//! What a process is given by the one that starts it: its environment and its descriptors. Both
//! can only be shown with a second process, so this program starts itself again.

use std::env;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::process::{Command, Output, Stdio};

use oneloop::config::{Config, Invocation};
use oneloop::reactor::listen::{self, Acceptor, Queue};

/// Carries the arguments, one a line, to the child.
const ARGUMENTS: &str = "CHILD_ARGUMENTS";

fn child(test: &str, args: &[&str], variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env::current_exe().unwrap());
    command
        .args(["--exact", test, "--nocapture"])
        .env(ARGUMENTS, args.join("\n"))
        .envs(variables.iter().copied());
    command
}

fn config_in_a_child(args: &[&str], variables: &[(&str, &str)]) -> Output {
    child("child_prints_its_config", args, variables)
        .output()
        .unwrap()
}

fn shown(args: &[&str], variables: &[(&str, &str)]) -> String {
    let output = config_in_a_child(args, variables);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}");
    let line = text.lines().find(|line| line.starts_with("config "));
    line.expect(&text).to_owned()
}

fn refused(variables: &[(&str, &str)]) -> String {
    let output = config_in_a_child(&[], variables);
    assert_eq!(output.status.code(), Some(2), "{variables:?}");
    String::from_utf8(output.stderr).unwrap()
}

/// `None` where no parent has started this.
fn config_here() -> Option<Config> {
    let args = env::var(ARGUMENTS).ok()?;
    let args = args.lines().filter(|arg| !arg.is_empty());
    match Invocation::from_args(["oneloop"].into_iter().chain(args)) {
        Ok(Invocation::Serve(config)) => Some(*config),
        Ok(_) => panic!("no server was asked for"),
        Err(error) => std::process::exit(error.report().into()),
    }
}

/// On a line of its own: the harness has begun one.
fn say(line: &str) {
    let mut out = io::stdout();
    writeln!(out, "\n{line}").unwrap();
}

#[test]
fn child_prints_its_config() {
    let Some(config) = config_here() else {
        return;
    };
    let binds: Vec<_> = config.binds.iter().map(ToString::to_string).collect();
    let headers = String::from_utf8_lossy(config.headers.as_bytes());
    say(&format!(
        "config root={:?} binds={binds:?} index={:?} headers={headers:?} cors={:?} spa={} \
         hidden={} listing={} quiet={} verbose={} grace={:?} log={:?}",
        config.root,
        config.index,
        config.cors,
        config.spa,
        config.hidden,
        config.listing,
        config.quiet,
        config.verbose,
        config.limits.grace,
        config.log_format,
    ));
}

#[test]
fn every_kind_of_option_can_come_from_the_environment() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path().canonicalize().unwrap();
    let line = shown(
        &[],
        &[
            ("ONELOOP_ROOT", root.to_str().unwrap()),
            ("ONELOOP_PORT", "81"),
            ("ONELOOP_BIND", "::1,localhost:0"),
            ("ONELOOP_INDEX", "a,b c"),
            ("ONELOOP_HEADER", "A: b, c\nD: e\n"),
            ("ONELOOP_CORS", "*"),
            ("ONELOOP_SPA", "1"),
            ("ONELOOP_HIDDEN", "0"),
            ("ONELOOP_NO_LISTING", "true"),
            ("ONELOOP_VERBOSE", "2"),
            ("ONELOOP_GRACE", "0.5"),
            ("ONELOOP_LOG_FORMAT", "json"),
        ],
    );
    assert_eq!(
        line,
        format!(
            "config root=Directory({root:?}) binds=[\"[::1]:81\", \"localhost:0\"] \
             index=[\"a\", \"b c\"] headers=\"A: b, c\\r\\nD: e\\r\\n\" cors=Some(\"*\") spa=true \
             hidden=false listing=false quiet=false verbose=2 grace=500ms log=Json"
        )
    );
}

#[test]
fn the_command_line_wins_over_the_environment() {
    let variables = [("ONELOOP_PORT", "81"), ("ONELOOP_BIND", "::1")];
    let line = shown(&["-p", "82", "-b", "127.0.0.1"], &variables);
    assert!(line.contains("binds=[\"127.0.0.1:82\"]"), "{line}");
}

#[test]
fn an_empty_variable_is_not_set() {
    let variables = [
        ("ONELOOP_ROOT", ""),
        ("ONELOOP_PORT", ""),
        ("ONELOOP_BIND", ""),
        ("ONELOOP_HEADER", ""),
        ("ONELOOP_SPA", ""),
        ("ONELOOP_CORS", ""),
    ];
    assert_eq!(shown(&[], &variables), shown(&[], &[]));
}

#[test]
fn a_wrong_variable_is_refused_like_a_wrong_option() {
    let table = [
        ("ONELOOP_PORT", "x", "'--port <PORT>'"),
        ("ONELOOP_SPA", "maybe", "value was not a boolean"),
        ("ONELOOP_HEADER", "A: b\nDate: x", "the server computes it"),
    ];
    for (name, value, expected) in table {
        let message = refused(&[(name, value)]);
        assert!(message.contains(expected), "{name}={value}: {message}");
    }
}

#[test]
fn child_greets_one_client() {
    let Some(config) = config_here() else {
        return;
    };
    let queue = Queue {
        backlog: 16,
        deferred: false,
    };
    let listening = match listen::open(&config.binds, queue) {
        Ok(listening) => listening,
        Err(error) => return say(&error.to_string()),
    };
    let Some(Acceptor::Tcp(listener)) = listening.first().map(|one| &one.socket) else {
        panic!("{listening:?}");
    };
    // The client was there before this process.
    let (mut client, _) = listener.accept().unwrap();
    client.write_all(b"hello").unwrap();
    let empty = listener.accept().unwrap_err();
    assert_eq!(empty.kind(), io::ErrorKind::WouldBlock);
}

#[test]
fn a_listener_passed_through_exec_is_served() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let bind = format!("fd:{}", listener.as_raw_fd());

    // Before it is passed: close-on-exec keeps it from the child.
    let output = child("child_greets_one_client", &["-b", &bind], &[])
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("no such descriptor was passed"), "{text}");

    rustix::io::fcntl_setfd(&listener, rustix::io::FdFlags::empty()).unwrap();
    let status = child("child_greets_one_client", &["-b", &bind], &[])
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success());
    let mut greeting = String::new();
    client.read_to_string(&mut greeting).unwrap();
    assert_eq!(greeting, "hello");
}
