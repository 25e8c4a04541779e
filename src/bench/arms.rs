//! The arms: our models, other programs, and servers that already run.

use super::arguments::RunOptions;
use super::record::{Arm, ArmKind};
use super::shell_words;
use std::net::{SocketAddr, ToSocketAddrs};

/// The models. A run has all of them unless the command line names some.
pub const MODELS: &[&str] = &[
    "reactor",
    "coroutine",
    "thread",
    "pool",
    "process",
    SEQUENTIAL,
];

/// The model that serves one connection at a time.
pub const SEQUENTIAL: &str = "sequential";

/// An arm, and how to start it.
#[derive(Clone, Debug, PartialEq)]
pub struct ArmSpec {
    /// Its record in `run.json`.
    pub arm: Arm,
    /// How it is started.
    pub start: Start,
    /// Whether it takes part only in cells that need one connection at a time.
    pub single_connection: bool,
    /// The most connections that the benchmark opens.
    pub max_connections: u32,
    /// Whether its connections need extra time to open.
    pub is_slow_to_start: bool,
}

/// How an arm is started.
#[derive(Clone, Debug, PartialEq)]
pub enum Start {
    /// Our program, with this model.
    Model(String),
    /// Another program: the words of its command, with `{port}` and `{root}`.
    Command(Vec<String>),
    /// It already runs.
    Running(Url),
}

/// The URL of a server that already runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    /// The address.
    pub address: SocketAddr,
    /// The path, as in the request line.
    pub path: String,
}

/// The arms of a run: the reference first, then its control.
///
/// # Errors
/// With a sentence for the user, if a model is unknown or a command or a URL is malformed.
pub fn of(options: &RunOptions) -> Result<Vec<ArmSpec>, String> {
    let named: Vec<&str> = options.models.iter().map(|name| name.trim()).collect();
    if let Some(unknown) = named.iter().find(|name| !MODELS.contains(name)) {
        return Err(format!(
            "there is no model `{unknown}`; there are {}",
            MODELS.join(", ")
        ));
    }
    let mut names: Vec<&str> = Vec::new();
    let chosen = if named.is_empty() { MODELS } else { &named };
    for name in chosen {
        if !names.contains(name) {
            names.push(name);
        }
    }
    if let Some(at) = names.iter().position(|name| *name == "reactor") {
        names.swap(0, at);
    }
    let mut arm_specs: Vec<ArmSpec> = names
        .iter()
        .map(|name| model(name, named.is_empty()))
        .collect();
    if let Some(reference) = arm_specs.first().cloned() {
        arm_specs.insert(1, control(reference));
    }
    for text in &options.server {
        arm_specs.push(command(text)?);
    }
    for text in &options.target {
        arm_specs.push(running(text)?);
    }
    make_unique(&mut arm_specs);
    Ok(arm_specs)
}

fn model(name: &str, usual: bool) -> ArmSpec {
    let command = ["oneloop", "-q", "-p", "{port}", "--model", name, "{root}"];
    ArmSpec {
        arm: Arm {
            name: name.to_owned(),
            kind: ArmKind::Model,
            command: command.map(str::to_owned).to_vec(),
        },
        start: Start::Model(name.to_owned()),
        single_connection: usual && name == SEQUENTIAL,
        // More processes or stacks would exhaust the memory of a small machine.
        max_connections: match name {
            "process" => 2000,
            "thread" => 12_000,
            _ => u32::MAX,
        },
        is_slow_to_start: name == "process",
    }
}

/// The same program again, under its own name.
fn control(reference: ArmSpec) -> ArmSpec {
    let arm = Arm {
        name: format!("{}'", reference.arm.name),
        kind: ArmKind::Control,
        ..reference.arm
    };
    ArmSpec { arm, ..reference }
}

fn command(text: &str) -> Result<ArmSpec, String> {
    let (name, text) = named(text);
    let parts = shell_words::split(text).map_err(|error| format!("--server '{text}': {error}"))?;
    let Some(program) = parts.first() else {
        return Err("--server has no program".to_owned());
    };
    if !parts.iter().any(|part| part.contains("{port}")) {
        return Err(format!(
            "--server '{text}' does not say where {{port}} goes: the server must listen on \
             127.0.0.1:{{port}}"
        ));
    }
    let file = program.rsplit('/').next().unwrap_or(program);
    Ok(ArmSpec {
        arm: Arm {
            name: name.unwrap_or(file).to_owned(),
            kind: ArmKind::Server,
            command: parts.clone(),
        },
        start: Start::Command(parts),
        single_connection: false,
        max_connections: u32::MAX,
        is_slow_to_start: false,
    })
}

/// Splits `nginx=nginx -p {root}` into the name and the command.
fn named(text: &str) -> (Option<&str>, &str) {
    let in_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '+');
    match text.split_once('=') {
        Some((name, rest)) if !name.is_empty() && name.chars().all(in_name) => (Some(name), rest),
        _ => (None, text),
    }
}

fn running(text: &str) -> Result<ArmSpec, String> {
    let url = url(text).map_err(|error| format!("--target {text}: {error}"))?;
    Ok(ArmSpec {
        arm: Arm {
            name: text.trim_start_matches("http://").to_owned(),
            kind: ArmKind::Target,
            command: Vec::new(),
        },
        start: Start::Running(url),
        single_connection: false,
        max_connections: u32::MAX,
        is_slow_to_start: false,
    })
}

