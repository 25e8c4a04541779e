//! The environment and the descriptors that a process inherits. These need a second process, so
//! this program starts itself again.

#[path = "support/process.rs"]
#[allow(dead_code, reason = "the other test programs use the rest")]
mod process;

use std::env;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use clap::{Arg, ArgAction, CommandFactory};
use oneloop::config::arguments::Arguments;
use oneloop::config::{Config, Invocation};
use oneloop::handler::Role;
use oneloop::listen::open::{ListenOptions, open_listeners};
use oneloop::listen::socket::Family;
use oneloop::server::Server;
use oneloop::signals::{Action, SignalPolicy};

/// The variable with the arguments of the child, one per line.
const ARGUMENTS: &str = "CHILD_ARGUMENTS";

fn child(test: &str, args: &[&str], variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env::current_exe().unwrap());
    process::remove_variables(&mut command);
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
    line_of("config ", args, variables)
}

/// The line that the child prints after `start`.
fn line_of(start: &str, args: &[&str], variables: &[(&str, &str)]) -> String {
    let output = config_in_a_child(args, variables);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{args:?} {variables:?}: {text}");
    let line = text.lines().find(|line| line.starts_with(start));
    line.expect(&text).to_owned()
}

/// Every option that has a variable, with that variable.
fn options() -> Vec<(Arg, String)> {
    let mut command = Arguments::command();
    command.build();
    let options = command.get_arguments().filter_map(|arg| {
        let variable = arg.get_env()?.to_str()?.to_owned();
        Some((arg.clone(), variable))
    });
    options.collect()
}

/// The exit code and the standard error of a program that ends within ten seconds.
fn result_of(mut command: Command) -> (Option<i32>, String) {
    let mut child = command
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let deadline = Instant::now() + Duration::from_secs(10);
    let status = loop {
        match child.try_wait().unwrap() {
            Some(status) => break status,
            None if Instant::now() > deadline => {
                child.kill().unwrap();
                break child.wait().unwrap();
            }
            None => thread::sleep(Duration::from_millis(5)),
        }
    };
    let mut text = String::new();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut text)
        .unwrap();
    (status.code(), text)
}

fn refused(variables: &[(&str, &str)]) -> String {
    let output = config_in_a_child(&[], variables);
    assert_eq!(output.status.code(), Some(2), "{variables:?}");
    String::from_utf8(output.stderr).unwrap()
}

/// The configuration in the child; `None` in the parent.
fn config_here() -> Option<Config> {
    let args = env::var(ARGUMENTS).ok()?;
    let args = args.lines().filter(|arg| !arg.is_empty());
    match Invocation::from_args(["oneloop"].into_iter().chain(args)) {
        Ok(Invocation::Serve(config)) => Some(*config),
        Ok(_) => panic!("no server was asked for"),
        Err(error) => std::process::exit(error.report().into()),
    }
}

/// Prints on a new line: the test harness has begun one.
fn print_line(line: &str) {
    let mut out = io::stdout();
    writeln!(out, "\n{line}").unwrap();
}

#[test]
fn child_prints_its_config() {
    let Some(mut config) = config_here() else {
        return;
    };
    for warning in config.warnings.drain(..) {
        print_line(&format!("warning {warning}"));
    }
    print_line(&format!("sources {:?}", config.sources));
    // Where values come from.
    (config.sources, config.file, config.names_root) = (Vec::new(), None, false);
    print_line(&format!("everything {config:?}"));
    let binds: Vec<_> = config
        .listeners
        .binds
        .iter()
        .map(ToString::to_string)
        .collect();
    let headers = String::from_utf8_lossy(config.site.headers.as_bytes());
    print_line(&format!(
        "config root={:?} binds={binds:?} index={:?} headers={headers:?} cors={:?} spa={} \
         hidden={} listing={} quiet={} verbose={} grace={:?} log={:?}",
        config.site.root,
        config.site.index,
        config.site.cors,
        config.site.spa,
        config.site.hidden,
        config.site.listing,
        !config.banner,
        config.verbose,
        config.limits.grace_period,
        config.access_log.map(|log| log.format),
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
             hidden=false listing=false quiet=false verbose=2 grace=500ms log=Some(Json)"
        )
    );
}

#[test]
fn the_command_line_overrides_the_environment() {
    let variables = [("ONELOOP_PORT", "81"), ("ONELOOP_BIND", "::1")];
    let line = shown(&["-p", "82", "-b", "127.0.0.1"], &variables);
    assert!(line.contains("binds=[\"127.0.0.1:82\"]"), "{line}");
}

