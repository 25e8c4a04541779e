//! The configuration file: TOML with a key for each option, under the option's long name, and
//! `root` for ROOT. The command line and the environment override it.
//!
//! A value is checked by the parser of its option, so a key and its option accept the same.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use clap::builder::OsStr;
use clap::error::{ContextKind, ContextValue, Error};
use clap::{Arg, ArgAction, ArgMatches, Command, ValueHint};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::ConfigError;
use super::help_text::OTHER;

/// The longest file, in bytes.
const MAX_SIZE: u64 = 1024 * 1024;

/// The options that a file sets.
pub struct ConfigFile {
    path: PathBuf,
    options: Vec<FileOption>,
}

struct FileOption {
    /// The id of the argument.
    id: String,
    /// The number of the line, from 1.
    line: usize,
    values: Vec<String>,
}

impl ConfigFile {
    /// Reads and checks the file at `path`. `parser` has the options.
    ///
    /// # Errors
    /// The file cannot be read, or is not TOML, or a key or a value is wrong. The error has the
    /// line, the key and what is allowed.
    pub fn read(path: &Path, parser: &Command) -> Result<Self, ConfigError> {
        let wrong = |line, message| ConfigError::File {
            path: path.to_owned(),
            line,
            message,
        };
        let text = read(path).map_err(|error| wrong(None, error.to_string()))?;
        let line_of = |position: usize| {
            let before = text.as_bytes().iter().take(position);
            1 + before.filter(|byte| **byte == b'\n').count()
        };
        let table = DeTable::parse(&text).map_err(|error| {
            let line = error.span().map(|span| line_of(span.start));
            wrong(line, error.message().to_owned())
        })?;
        let mut options = Vec::new();
        let directory = path.parent().unwrap_or(Path::new(""));
        for (key, value) in table.into_inner() {
            let at = |error: String, value: &Spanned<DeValue<'_>>| {
                wrong(
                    Some(line_of(value.span().start)),
                    format!("{}: {error}", key.get_ref()),
                )
            };
            let arg = find(parser, key.get_ref())
                .map_err(|message| wrong(Some(line_of(key.span().start)), message))?;
            let mut values = Vec::new();
            for value in elements(arg, &value).map_err(|error| at(error, &value))? {
                let text = text_of(arg, value.get_ref()).map_err(|error| at(error, value))?;
                let text = beside_file(arg, directory, text);
                check(parser, arg, &text).map_err(|error| at(error, value))?;
                values.push(text);
            }
            options.push(FileOption {
                id: arg.get_id().to_string(),
                line: line_of(key.span().start),
                values,
            });
        }
        Ok(Self {
            path: path.to_owned(),
            options,
        })
    }

    /// The path, as it was given.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The parser, with the values of the file as defaults.
    pub fn set_defaults(&self, parser: Command) -> Command {
        let filled = self
            .options
            .iter()
            .filter(|option| !option.values.is_empty());
        filled.fold(parser, |parser, option| {
            let values = option.values.iter().map(OsStr::from).collect::<Vec<_>>();
            parser.mut_arg(&option.id, |arg| arg.default_values(values))
        })
    }

    /// Whether the value of the option `id` in `matches` comes from the file.
    pub fn sets(&self, id: &str, matches: &ArgMatches) -> bool {
        use clap::parser::ValueSource::DefaultValue;
        self.options.iter().any(|option| option.id == id)
            && matches.value_source(id) == Some(DefaultValue)
    }

    /// The keys that count in `matches`, in a sentence. `None`: everything is overridden.
    pub fn source(&self, matches: &ArgMatches) -> Option<String> {
        let mut options: Vec<_> = self.options.iter().collect();
        options.sort_by_key(|option| option.line);
        let keys: Vec<_> = (options.into_iter())
            .filter(|option| self.sets(&option.id, matches))
            .map(|option| format!("{} (line {})", option.id.replace('_', "-"), option.line))
            .collect();
        (!keys.is_empty()).then(|| format!("{} sets {}", self.path.display(), keys.join(", ")))
    }

    /// An error in the option `id`.
    pub fn error(&self, id: &str, message: String) -> ConfigError {
        let option = self.options.iter().find(|option| option.id == id);
        ConfigError::File {
            path: self.path.clone(),
            line: option.map(|option| option.line),
            message,
        }
    }
}

fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    let length = File::open(path)?
        .take(MAX_SIZE + 1)
        .read_to_string(&mut text)?;
    if length as u64 > MAX_SIZE {
        return Err(io::Error::other(format!(
            "longer than {MAX_SIZE} bytes: this is no configuration file"
        )));
    }
    Ok(text)
}

/// The name of an argument in a file. `None`: it is not set in a file.
fn key_of(arg: &Arg) -> Option<&str> {
    let is_other = arg.is_hide_set() || arg.get_help_heading() == Some(OTHER);
    match arg.get_long() {
        None => Some(arg.get_id().as_str()),
        long => long.filter(|_| !is_other),
    }
}

/// The argument of a key.
fn find<'a>(parser: &'a Command, key: &str) -> Result<&'a Arg, String> {
    let mut args = parser.get_arguments();
    if let Some(arg) = args.find(|arg| key_of(arg) == Some(key)) {
        return Ok(arg);
    }
    let mut keys: Vec<_> = parser.get_arguments().filter_map(key_of).collect();
    keys.sort_unstable();
    // With a hyphen for an underscore, the other way of writing keys.
    let flag = format!("--{}", key.replace('_', "-").to_lowercase());
    let parsed = parser.clone().try_get_matches_from(["oneloop", &flag]);
    let error = parsed.err();
    let suggested = error
        .as_ref()
        .and_then(|error| error.get(ContextKind::SuggestedArg));
    let meant = match suggested {
        Some(ContextValue::String(suggested)) => suggested,
        _ => &flag,
    };
    let meant = meant.trim_start_matches('-');
    if keys.contains(&meant) {
        return Err(format!("there is no key {key}; did you mean {meant}?"));
    }
    Err(format!(
        "there is no key {key}; the keys are {}",
        keys.join(", ")
    ))
}

/// The values of a key: those of a list, or the one.
fn elements<'a, 'b>(
    arg: &Arg,
    value: &'a Spanned<DeValue<'b>>,
) -> Result<Vec<&'a Spanned<DeValue<'b>>>, String> {
    let is_list = matches!(arg.get_action(), ArgAction::Append);
    match value.get_ref() {
        DeValue::Array(values) if !is_list => Err(match values.len() {
            1 => "one value, without brackets".to_owned(),
            _ => "one value, not a list".to_owned(),
        }),
        DeValue::Array(values) if values.is_empty() && !arg.get_default_values().is_empty() => {
            Err("at least one value; leave the key out for the default".to_owned())
        }
        DeValue::Array(values) => Ok(values.iter().collect()),
        _ => Ok(vec![value]),
    }
}

/// The value as it is written on the command line.
fn text_of(arg: &Arg, value: &DeValue<'_>) -> Result<String, String> {
    let is_switch = is_switch(arg);
    match value {
        DeValue::Boolean(value) => Ok(value.to_string()),
        _ if is_switch => Err("true or false, without quotes".to_owned()),
        DeValue::String(text) if text.is_empty() => {
            Err("an empty value; leave the key out for the default".to_owned())
        }
        DeValue::String(text) => Ok(text.to_string()),
        DeValue::Integer(number) => Ok(number.to_string()),
        DeValue::Float(number) => Ok(number.to_string()),
        DeValue::Datetime(_) => Err("a text in quotes, not a date".to_owned()),
        DeValue::Array(_) => Err("a value, not a list in a list".to_owned()),
        DeValue::Table(_) => Err("a value, not a table".to_owned()),
    }
}

fn is_switch(arg: &Arg) -> bool {
    arg.get_default_values()
        .iter()
        .any(|value| value == "false")
}

/// The value with its relative paths at the directory of the file.
fn beside_file(arg: &Arg, directory: &Path, text: String) -> String {
    let join = |path: &str| directory.join(path).to_string_lossy().into_owned();
    match arg.get_value_hint() {
        ValueHint::AnyPath | ValueHint::FilePath if text != "-" => join(&text),
        _ if ["bind", "tls_bind", "admin"].contains(&arg.get_id().as_str()) => {
            let addresses = text
                .split(',')
                .map(|address| match address.strip_prefix("unix:") {
                    Some(path) => format!("unix:{}", join(path)),
                    None => address.to_owned(),
                });
            addresses.collect::<Vec<_>>().join(",")
        }
        _ => text,
    }
}