/// Parses a URL.
fn url(text: &str) -> Result<Url, String> {
    let Some(rest) = text.strip_prefix("http://") else {
        return Err("it must begin with http://; other protocols are not supported".to_owned());
    };
    let rest = rest.split_once('#').map_or(rest, |(before, _)| before);
    let at = rest.find(['/', '?']).unwrap_or(rest.len());
    let (host, path) = rest.split_at_checked(at).unwrap_or((rest, ""));
    let path = match path {
        path if path.starts_with('/') => path.to_owned(),
        path => format!("/{path}"),
    };
    if !path.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("blanks and characters outside ASCII must be percent-encoded".to_owned());
    }
    let bare = host.ends_with(']') || !host.contains(':');
    let host = if bare {
        format!("{host}:80")
    } else {
        host.to_owned()
    };
    let found = host.to_socket_addrs();
    let mut found = found.map_err(|error| format!("{host} is not found ({error})"))?;
    let address = found
        .next()
        .ok_or_else(|| format!("{host} has no address"))?;
    Ok(Url { address, path })
}

/// Adds a number to names that occur twice.
fn make_unique(arm_specs: &mut [ArmSpec]) {
    let mut taken: Vec<String> = Vec::new();
    for arm_spec in arm_specs {
        let name = arm_spec.arm.name.clone();
        let mut number = 2;
        while taken.contains(&arm_spec.arm.name) {
            arm_spec.arm.name = format!("{name}-{number}");
            number += 1;
        }
        taken.push(arm_spec.arm.name.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::arguments::{Arguments, RunOptions};
    use clap::Parser;

    fn options(args: &[&str]) -> RunOptions {
        Arguments::try_parse_from(["bench"].iter().chain(args))
            .unwrap()
            .run
    }

    fn names(args: &[&str]) -> Vec<String> {
        let arm_specs = of(&options(args)).unwrap();
        arm_specs.into_iter().map(|one| one.arm.name).collect()
    }

    #[test]
    fn the_reactor_is_first_and_its_control_second() {
        let args = ["--models", "thread,reactor,thread"];
        assert_eq!(names(&args), ["reactor", "reactor'", "thread"]);
        assert_eq!(names(&["--models", "pool"]), ["pool", "pool'"]);
        let usual = names(&[]);
        assert_eq!(usual.len(), MODELS.len() + 1);
        assert_eq!(usual[..2], ["reactor", "reactor'"]);
    }

    #[test]
    fn a_named_sequential_model_takes_part_everywhere() {
        let single_connection = |args: &[&str]| {
            let arm_specs = of(&options(args)).unwrap();
            arm_specs.iter().any(|one| one.single_connection)
        };
        assert!(single_connection(&[]));
        assert!(!single_connection(&["--models", "sequential"]));
    }

    #[test]
    fn the_error_for_an_unknown_model_lists_the_known_ones() {
        let error = of(&options(&["--models", "reactor,threads"])).unwrap_err();
        assert_eq!(
            error,
            format!(
                "there is no model `threads`; there are {}",
                MODELS.join(", ")
            )
        );
    }

    #[test]
    fn a_server_may_have_a_name_before_its_command() {
        let server = |text: &str| command(text).map(|one| (one.arm.name, one.arm.command));
        let parts = ["/usr/sbin/nginx", "-p", "{root}", "-g", "listen {port};"];
        let parts = parts.map(str::to_owned).to_vec();
        let text = "/usr/sbin/nginx -p {root} -g 'listen {port};'";
        assert_eq!(server(text), Ok(("nginx".to_owned(), parts.clone())));
        let named = format!("plain={text}");
        assert_eq!(server(&named), Ok(("plain".to_owned(), parts)));
        let with_equals = server("caddy --listen=:{port}");
        assert_eq!(with_equals.map(|one| one.0), Ok("caddy".to_owned()));
        assert!(server("nginx").unwrap_err().contains("{port}"));
        assert!(server("nginx 'x {port}").unwrap_err().contains("quote"));
        assert!(server("").is_err());
    }

    #[test]
    fn two_servers_of_one_program_have_different_names() {
        let args = [
            "--models",
            "pool",
            "--server",
            "a {port}",
            "--server",
            "a {port} x",
        ];
        assert_eq!(names(&args), ["pool", "pool'", "a", "a-2"]);
    }

    #[test]
    fn a_target_is_parsed() {
        let table = [
            ("http://127.0.0.1:8080", "127.0.0.1:8080", "/"),
            ("http://127.0.0.1/a/b?c=d#e", "127.0.0.1:80", "/a/b?c=d"),
            ("http://[::1]:81/x", "[::1]:81", "/x"),
            ("http://[::1]", "[::1]:80", "/"),
            ("http://127.0.0.1:8080?q", "127.0.0.1:8080", "/?q"),
        ];
        for (text, address, path) in table {
            let expected = Url {
                address: address.parse().unwrap(),
                path: path.to_owned(),
            };
            assert_eq!(url(text), Ok(expected), "{text}");
        }
        for text in [
            "https://127.0.0.1",
            "127.0.0.1:80",
            "http://127.0.0.1/a b",
            "http://:x/",
        ] {
            assert!(url(text).is_err(), "{text}");
        }
    }
}