#[test]
fn an_empty_variable_counts_as_unset() {
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
        ("ONELOOP_PORT", "x", "a number from 0 to 65535"),
        ("ONELOOP_SPA", "maybe", "true or false"),
        ("ONELOOP_HEADER", "A: b\nDate: x", "the server computes it"),
    ];
    for (name, value, expected) in table {
        let message = refused(&[(name, value)]);
        assert!(message.contains(expected), "{name}={value}: {message}");
    }
}

#[test]
fn an_error_names_the_variable_that_caused_it() {
    let folder = tempfile::tempdir().unwrap();
    for (arg, variable) in options() {
        let mut command = Command::new(env!("CARGO_BIN_EXE_oneloop"));
        // No option accepts this: not a number, and not the name of a file that can exist.
        command.env(&variable, "wrong/\nvalue").current_dir(&folder);
        match arg.get_id().as_str() {
            "page" => _ = command.args(["--model", "fixed", "-p0"]),
            "port" => {}
            _ => _ = command.arg("-p0"),
        }
        let (code, text) = result_of(command);
        assert!(matches!(code, Some(1 | 2)), "{variable}: {code:?} {text}");
        assert!(text.contains(&variable), "{variable}: {text}");
    }
}

#[test]
fn an_error_does_not_name_a_variable_that_is_not_used() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_oneloop"));
    command
        .env("ONELOOP_PORT", "x")
        .args(["--idle-timeout", "y"]);
    let (code, text) = result_of(command);
    assert_eq!(code, Some(2));
    assert!(
        text.contains("--idle-timeout") && !text.contains("ONELOOP"),
        "{text}"
    );
    let mut command = Command::new(env!("CARGO_BIN_EXE_oneloop"));
    command.env("ONELOOP_PORT", "x").arg("--help");
    assert_eq!(result_of(command), (Some(0), String::new()));
}

#[test]
fn the_command_line_overrides_every_switch() {
    let mut count = 0;
    for (arg, variable) in options() {
        if !matches!(arg.get_action(), ArgAction::SetTrue) {
            continue;
        }
        count += 1;
        let flag = format!("--{}", arg.get_long().unwrap());
        let off = format!("{flag}=false");
        // What the switch is for.
        let needed: &[_] = match arg.get_id().as_str() {
            "redirect_https" => &[("ONELOOP_TLS_CERT", "a"), ("ONELOOP_TLS_BIND", "::1")],
            _ => &[],
        };
        let default = line_of("everything ", &[], needed);
        let on = [needed, &[(variable.as_str(), "1")]].concat();
        let set = line_of("everything ", &[], &on);
        assert_ne!(set, default, "{variable} does nothing");
        for args in [&[off.as_str()][..], &[&flag, &off], &[&off, &off]] {
            assert_eq!(line_of("everything ", args, &on), default, "{args:?}");
        }
        for args in [&[flag.as_str()][..], &[&off, &flag], &[&flag, &flag]] {
            assert_eq!(line_of("everything ", args, needed), set, "{args:?}");
        }
    }
    assert!(count > 5, "these are not the switches");
}

/// With the default on the command line, everything is as if the variable were not set, even where
/// its value is wrong. An option without a default has another value that overrides the variable.
#[test]
fn the_command_line_overrides_every_variable() {
    let default = line_of("everything ", &[], &[]);
    for (arg, variable) in options() {
        let id = arg.get_id().as_str();
        let defaults = arg.get_default_values().first();
        let value = match (id, defaults.and_then(|value| value.to_str())) {
            _ if matches!(arg.get_action(), ArgAction::SetTrue) => "false",
            (_, Some(value)) => value,
            ("cors", _) => "false",
            ("base", _) => "/",
            ("header" | "type" | "cache" | "error_page" | "password_file", _) => "none",
            ("verbose", _) => "0",
            // An empty file sets nothing.
            ("config", _) => "/dev/null",
            // Each is used in one model only, and ignored in the others.
            ("workers" | "page", _) => continue,
            // A file `-`: standard output.
            ("log_file" | "trace", _) => continue,
            // No value means that there is none.
            (
                "admin" | "tls_cert" | "tls_key" | "tls_bind" | "hsts" | "trusted_proxy"
                | "proxy_protocol" | "log_skip",
                _,
            ) => {
                continue;
            }
            // Used only with a trace, and every value leaves something out.
            ("trace_filter", _) => continue,
            _ => panic!("no value overrides {variable}: add one here"),
        };
        let option = match arg.get_long() {
            Some(long) => format!("--{long}={value}"),
            None => value.to_owned(),
        };
        let wrong = [(variable.as_str(), "wrong/\nvalue")];
        assert_eq!(
            line_of("everything ", &[&option], &wrong),
            default,
            "{option}"
        );
    }
}

