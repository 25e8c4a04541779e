//! Tips for wrong command lines. The tables have the options of other servers (python's
//! http.server, miniserve, caddy, npm's serve and http-server, nginx) and what to write instead.

use std::ffi::OsString;
use std::path::Path;

use clap::error::{ContextKind, ContextValue, Error, ErrorKind};
use clap::{ArgAction, Command};

use super::bind::BindArgument;
use super::values;

/// Options of other servers, and what to write instead.
const OPTIONS: &[(&str, &str)] = &[
    (
        "-d -r -w --dir --directory --root --path --folder --docroot --document-root --public \
         --webroot --serve",
        "the directory needs no option: oneloop DIR",
    ),
    (
        "-a -i -l -H --host --hostname --listen --address --addr --interface --interfaces --ip",
        "the address is --bind ADDR or --bind ADDR:PORT, such as --bind 0.0.0.0:8080",
    ),
    (
        "-S -K --cert --key --tls --ssl --https --certificate --ssl-cert --ssl-key --pem",
        "HTTPS is --tls-cert FILE --tls-key FILE, or --tls-self-signed (docs/tls.md)",
    ),
    (
        "--http2 --http3 --domain",
        "oneloop speaks HTTP/1.1: put a proxy in front for the others (docs/deploy/nginx.conf)",
    ),
    (
        "--auth --basic-auth --user --username --password --htpasswd",
        "oneloop checks no passwords: put a proxy in front that does (docs/deploy/nginx.conf)",
    ),
    (
        "-I --no-index --no-dirlist --no-dir-listing --no-autoindex --no-browse \
         --no-directory-listing --disable-indexing",
        "to list no directories: --no-listing",
    ),
    (
        "--browse --autoindex --listing --directory-listing --dirlist --list",
        "directories without an index are listed unless --no-listing is given",
    ),
    (
        "--log --access-log --logfile --log-path",
        "the access log: --log-file PATH",
    ),
    ("--debug --log-level", "to log more: -v or -vv"),
    (
        "--silent --no-log --no-logging --no-request-logging",
        "to print nothing: --quiet",
    ),
    (
        "--dotfiles --all --show-hidden",
        "to serve names that begin with a dot: --hidden",
    ),
    (
        "-s --single --fallback --try-files --history --rewrite",
        "for a single-page app: --spa",
    ),
    (
        "-g -z -C --gzip --brotli --compression --zstd",
        "page.html.gz, .br or .zst beside page.html is sent to clients that accept it; to compress \
         other files while they are sent: --compress",
    ),
    (
        "--max-age --cache-control --no-cache",
        "caching: --cache auto, --cache no-cache or --cache max-age=3600",
    ),
    (
        "--redirect --redirects --forward --rewrites",
        "redirects and rewrites are rules in the file of --config (docs/configuration.md)",
    ),
    (
        "--pretty-urls --cleanUrls --clean --html-ext",
        "to serve about.html at /about: --clean-urls",
    ),
    (
        "--route-prefix --path-prefix --prefix --base-url --base-path --public-path",
        "to serve ROOT beneath a path: --base /PATH",
    ),
    (
        "--page404 --page-404 --404 --error-pages --error-doc --errorpage",
        "the page of an error: --error-page 404=FILE",
    ),
    (
        "--headers --add-header",
        "to add a header to responses: --header 'NAME: VALUE'",
    ),
    ("-o --open", "open the address that is printed in a browser"),
    (
        "-u --upload --upload-files --upload-dir --mkdir --cgi --proxy -P",
        "oneloop only serves files: no uploads, no CGI, no proxying",
    ),
    (
        "-D --daemon --background --detach",
        "a service manager runs it in the background (docs/deploy/oneloop.service)",
    ),
    (
        "-f --config-file --conf",
        "the configuration file: --config FILE",
    ),
    (
        "-j --threads --jobs",
        "one thread serves every connection; for a pool of threads: --model pool --workers N",
    ),
    (
        "--timeout --keepalive-timeout --keep-alive",
        "the timeouts are --header-timeout, --idle-timeout and --send-timeout",
    ),
    (
        "--index-file --default-file --directory-index",
        "the index: --index NAME",
    ),
    (
        "--symlinks --follow --no-symlinks",
        "to follow links that lead out of ROOT: --follow-symlinks",
    ),
];

/// Commands of other servers, and what to write instead.
const COMMANDS: &[(&str, &str)] = &[
    (
        "serve server start run http file-server up listen",
        "oneloop serves without a command: oneloop [ROOT]",
    ),
    ("help", "the help is: oneloop --help"),
    ("version", "the version is: oneloop --version"),
];