/// Checks a value with the parser of its option. The error has no name: the caller adds the key.
fn check(parser: &Command, arg: &Arg, text: &str) -> Result<(), String> {
    let args = match arg.get_long() {
        Some(long) => ["oneloop".to_owned(), format!("--{long}={text}")].to_vec(),
        None => ["oneloop", "--", text].map(str::to_owned).to_vec(),
    };
    let parsed = super::environment::ignored(parser.clone()).try_get_matches_from(args);
    parsed.map(drop).map_err(|error| reason(&error))
}

/// What an error of clap says about a value.
fn reason(error: &Error) -> String {
    if let Some(ContextValue::Strings(allowed)) = error.get(ContextKind::ValidValue) {
        return format!("one of {}", allowed.join(", "));
    }
    match std::error::Error::source(error) {
        Some(source) => source.to_string(),
        None => error.kind().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Invocation, Model, RootPath};
    use crate::http::fields::FieldLines;
    use std::fs;
    use tempfile::TempDir;

    /// What oneloop makes of a file with this text, with these arguments.
    fn invoke(text: &str, args: &[&str]) -> (TempDir, Result<Invocation, ConfigError>) {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("site")).unwrap();
        let path = directory.path().join("oneloop.toml");
        fs::write(&path, text).unwrap();
        let options = ["oneloop", "--config", path.to_str().unwrap()];
        let invocation = Invocation::from_args(options.iter().chain(args));
        (directory, invocation)
    }

    fn config(text: &str, args: &[&str]) -> (TempDir, Config) {
        match invoke(text, args) {
            (directory, Ok(Invocation::Serve(config))) => (directory, *config),
            (_, other) => panic!("{text}: {other:?}"),
        }
    }

    /// The error for a file, without its directory.
    fn error(text: &str) -> String {
        let (directory, invocation) = invoke(text, &[]);
        let error = invocation.expect_err(text).to_string();
        error.replace(&format!("{}/", directory.path().display()), "")
    }

    #[test]
    fn every_kind_of_value_reaches_its_option() {
        let text = r#"
            root = "site"
            port = 8_081
            bind = ["::1", "127.0.0.1:0,unix:s", "unix:/s"]
            index = ["a.html", "b"]
            header = ["X-A: b", "X-C: d\nX-E: f"]
            type = "foo=text/plain"
            cors = true
            spa = true
            hidden = false
            grace = 0
            idle-timeout = 0.5
            max-connections = "auto"
            log-file = "a.log"
            model = "pool"
            workers = 3
            verbose = 2
        "#;
        let (directory, config) = config(text, &[]);
        let path = |name: &str| directory.path().join(name);
        let site = config.site;
        assert_eq!(site.root, RootPath::Directory(path("site")));
        let binds: Vec<_> = config
            .listeners
            .binds
            .iter()
            .map(ToString::to_string)
            .collect();
        let socket = format!("unix:{}", path("s").display());
        assert_eq!(binds, ["[::1]:8081", "127.0.0.1:0", &*socket, "unix:/s"]);
        assert_eq!(site.index, ["a.html", "b"]);
        assert_eq!(site.headers.as_bytes(), b"X-A: b\r\nX-C: d\r\nX-E: f\r\n");
        assert_eq!(site.types, [("foo".to_owned(), "text/plain".to_owned())]);
        assert_eq!(
            (site.cors.as_deref(), site.spa, site.hidden),
            (Some("*"), true, false)
        );
        assert_eq!(config.limits.grace_period.as_secs(), 0);
        assert_eq!(config.limits.idle_timeout.as_millis(), 500);
        assert_eq!((config.max_connections, config.verbose), (None, 2));
        assert_eq!(
            config.access_log.and_then(|log| log.file),
            Some(path("a.log"))
        );
        assert_eq!(
            (config.model, config.limits.worker_threads),
            (Model::Pool, 3)
        );
    }

    #[test]
    fn the_command_line_overrides_the_file() {
        let text = "port = 1\nspa = true\nheader = ['X-A: b']\nroot = 'site'";
        let (_, config) = config(text, &["-p2", "--spa=false", "--header=none", "src"]);
        assert_eq!(config.listeners.binds[0].to_string(), "127.0.0.1:2");
        assert!(!config.site.spa && config.site.root.path().ends_with("src"));
        assert_eq!(config.site.headers, FieldLines::new());
        assert!(config.sources.is_empty(), "{:?}", config.sources);
    }

    #[test]
    fn an_empty_file_sets_nothing() {
        let (directory, mut config) = config("", &[]);
        let path = config.file.take();
        assert_eq!(path, Some(directory.path().join("oneloop.toml")));
        let Ok(Invocation::Serve(without)) = Invocation::from_args(["oneloop"]) else {
            panic!("no configuration");
        };
        assert_eq!(format!("{config:?}"), format!("{without:?}"));
    }

    #[test]
    fn an_error_names_the_file_the_line_the_key_and_what_is_allowed() {
        let table = [
            ("prot = 3", "1: there is no key prot; did you mean port?"),
            (
                "\nidle_timeout = 3",
                "2: there is no key idle_timeout; did you mean idle-timeout?",
            ),
            (
                "port = 70000",
                "1: port: a port is a number from 0 to 65535",
            ),
            ("port = 'x'", "1: port: a port is a number from 0 to 65535"),
            ("port = [1]", "1: port: one value, without brackets"),
            ("port = [1, 2]", "1: port: one value, not a list"),
            ("port.a = 1", "1: port: a value, not a table"),
            (
                "grace = 1979-05-27",
                "1: grace: a text in quotes, not a date",
            ),
            ("spa = 'yes'", "1: spa: true or false, without quotes"),
            ("spa = 1", "1: spa: true or false, without quotes"),
            (
                "charset = ''",
                "1: charset: an empty value; leave the key out for the default",
            ),
            (
                "bind = []",
                "1: bind: at least one value; leave the key out for the default",
            ),
            ("index = [['a']]", "1: index: a value, not a list in a list"),
            (
                "log-format = 'x'",
                "1: log-format: one of common, combined, json",
            ),
            (
                "header = [\n'X-A: b',\n'Date: x']",
                "3: header: Date differs between responses: the server computes it",
            ),
            ("port = 1\nport = 2", "2: duplicate key"),
            (
                "model = 'thread'\nworkers = 3",
                "2: workers is for the model pool; add --model pool",
            ),
            (
                "spa = true\nmodel = 'fixed'",
                "1: spa has no effect in the model fixed, which sends one page; leave it out",
            ),
        ];
        for (text, expected) in table {
            let error = error(text);
            let first = error.lines().next().unwrap();
            assert_eq!(first, format!("oneloop.toml:{expected}"), "{text}");
        }
        let unknown = error("zebra = true");
        let keys = "oneloop.toml:1: there is no key zebra; the keys are admin, bind, charset, ";
        assert!(unknown.starts_with(keys), "{unknown}");
        for action in [
            "help",
            "version",
            "config",
            "check",
            "man",
            "completions",
            "tally",
        ] {
            let error = error(&format!("{action} = true"));
            assert!(error.contains(&format!("no key {action};")), "{error}");
        }
    }

    #[test]
    fn an_error_about_several_options_says_where_the_file_sets_them() {
        let note = "\nnote: oneloop.toml sets bind (line 2)";
        assert!(error("\nbind = ['::1', '::1']").ends_with(note));
        let error = error("root = 'nope'");
        assert!(
            error.starts_with("cannot serve \"nope\": no such directory or file"),
            "{error}"
        );
        assert!(
            error.ends_with("\nnote: oneloop.toml sets root (line 1)"),
            "{error}"
        );
    }

    #[test]
    fn a_file_that_cannot_be_read_is_an_error() {
        for (path, expected) in [
            (
                "nope.toml",
                "nope.toml: No such file or directory (os error 2)",
            ),
            ("src", "src: Is a directory (os error 21)"),
            (
                "/dev/zero",
                "/dev/zero: longer than 1048576 bytes: this is no configuration file",
            ),
        ] {
            let error = Invocation::from_args(["oneloop", "-c", path]).unwrap_err();
            assert_eq!(error.to_string(), expected);
            assert_eq!(error.report(), 2);
        }
    }

    #[test]
    fn check_starts_nothing() {
        for args in [&["--check"][..], &["-t", "-p", "1"]] {
            match invoke("port = 80", args).1 {
                Ok(Invocation::Print(text)) => {
                    assert_eq!(text, b"oneloop: the configuration is valid\n");
                }
                other => panic!("{other:?}"),
            }
        }
        assert!(invoke("port = x", &["-t"]).1.is_err());
    }
}