#[test]
fn a_list_on_the_command_line_replaces_the_one_of_the_environment() {
    let variables = [
        ("ONELOOP_INDEX", "a,b"),
        ("ONELOOP_BIND", "::1,127.0.0.9"),
        ("ONELOOP_HEADER", "A: b"),
        ("ONELOOP_VERBOSE", "2"),
        ("ONELOOP_CORS", "https://a.example"),
    ];
    let args = ["--index=c", "-b=127.0.0.1", "--header=D: e", "-v", "--cors"];
    let line = shown(&args, &variables);
    for expected in [
        "binds=[\"127.0.0.1:7890\"]",
        "index=[\"c\"]",
        "headers=\"D: e\\r\\n\"",
        "verbose=1",
        "cors=Some(\"*\")",
    ] {
        assert!(line.contains(expected), "{expected}: {line}");
    }
}

#[test]
fn the_last_of_two_equal_options_counts_but_lists_add_up() {
    let line = shown(
        &[
            "--grace=1",
            "--grace=2",
            "-p1",
            "-p2",
            "--index=a",
            "--index=b",
        ],
        &[],
    );
    for expected in ["grace=2s", ":2\"]", "index=[\"a\", \"b\"]"] {
        assert!(line.contains(expected), "{expected}: {line}");
    }
    for (args, level) in [
        ("-vv", 2),
        ("-v\n-v", 2),
        ("-v\n--verbose=0", 0),
        ("--verbose=2", 2),
    ] {
        let args: Vec<_> = args.lines().collect();
        assert!(
            shown(&args, &[]).contains(&format!("verbose={level}")),
            "{args:?}"
        );
    }
}

/// Kubernetes and Docker set these variables for a service, or a linked container, named `oneloop`.
#[test]
fn the_variables_of_a_service_named_oneloop_are_not_options() {
    let links = [
        ("ONELOOP_NAME", "/web/oneloop"),
        ("ONELOOP_SERVICE_HOST", "10.96.0.12"),
        ("ONELOOP_SERVICE_PORT", "7890"),
        ("ONELOOP_SERVICE_PORT_HTTP", "7890"),
        ("ONELOOP_PORT_7890_TCP", "tcp://10.96.0.12:7890"),
        ("ONELOOP_PORT_7890_TCP_PROTO", "tcp"),
        ("ONELOOP_PORT_7890_TCP_PORT", "7890"),
        ("ONELOOP_PORT_7890_TCP_ADDR", "10.96.0.12"),
    ];
    let default = line_of("everything ", &[], &[]);
    for url in [
        "tcp://10.96.0.12:7890",
        "udp://10.96.0.12:53",
        "tcp://[fd00::c]:7890",
        "sctp://10.0.0.1:9",
    ] {
        let variables = [&links[..], &[("ONELOOP_PORT", url)]].concat();
        assert_eq!(line_of("everything ", &[], &variables), default, "{url}");
        let warning = line_of("warning ", &[], &variables);
        assert!(
            warning.starts_with("warning ONELOOP_PORT is ignored"),
            "{warning}"
        );
        assert!(
            warning.contains(url) && warning.contains("ONELOOP_BIND=ADDR:PORT"),
            "{warning}"
        );
        let output = config_in_a_child(&["-p", "81"], &variables);
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(
            text.contains("127.0.0.1:81") && !text.contains("warning "),
            "{text}"
        );
    }
    assert_eq!(line_of("sources ", &[], &links), "sources []");
    assert!(refused(&[("ONELOOP_PORT", "tcp:7890")]).contains("ONELOOP_PORT"));
}