fn find(table: &[(&str, &'static str)], text: &str) -> Option<&'static str> {
    let mut rows = table.iter();
    rows.find_map(|(names, tip)| names.split(' ').any(|name| name == text).then_some(*tip))
}

/// The error, with a tip for what was probably meant in place of the tip of clap.
pub fn explain(mut error: Error, command: &Command, args: &[OsString]) -> Error {
    if !error.use_stderr() {
        return error;
    }
    // The tips are for the options and the ROOT of a server.
    let first = args.get(1).and_then(|arg| arg.to_str());
    if first.is_some_and(|name| command.find_subcommand(name).is_some()) {
        return error;
    }
    if let Some(message) = one_dash(command, args) {
        return raw(command, ErrorKind::UnknownArgument, message);
    }
    let context = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.clone()),
        _ => None,
    };
    if let Some(surplus) = context(ContextKind::InvalidSubcommand) {
        return surplus_root(command, args, &surplus);
    }
    let unknown = context(ContextKind::InvalidArg).unwrap_or_default();
    if error.kind() == ErrorKind::UnknownArgument {
        if !unknown.starts_with('-') {
            return surplus_root(command, args, &unknown);
        }
        // "Use -- --flag" does not help: no directory has such a name.
        error.remove(ContextKind::Suggested);
        let name = unknown.split('=').next().unwrap_or(&unknown);
        if let Some(tip) = find(OPTIONS, name) {
            error.remove(ContextKind::SuggestedArg);
            error.insert(
                ContextKind::Suggested,
                ContextValue::StyledStrs(vec![tip.into()]),
            );
        }
        let usage = command.clone().render_usage();
        error.insert(ContextKind::Usage, ContextValue::StyledStr(usage));
    }
    error
}

/// An error with this message.
pub fn raw(command: &Command, kind: ErrorKind, message: String) -> Error {
    command.clone().error(kind, message)
}

/// The error for `-port 80`, which clap reads as `-p ort` and a ROOT.
fn one_dash(command: &Command, args: &[OsString]) -> Option<String> {
    let options = args.iter().skip(1).take_while(|arg| *arg != "--");
    options.filter_map(|arg| arg.to_str()).find_map(|arg| {
        let (name, _) = arg.split_once('=').unwrap_or((arg, ""));
        let long = name.strip_prefix('-').filter(|long| long.len() > 1)?;
        let mut known = command.get_arguments().filter_map(|arg| arg.get_long());
        known
            .any(|known| known == long)
            .then(|| format!("{name} is not an option; long options have two dashes: --{long}"))
    })
}

/// The error for `surplus`, an argument after ROOT.
fn surplus_root(command: &Command, args: &[OsString], surplus: &str) -> Error {
    let lenient = command.clone().ignore_errors(true);
    let matches = lenient.try_get_matches_from(args).unwrap_or_default();
    let root = matches.try_get_raw("root").ok().flatten();
    let root = root.and_then(|mut values| values.next()?.to_str());
    let root = root.filter(|root| *root != surplus);
    let message = match root {
        _ if command.find_subcommand(surplus).is_some() => {
            format!("the command comes first: oneloop {surplus}")
        }
        None => format!("{surplus} is one argument too many"),
        Some(root) => match as_root(command, args, root) {
            Some(tip) if !Path::new(root).exists() => format!("{root} is not a directory; {tip}"),
            _ => match as_root(command, args, surplus) {
                Some(tip) => format!("{surplus} is one argument too many; {tip}"),
                None => format!(
                    "there are two ROOTs: {root} and {surplus} (start one oneloop for each, or \
                     serve the directory that has both; a name with blanks needs quotes)"
                ),
            },
        },
    };
    raw(command, ErrorKind::ArgumentConflict, message)
}

/// What `text` was probably meant to be, if it is given as ROOT and does not exist.
pub fn as_root(command: &Command, args: &[OsString], text: &str) -> Option<String> {
    let before = args.iter().position(|arg| arg == text);
    let before = before.and_then(|at| args.get(at.checked_sub(1)?)?.to_str()?.strip_prefix("--"));
    let is_switch = |long: &&str| {
        let mut args = command.get_arguments();
        args.any(|arg| {
            arg.get_long() == Some(long) && matches!(arg.get_action(), ArgAction::SetTrue)
        })
    };
    let authority = |url: &str| {
        let (_, rest) = url.split_once("://")?;
        rest.split('/').next().map(str::to_owned)
    };
    if let Some(tip) = find(COMMANDS, text) {
        return Some(tip.to_owned());
    }
    if text.contains("://") {
        return match (before, authority(text)) {
            (Some("cors"), _) => Some(format!(
                "an origin needs an equals sign: --cors={}",
                text.trim_end_matches('/')
            )),
            (_, Some(address)) => Some(format!(
                "ROOT is a directory or a file; to listen at a URL's address: --bind {address}"
            )),
            _ => None,
        };
    }
    if let (Some(switch), Ok(_)) = (before.filter(is_switch), values::switch(text)) {
        return Some(format!(
            "a switch takes its value after an equals sign: --{switch}={text}"
        ));
    }
    let port = text.strip_prefix(':').unwrap_or(text);
    if let Ok(port) = values::port(port) {
        return Some(format!("the port is an option: -p {port}"));
    }
    let is_address = text.contains(':') || text.parse::<std::net::IpAddr>().is_ok();
    if is_address && text.parse::<BindArgument>().is_ok() {
        return Some(format!("the address is an option: --bind {text}"));
    }
    (text == "~" || text.starts_with("~/"))
        .then(|| "the shell replaces ~ only outside of quotes; write the whole path".to_owned())
}

#[cfg(test)]
mod tests {
    use crate::config::{ConfigError, Invocation};

    /// The message of a wrong command line, which exits with 2.
    fn usage(line: &str) -> String {
        let args = std::iter::once("oneloop").chain(line.split(' '));
        match Invocation::from_args(args) {
            Err(ConfigError::Usage(error)) if error.exit_code() == 2 => error.to_string(),
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn an_option_of_another_server_is_answered_with_a_tip() {
        let table = [
            ("8000", "-p 8000"),
            (":8000", "-p 8000"),
            ("8000 src", "-p 8000"),
            ("src 8000", "-p 8000"),
            ("0.0.0.0:8000", "--bind 0.0.0.0:8000"),
            ("::1", "--bind ::1"),
            ("http://localhost:8000/", "--bind localhost:8000"),
            ("src docs", "there are two ROOTs: src and docs"),
            ("src nope", "there are two ROOTs: src and nope"),
            (
                "--cors https://example.org/ src",
                "--cors=https://example.org",
            ),
            ("--cors https://example.org", "--cors=https://example.org"),
            ("--spa false src", "--spa=false"),
            ("--spa 1", "--spa=1"),
            ("-port 80", "--port"),
            ("-bind=lo", "--bind"),
            ("-spa", "--spa"),
            (
                "-p 8080:80",
                "one port, a number from 0 to 65535: --port 80",
            ),
            ("-p 0.0.0.0:80", "--bind 0.0.0.0:80"),
            ("-p abc", "a number from 0 to 65535"),
            ("--port=", "a number from 0 to 65535"),
            ("-d src", "oneloop DIR"),
            ("--directory=src", "oneloop DIR"),
            ("--host 0.0.0.0", "--bind ADDR"),
            ("--listen :80", "--bind ADDR"),
            ("--tls", "--tls-cert FILE --tls-key FILE"),
            ("--http2", "put a proxy in front"),
            ("--auth a:b", "put a proxy in front that does"),
            ("--no-index", "--no-listing"),
            ("--log x", "--log-file PATH"),
            ("serve src", "oneloop [ROOT]"),
            ("file-server", "oneloop [ROOT]"),
            ("help", "oneloop --help"),
            ("~/nope", "outside of quotes"),
            ("--prot 80", "a similar argument exists: '--port'"),
            ("-b unix:@x", "unix:./@x"),
        ];
        for (line, expected) in table {
            let message = usage(line);
            assert!(message.contains(expected), "{line}: {message}");
            assert!(!message.contains("subcommand '"), "{line}: {message}");
            assert!(!message.contains("use '-- "), "{line}: {message}");
        }
    }

    #[test]
    fn no_option_in_the_table_is_an_option_of_oneloop() {
        let command = crate::config::command::command();
        for name in super::OPTIONS
            .iter()
            .flat_map(|(names, _)| names.split(' '))
        {
            let mut args = command.get_arguments();
            let is_ours = args.any(|arg| match name.strip_prefix("--") {
                Some(long) => arg.get_long() == Some(long),
                None => arg.get_short() == name.chars().nth(1),
            });
            assert!(!is_ours, "{name}");
        }
    }

    #[cfg(feature = "study")]
    #[test]
    fn an_argument_that_a_command_does_not_have_is_no_root() {
        for line in ["lab list x", "syscalls x", "poke --nope", "diagram a b"] {
            let (name, _) = line.split_once(' ').unwrap();
            let text = usage(line);
            assert!(text.starts_with("error: unexpected argument "), "{text}");
            assert!(text.contains(&format!("Usage: oneloop {name} ")), "{text}");
        }
    }

    #[cfg(feature = "bench")]
    #[test]
    fn a_command_comes_first_and_its_help_is_found_either_way() {
        assert!(usage("src bench").contains("oneloop bench"));
        let help = |args: [&str; 3]| match Invocation::from_args(args) {
            Err(ConfigError::Usage(error)) if error.exit_code() == 0 => error.to_string(),
            other => panic!("{args:?}: {other:?}"),
        };
        for flag in ["-h", "--help"] {
            assert_eq!(
                help(["oneloop", flag, "bench"]),
                help(["oneloop", "bench", flag])
            );
        }
    }
}