/// They may be meant for another program or a newer version, so the server starts.
#[test]
fn a_variable_that_no_option_has_is_warned_of() {
    let table = [
        (
            "ONELOOP_IDEL_TIMEOUT",
            "ONELOOP_IDEL_TIMEOUT has no effect; did you mean ONELOOP_IDLE_TIMEOUT?",
        ),
        (
            "ONELOOP_BINDS",
            "ONELOOP_BINDS has no effect; did you mean ONELOOP_BIND?",
        ),
        (
            "ONELOOP_no_listing",
            "ONELOOP_no_listing has no effect; did you mean ONELOOP_NO_LISTING?",
        ),
        (
            "ONELOOP_SIM_SECONDS",
            "ONELOOP_SIM_SECONDS has no effect: no option has this variable",
        ),
        (
            "ONELOOP_BURN",
            "ONELOOP_BURN has no effect: no option has this variable",
        ),
    ];
    let default = line_of("everything ", &[], &[]);
    for (variable, expected) in table {
        let set = [(variable, "5")];
        let warning = line_of("warning ", &[], &set);
        assert_eq!(warning, format!("warning {expected}"));
        assert_eq!(line_of("everything ", &[], &set), default);
    }
    let silent = [
        ("ONELOOP_IDEL_TIMEOUT", ""),
        ("ONELOOP_ENV_A", "b"),
        ("ONELOOPS", "1"),
    ];
    let output = config_in_a_child(&[], &silent);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(!text.contains("warning "), "{text}");
}

#[test]
fn child_accepts_one_connection() {
    let Some(config) = config_here() else {
        return;
    };
    let options = ListenOptions {
        role: Role::Public,
        backlog: 16,
        deferred: false,
        has_siblings: false,
        timeouts: None,
    };
    let listeners = match open_listeners(&config.listeners.binds, options) {
        Ok(listeners) => listeners,
        Err(error) => return print_line(&error.to_string()),
    };
    let first = listeners.first().map(|first| &first.socket.family);
    let Some(Family::Tcp(listener, _)) = first else {
        panic!("{listeners:?}");
    };
    // The client connected before this process started.
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

    // Not inherited: the descriptor is close-on-exec.
    let output = child("child_accepts_one_connection", &["-b", &bind], &[])
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("no such descriptor was passed"), "{text}");

    rustix::io::fcntl_setfd(&listener, rustix::io::FdFlags::empty()).unwrap();
    let status = child("child_accepts_one_connection", &["-b", &bind], &[])
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success());
    let mut greeting = String::new();
    client.read_to_string(&mut greeting).unwrap();
    assert_eq!(greeting, "hello");
}

/// As a reload would: the second while the first listens, and a third when the first is gone.
#[test]
fn child_builds_a_server_three_times() {
    let Some(config) = config_here() else {
        return;
    };
    let signals = SignalPolicy::install(Action::Stop);
    let first = Server::build(&config, signals).unwrap();
    let second = Server::build(&config, signals).unwrap();
    assert_eq!(first.addresses(), second.addresses());
    drop(first);
    drop(Server::build(&config, signals).unwrap());
}

#[test]
fn a_server_with_a_passed_listener_is_built_again_from_the_same_configuration() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    rustix::io::fcntl_setfd(&listener, rustix::io::FdFlags::empty()).unwrap();
    let bind = format!("fd:{}", listener.as_raw_fd());
    for model in process::available(&[
        "reactor",
        "coroutine",
        "uring",
        "level",
        "process",
        "prefork",
        "pool",
        "fixed",
    ]) {
        let args = ["-q", "-b", &bind, "--model", model];
        let output = child("child_builds_a_server_three_times", &args, &[]).output();
        let output = output.unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{model}: {text}");
    }
}

/// In a network namespace of its own, with a link-local address.
#[test]
fn a_link_local_address_is_bound_with_its_zone_and_printed_as_a_url() {
    const SCRIPT: &str = "ip link set lo up && ip addr add fe80::9/64 dev lo nodad || exit 77
        for zone in lo 1 25lo; do
            rm -f banner
            \"$ONELOOP\" --bind \"[fe80::9%$zone]:8080\" >/dev/null 2>banner &
            for try in $(seq 100); do grep -qs Stop banner && break; sleep 0.05; done
            url=$(grep -o 'http://[^ ]*' banner)
            echo \"$url $(curl -sg -m 5 \"${url}hello\")\"
            kill $!
            wait $!
        done";
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("hello"), "hello").unwrap();
    let output = Command::new("unshare")
        .args(["-rn", "sh", "-c", SCRIPT])
        .env("ONELOOP", env!("CARGO_BIN_EXE_oneloop"))
        .current_dir(&folder)
        .output();
    let skip = |why: &str| {
        writeln!(
            io::stderr(),
            "skipped: cannot add a link-local address here: {why}"
        )
        .unwrap();
    };
    let output = match output {
        Ok(output) if output.status.success() => output,
        Ok(output) => return skip(&String::from_utf8_lossy(&output.stderr)),
        Err(error) => return skip(&error.to_string()),
    };
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text, "http://[fe80::9%lo]:8080/ hello\n".repeat(3));
}
