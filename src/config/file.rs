//! The configuration file: TOML with a key for each option, under the option's long name, and
//! `root` for ROOT. The command line and the environment override it.
//!
//! A value is checked by the parser of its option, so a key and its option accept the same.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use clap::builder::{OsStr, Resettable};
use clap::error::{ContextKind, ContextValue, Error};
use clap::{Arg, ArgAction, ArgMatches, Command, Parser, ValueHint};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::ConfigError;
use super::help_text::OTHER;
use super::passwords::{ProtectArguments, ProtectTable};
use super::rules::RuleArguments;
use super::sites::{self, HOSTS, SiteParts};
use super::values;
use crate::site::rules::Rule;

/// The longest file, in bytes.
const MAX_SIZE: u64 = 1024 * 1024;

/// The options that a file sets.
pub struct ConfigFile {
    path: PathBuf,
    options: Vec<FileOption>,
    rules: Vec<FileRule>,
    protect: Vec<ProtectTable>,
    sites: Vec<SiteTable>,
    refuses_unknown_hosts: bool,
}

/// A `[[site]]`.
struct SiteTable {
    options: Vec<FileOption>,
    hosts: Vec<String>,
    rules: Vec<FileRule>,
    protect: Vec<ProtectTable>,
}

/// A `[[rule]]`.
struct FileRule {
    /// The number of the line where it begins, from 1.
    line: usize,
    rule: Rule,
}

/// The keys that are no options.
const RULE: &str = "rule";
const PROTECT: &str = "protect";
const SITE: &str = "site";
const UNKNOWN_HOST: &str = "unknown-host";

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
        let bytes = read(path).map_err(|error| wrong(None, error.to_string()))?;
        let text = str::from_utf8(&bytes).map_err(|error| {
            let line = line_of(&bytes, error.valid_up_to());
            wrong(Some(line), "this line is not UTF-8".to_owned())
        })?;
        let source = Source {
            path,
            text,
            directory: directory(path),
        };
        let table = DeTable::parse(text).map_err(|error| {
            let at = error.span().map(|span| span.start);
            source.error(at, error.message().to_owned())
        })?;
        let mut table = table.into_inner();
        let rules = source.rules(&mut table)?;
        let protect = source.protect(&mut table)?;
        let sites = source.sites(&mut table, parser)?;
        let refuses_unknown_hosts = source.refuses_unknown_hosts(&mut table, &sites)?;
        if let (Some(root), false) = (table.get_key_value("root"), sites.is_empty()) {
            let message = "root: each [[site]] has its own; leave this one out".to_owned();
            return Err(source.error(Some(root.0.span().start), message));
        }
        Ok(Self {
            path: path.to_owned(),
            options: source.options(table, parser, &[RULE, PROTECT, SITE, UNKNOWN_HOST])?,
            rules,
            protect,
            sites,
            refuses_unknown_hosts,
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

    /// The number of sites; 0 if the file has none.
    pub fn site_count(&self) -> usize {
        self.sites.len()
    }

    /// Whether a request for a host that no site has is refused.
    pub fn refuses_unknown_hosts(&self) -> bool {
        self.refuses_unknown_hosts
    }

    /// The parser, with the values of a site as defaults, and what else the site has. Headers and
    /// types are added to those of all sites.
    pub fn site(&self, number: usize, parser: Command) -> Option<(Command, SiteParts)> {
        let site = self.sites.get(number)?;
        let filled = site
            .options
            .iter()
            .filter(|option| !option.values.is_empty());
        let parser = filled.fold(self.set_defaults(parser), |parser, option| {
            let common = self.options.iter().find(|common| common.id == option.id);
            let common = common.map_or(&[][..], |common| &common.values);
            let values = match &*option.id {
                "header" => [
                    values::other_headers(common, &option.values),
                    option.values.clone(),
                ],
                "type" => [common.to_vec(), option.values.clone()],
                _ => [Vec::new(), option.values.clone()],
            };
            let values: Vec<_> = values.iter().flatten().map(OsStr::from).collect();
            // The variable would be meant for all sites, and ROOT cannot be.
            parser.mut_arg(&option.id, |arg| arg.default_values(values))
        });
        let parts = SiteParts {
            hosts: site.hosts.clone(),
            rules: self
                .rules_of(Some(site))
                .map(|one| one.rule.clone())
                .collect(),
            protect: [&*site.protect, &*self.protect].concat(),
        };
        Some((
            parser.mut_arg("root", |arg| arg.env(Resettable::Reset)),
            parts,
        ))
    }

    /// The rules for all sites, in order.
    pub fn rules(&self) -> Vec<Rule> {
        self.rules_of(None).map(|one| one.rule.clone()).collect()
    }

    /// What is protected in all sites.
    pub fn protect(&self) -> &[ProtectTable] {
        &self.protect
    }

    /// The rules of a site, then those for all sites.
    fn rules_of<'s>(&'s self, site: Option<&'s SiteTable>) -> impl Iterator<Item = &'s FileRule> {
        let own = site.map_or(&[][..], |site| &site.rules);
        own.iter().chain(&self.rules)
    }

    /// The error, with the place of the first option that it names and the file sets, or of its
    /// rule. `site` is the number of the site that the error is about, if there are any.
    pub fn locate(
        &self,
        site: Option<usize>,
        matches: &ArgMatches,
        error: ConfigError,
    ) -> ConfigError {
        let site = site.and_then(|number| self.sites.get(number));
        let in_site = |id: &str| {
            let options = site.map_or(&[][..], |site| &site.options);
            options.iter().find(|option| option.id == id)
        };
        let line_of = |id: &str| {
            let common = self.options.iter().find(|option| option.id == id);
            let common = common.filter(|_| self.sets(id, matches));
            in_site(id).or(common).map(|option| option.line)
        };
        match error {
            ConfigError::Conflict { message, rule } => {
                let rule = rule.and_then(|index| self.rules_of(site).nth(index));
                let mut named = message.split_whitespace().filter_map(option_in);
                let line = rule.map(|rule| rule.line);
                let line = line.or_else(|| named.find_map(|id| line_of(&id)));
                match line {
                    None => ConfigError::Conflict {
                        message,
                        rule: None,
                    },
                    line => ConfigError::File {
                        path: self.path.clone(),
                        line,
                        message: with_keys(&message),
                    },
                }
            }
            ConfigError::Root { .. } => match line_of("root") {
                None => error,
                Some(line) => ConfigError::InFile {
                    path: self.path.clone(),
                    line,
                    error: Box::new(error),
                },
            },
            error => error,
        }
    }
}

/// The text of a file, for errors that name the line.
struct Source<'s> {
    path: &'s Path,
    text: &'s str,
    /// Where relative paths begin.
    directory: &'s Path,
}

type Table<'s> = DeTable<'s>;

impl Source<'_> {
    /// An error at this offset.
    fn error(&self, at: Option<usize>, message: String) -> ConfigError {
        ConfigError::File {
            path: self.path.to_owned(),
            line: at.map(|at| self.line_of(at)),
            message,
        }
    }

    fn line_of(&self, at: usize) -> usize {
        line_of(self.text.as_bytes(), at)
    }

    /// The options in `table`. `further` are the keys that it may have, too.
    fn options(
        &self,
        table: Table<'_>,
        parser: &Command,
        further: &[&str],
    ) -> Result<Vec<FileOption>, ConfigError> {
        let mut options = Vec::new();
        for (key, value) in table {
            let at = |error: String, value: &Spanned<DeValue<'_>>| {
                let message = format!("{}: {error}", key.get_ref());
                self.error(Some(value.span().start), message)
            };
            let start = key.span().start;
            let arg = find(parser, key.get_ref(), further)
                .map_err(|message| self.error(Some(start), message))?;
            let mut values = Vec::new();
            for value in elements(arg, &value).map_err(|error| at(error, &value))? {
                let text = text_of(parser, arg, value.get_ref());
                let text = text.map_err(|error| at(error, value))?;
                let text = beside_file(arg, self.directory, text);
                check(parser, arg, &text).map_err(|error| at(error, value))?;
                values.push(text);
            }
            options.push(FileOption {
                id: arg.get_id().to_string(),
                line: self.line_of(start),
                values,
            });
        }
        Ok(options)
    }

    /// Takes the rules out of `table`.
    fn rules(&self, table: &mut Table<'_>) -> Result<Vec<FileRule>, ConfigError> {
        let rules = self
            .parsed(table, RULE, RuleArguments::into_rule)?
            .into_iter();
        Ok(rules.map(|(line, rule)| FileRule { line, rule }).collect())
    }

    /// Takes what is protected out of `table`.
    fn protect(&self, table: &mut Table<'_>) -> Result<Vec<ProtectTable>, ConfigError> {
        let tables = self.parsed(table, PROTECT, ProtectArguments::into_table)?;
        Ok(tables.into_iter().map(|(_, table)| table).collect())
    }

    /// Takes the tables `[[key]]` out of `table`, and makes something of each. Returns it with the
    /// number of its line.
    fn parsed<P: Parser, T>(
        &self,
        table: &mut Table<'_>,
        key: &str,
        make: fn(P) -> Result<T, String>,
    ) -> Result<Vec<(usize, T)>, ConfigError> {
        let parser = P::command();
        let mut made = Vec::new();
        for (at, table) in self.tables(table, key)? {
            let options = self.options(table, &parser, &[])?;
            let lines = options.iter().flat_map(|option| {
                let name = option.id.replace('_', "-");
                let values = option.values.iter();
                values.map(move |value| format!("--{name}={value}"))
            });
            let args = std::iter::once(key.to_owned()).chain(lines);
            let one = P::try_parse_from(args)
                .map_err(|error| reason(&error))
                .and_then(make);
            let one = one.map_err(|message| self.error(Some(at), format!("{key}: {message}")))?;
            made.push((self.line_of(at), one));
        }
        Ok(made)
    }

    /// Takes the sites out of `table`.
    fn sites(
        &self,
        table: &mut Table<'_>,
        parser: &Command,
    ) -> Result<Vec<SiteTable>, ConfigError> {
        let parser = sites::parser(parser);
        let mut found: Vec<SiteTable> = Vec::new();
        for (at, mut table) in self.tables(table, SITE)? {
            let rules = self.rules(&mut table)?;
            let protect = self.protect(&mut table)?;
            let mut options = self.options(table, &parser, &[RULE, PROTECT])?;
            let hosts = options.extract_if(.., |option| option.id == HOSTS);
            let hosts = hosts.flat_map(|option| option.values);
            let hosts: Vec<_> = hosts
                .map(|host| host.strip_suffix('.').unwrap_or(&host).to_ascii_lowercase())
                .collect();
            let wrong = |message: String| self.error(Some(at), format!("{SITE}: {message}"));
            if !options.iter().any(|option| option.id == "root") {
                return Err(wrong("root is missing".to_owned()));
            }
            if hosts.is_empty() && !found.is_empty() {
                return Err(wrong(
                    "hosts is missing: only the first site may answer without one".to_owned(),
                ));
            }
            let known = found.iter().flat_map(|site| &site.hosts);
            let mut known: Vec<_> = known.collect();
            for host in &hosts {
                if known.contains(&host) {
                    return Err(wrong(format!("the host {host} is named twice")));
                }
                known.push(host);
            }
            found.push(SiteTable {
                options,
                hosts,
                rules,
                protect,
            });
        }
        Ok(found)
    }

    /// Takes the policy for unknown hosts out of `table`.
    fn refuses_unknown_hosts(
        &self,
        table: &mut Table<'_>,
        sites: &[SiteTable],
    ) -> Result<bool, ConfigError> {
        let Some(value) = table.remove(UNKNOWN_HOST) else {
            return Ok(false);
        };
        let wrong = |message: &str| {
            let message = format!("{UNKNOWN_HOST}: {message}");
            self.error(Some(value.span().start), message)
        };
        let refuses = match value.get_ref() {
            DeValue::String(text) if text == "refuse" => true,
            DeValue::String(text) if text == "first-site" => false,
            _ => return Err(wrong("\"first-site\" or \"refuse\"")),
        };
        match sites.first() {
            None => Err(wrong("it is for sites: write [[site]], with the key hosts")),
            Some(first) if refuses && first.hosts.is_empty() => Err(wrong(
                "the first site needs hosts, or nothing would reach it",
            )),
            Some(_) => Ok(refuses),
        }
    }

    /// Takes the tables `[[key]]` out of `table`, each with its offset.
    fn tables<'t>(
        &self,
        table: &mut Table<'t>,
        key: &str,
    ) -> Result<Vec<(usize, Table<'t>)>, ConfigError> {
        let Some(value) = table.remove(key) else {
            return Ok(Vec::new());
        };
        let wrong = |at| {
            self.error(
                Some(at),
                format!("{key}: write [[{key}]], and its keys below"),
            )
        };
        let at = value.span().start;
        let DeValue::Array(values) = value.into_inner() else {
            return Err(wrong(at));
        };
        let tables = values.into_iter().map(|value| {
            let at = value.span().start;
            match value.into_inner() {
                DeValue::Table(table) => Ok((at, table)),
                _ => Err(wrong(at)),
            }
        });
        tables.collect()
    }
}

/// The number of the line with this offset, from 1.
fn line_of(text: &[u8], at: usize) -> usize {
    let before = text.iter().take(at);
    1 + before.filter(|byte| **byte == b'\n').count()
}

/// The id of the option that a word of a message names, as in `--log-file`.
fn option_in(word: &str) -> Option<String> {
    let name = word.strip_prefix("--")?;
    let is_name = |c: char| c.is_ascii_lowercase() || c == '-';
    let end = name.find(|c| !is_name(c)).unwrap_or(name.len());
    let (name, _) = name.split_at(end);
    Some(name.replace('-', "_"))
}

/// The message with the options as they are called in a file.
fn with_keys(message: &str) -> String {
    let words = message.split(' ');
    let words: Vec<_> = words
        .map(|word| match option_in(word) {
            Some(_) => word.trim_start_matches('-'),
            None => word,
        })
        .collect();
    words.join(" ")
}

/// Where relative paths in the file at `path` begin: at its directory, or for a pipe, such as
/// standard input, at the working directory.
fn directory(path: &Path) -> &Path {
    let parent = path.parent().filter(|_| path.is_file());
    parent.unwrap_or(Path::new(""))
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    let length = File::open(path)?
        .take(MAX_SIZE + 1)
        .read_to_end(&mut text)?;
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

/// The argument of a key. `further` are keys without an argument.
fn find<'a>(parser: &'a Command, key: &str, further: &[&str]) -> Result<&'a Arg, String> {
    let mut args = parser.get_arguments();
    if let Some(arg) = args.find(|arg| key_of(arg) == Some(key)) {
        return Ok(arg);
    }
    let mut keys: Vec<_> = parser.get_arguments().filter_map(key_of).collect();
    keys.extend(further);
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
    // A terminal obeys control characters.
    let shown = key.escape_debug();
    if keys.contains(&meant) {
        return Err(format!("there is no key {shown}; did you mean {meant}?"));
    }
    Err(format!(
        "there is no key {shown}; the keys are {}",
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
fn text_of(parser: &Command, arg: &Arg, value: &DeValue<'_>) -> Result<String, String> {
    let is_switch = is_switch(arg);
    match value {
        DeValue::Boolean(_) | DeValue::Integer(_) | DeValue::Float(_) if is_text(parser, arg) => {
            Err("a text, in quotes".to_owned())
        }
        DeValue::Boolean(value) => Ok(value.to_string()),
        _ if is_switch => Err("true or false, without quotes".to_owned()),
        DeValue::String(text) if text.is_empty() => {
            Err("an empty value; leave the key out for the default".to_owned())
        }
        // A variable of the environment has several headers. A file has lists for that, and what
        // fills in its values shall not be able to add a header.
        DeValue::String(text) if arg.get_id() == "header" && text.contains(['\r', '\n']) => {
            Err("one header, without a line break; write a list for several".to_owned())
        }
        DeValue::String(text) if is_number(parser, arg, text) => {
            Err("a number, without quotes".to_owned())
        }
        DeValue::String(text) => Ok(text.to_string()),
        DeValue::Integer(number) => Ok(number.to_string()),
        DeValue::Float(number) => Ok(number.to_string()),
        DeValue::Datetime(_) => Err("a text in quotes, not a date".to_owned()),
        DeValue::Array(_) => Err("a value, not a list in a list".to_owned()),
        DeValue::Table(_) => Err("a value, not a table".to_owned()),
    }
}

/// Whether any word is a value.
fn is_text(parser: &Command, arg: &Arg) -> bool {
    check(parser, arg, "word").is_ok()
}

/// Whether `text` is a number, and that is what the value must be.
fn is_number(parser: &Command, arg: &Arg, text: &str) -> bool {
    text.parse::<f64>().is_ok() && !is_text(parser, arg) && check(parser, arg, text).is_ok()
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
        // It stands for no file.
        _ if arg.get_id() == "password_file" && text == "none" => text,
        ValueHint::AnyPath | ValueHint::FilePath if text != "-" => join(&text),
        _ if ["bind", "tls_bind", "proxy_protocol", "admin"].contains(&arg.get_id().as_str()) => {
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
            header = ["X-A: b", "X-C: d"]
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
        assert_eq!(site.headers.as_bytes(), b"X-A: b\r\nX-C: d\r\n");
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
        assert_eq!((config.model, config.limits.workers), (Model::Pool, 3));
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
                "\"p\\u001brt\" = 3",
                "1: there is no key p\\u{1b}rt; did you mean port?",
            ),
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
                "2: workers is for the models pool, prefork and reactors; set model to one of them",
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
        let keys = "oneloop.toml:1: there is no key zebra; the keys are admin, base, bind, cache, ";
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
    fn an_error_in_a_site_names_the_key_and_what_is_allowed() {
        let first = "[[site]]\nroot = 'site'\nhosts = 'a'\n";
        let table = [
            ("[site]", "1: site: write [[site]], and its keys below"),
            ("[[site]]\nhosts = 'a'", "1: site: root is missing"),
            (
                "[[site]]\nroot = 'site'\nhost = 'a'",
                "3: there is no key host; did you mean hosts?",
            ),
            (
                "[[site]]\nroot = 'site'\nhosts = 'a:80'",
                "3: hosts: a host without a port, such as example.org, *.example.org, 127.0.0.1 or \
                 [::1]",
            ),
            (
                "root = '.'\n[[site]]\nroot = 'site'",
                "1: root: each [[site]] has its own; leave this one out",
            ),
            (
                "unknown-host = 'refuse'",
                "1: unknown-host: it is for sites: write [[site]], with the key hosts",
            ),
            (
                "unknown-host = 'drop'\n[[site]]\nroot = 'site'\nhosts = 'a'",
                "1: unknown-host: \"first-site\" or \"refuse\"",
            ),
            (
                "unknown-host = 'refuse'\n[[site]]\nroot = 'site'",
                "1: unknown-host: the first site needs hosts, or nothing would reach it",
            ),
        ];
        let with_first = [
            (
                "[[site]]\nroot = 'site'",
                "4: site: hosts is missing: only the first site may answer without one",
            ),
            (
                "[[site]]\nroot = 'site'\nhosts = 'A'",
                "4: site: the host a is named twice",
            ),
            (
                "[[site.rule]]\npath = '/'",
                "4: rule: the rule has no effect: only path is set",
            ),
        ];
        let table = table.map(|(text, expected)| (text.to_owned(), expected));
        let with_first = with_first.map(|(text, expected)| (format!("{first}{text}"), expected));
        for (text, expected) in table.into_iter().chain(with_first) {
            let error = error(&text);
            let line = error.lines().next().unwrap();
            assert_eq!(line, format!("oneloop.toml:{expected}"), "{text}");
        }
        let port = error(&format!("{first}port = 80"));
        assert!(
            port.contains("4: there is no key port; the keys are base, cache,"),
            "{port}"
        );
        let unknown_root = error("[[site]]\nroot = 'nope'");
        assert!(
            unknown_root.contains("no such directory or file"),
            "{unknown_root}"
        );
        let (_, invocation) = invoke(first, &["src"]);
        let error = invocation.unwrap_err().to_string();
        assert!(
            error.contains("has its own root; leave out ROOT"),
            "{error}"
        );
    }

    #[test]
    fn a_site_has_its_keys_and_those_of_the_top() {
        let text = r#"
            spa = true
            header = ["X-A: top", "X-B: top"]
            type = ["a=text/a", "b=text/b"]
            [[rule]]
            path = "/all"
            cache = "no-cache"
            [[site]]
            root = "site"
            [[site]]
            root = "site"
            hosts = ["B.example", "*.c"]
            spa = false
            header = ["x-a: site", "X-C: site"]
            type = "b=text/c"
            [[site.rule]]
            path = "/own"
            cache = "no-store"
        "#;
        let (_directory, config) = config(text, &["--hidden"]);
        let (first, [second]) = (&config.site, &config.other_sites[..]) else {
            panic!("two sites: {config:?}");
        };
        assert!(first.spa && first.hidden && !second.spa && second.hidden);
        assert_eq!(first.headers.as_bytes(), b"X-A: top\r\nX-B: top\r\n");
        assert_eq!(
            second.headers.as_bytes(),
            b"X-B: top\r\nx-a: site\r\nX-C: site\r\n"
        );
        assert_eq!((first.types.len(), second.types.len()), (2, 3));
        assert_eq!((first.rules.len(), second.rules.len()), (1, 2));
        assert_eq!(second.rules[0].paths[0].to_string(), "/own");
        assert_eq!(second.hosts, ["b.example", "*.c"]);
    }

    #[test]
    fn an_error_in_a_rule_names_the_key_and_what_is_allowed() {
        let table = [
            ("rule = 1", "1: rule: write [[rule]], and its keys below"),
            ("rule = [1]", "1: rule: write [[rule]], and its keys below"),
            (
                "[rule]\npath = '/'",
                "1: rule: write [[rule]], and its keys below",
            ),
            (
                "[[rule]]",
                "1: rule: path is missing: for which paths the rule is",
            ),
            (
                "\n[[rule]]\npath = '/'",
                "2: rule: the rule has no effect: only path is set",
            ),
            (
                "[[rule]]\npath = '/'\nheaders = ['X-A: b']",
                "3: there is no key headers; did you mean header?",
            ),
            (
                "[[rule]]\npath = 'a/b'",
                "2: path: a path begins with a slash, and a pattern for names has none, such as \
                 /assets/** or *.html",
            ),
            (
                "[[rule]]\npath = '/'\ncache = 'imutable'",
                "3: cache: \"imutable\" is not auto and no directive of Cache-Control (immutable, \
                 max-age, must-revalidate, must-understand, no-cache, no-store, no-transform, \
                 private, proxy-revalidate, public, s-maxage, stale-if-error, \
                 stale-while-revalidate)",
            ),
            (
                "[[rule]]\npath = '/'\nencoding = 'deflate'",
                "3: encoding: one of br, gzip, zstd",
            ),
            (
                "[[rule]]\npath = '/'\nstatus = 303",
                "3: status: 301, 302, 307 or 308",
            ),
            (
                "[[rule]]\npath = '/'\nstatus = 301",
                "1: rule: status is for redirect, which is missing",
            ),
            (
                "[[rule]]\npath = '/'\nredirect = '/a'\nrewrite = '/b'",
                "1: rule: either redirect or rewrite, not both",
            ),
            (
                "[[rule]]\npath = '/a*'\nredirect = '/{rest}'",
                "1: rule: {rest} needs a path that ends in /** and has no other wildcard, unlike \
                 /a*",
            ),
            (
                "[[rule]]\npath = '/'\nrewrite = 'https://example.org/'",
                "3: rewrite: a rewrite leads to a path, without a host and a query",
            ),
            (
                "[[rule]]\npath = '/'\ncache = 'no-cache'\nheader = ['Cache-Control: x']",
                "1: rule: cache sets Cache-Control already; use either cache or header",
            ),
            (
                "[[rule]]\npath = '/'\nheader = ['Location: x']",
                "3: header: Location differs between responses: the server computes it",
            ),
        ];
        for (text, expected) in table {
            let error = error(text);
            let first = error.lines().next().unwrap();
            assert_eq!(first, format!("oneloop.toml:{expected}"), "{text}");
        }
    }

    #[test]
    fn an_error_about_several_options_has_the_line_of_the_first_that_the_file_sets() {
        let table = [
            (
                "\nbind = ['::1', '::1']",
                "2: bind names [::1]:7890 twice; once is enough",
            ),
            (
                "root = 'site'\ncors = true\nheader = 'Access-Control-Allow-Origin: *'",
                "2: cors sets Access-Control-Allow-Origin already; use either cors or header",
            ),
            (
                "root = 'site'\nheader = 'Cache-Control: no-store'\ncache = 'no-cache'",
                "3: cache sets Cache-Control already; use either cache or header",
            ),
            (
                "root = 'site'\nerror-page = ['404=nope.html']",
                "2: error-page: 404: \"site/nope.html\": No such file or directory (os error 2)",
            ),
            (
                "[[site]]\nroot = 'site'\nerror-page = ['404=a.html', '404=b.html']",
                "3: error-page: 404 has two pages",
            ),
            (
                "error-page = '404=nope.html'\n[[site]]\nroot = 'site'",
                "1: error-page: 404: \"site/nope.html\": No such file or directory (os error 2)",
            ),
            (
                "root = 'site'\n[[rule]]\npath = '/a'\nredirect = '/b'\n\n[[rule]]\npath = '/b'\n\
                 redirect = '/a'",
                "2: rule: /a: a client would be redirected from there without end",
            ),
            (
                "[[rule]]\npath = '/a'\nredirect = '/a/a'\n[[site]]\nroot = 'site'\n\
                 [[site.rule]]\npath = '/b/**'\nredirect = '/b/b/{rest}'\n\
                 [[site.rule]]\npath = '/c'\n\
                 cache = 'no-cache'",
                "6: rule: /b/**: a client would be redirected from there without end",
            ),
            (
                "root = 'nope'",
                "1: root: cannot serve \"nope\": no such directory or file (try: oneloop .)",
            ),
            (
                "[[site]]\nroot = 'site'\n[[site]]\nhosts = 'a'\nroot = 'nope'",
                "5: root: cannot serve \"nope\": no such directory or file (try: oneloop .)",
            ),
        ];
        for (text, expected) in table {
            assert_eq!(error(text), format!("oneloop.toml:{expected}"), "{text}");
        }
    }

    #[cfg(feature = "tls")]
    #[test]
    fn an_error_about_https_has_the_line_of_the_first_option_that_the_file_sets() {
        let table = [
            (
                "root = 'site'\nredirect-https = true",
                "2: redirect-https is for HTTPS, which needs tls-cert FILE or tls-self-signed",
            ),
            (
                "root = 'site'\ntls-cert = 'a'\ntls-self-signed = true",
                "3: tls-self-signed makes a certificate; leave out tls-cert and tls-key",
            ),
            (
                "root = 'site'\ntls-cert = ['a', 'b']\ntls-key = 'c'",
                "2: each tls-cert needs its tls-key: there are 2 and 1",
            ),
        ];
        for (text, expected) in table {
            assert_eq!(error(text), format!("oneloop.toml:{expected}"), "{text}");
        }
    }

    /// The command line overrides the file, so the line of the file would be wrong.
    #[test]
    fn an_error_about_an_option_that_the_command_line_sets_names_no_line() {
        let (_directory, invocation) = invoke("root = 'site'\nbind = '::1'", &["-b=::1", "-b=::1"]);
        let error = invocation.unwrap_err().to_string();
        assert!(
            error.starts_with("error: --bind names [::1]:7890 twice; once is enough"),
            "{error}"
        );
    }

    #[test]
    fn a_value_of_another_type_than_that_of_the_key_is_an_error() {
        let table = [
            ("root = 3", "1: root: a text, in quotes"),
            ("index = ['a', 3]", "1: index: a text, in quotes"),
            ("index = true", "1: index: a text, in quotes"),
            ("spa = 1", "1: spa: true or false, without quotes"),
            ("port = '80'", "1: port: a number, without quotes"),
            ("grace = '0.5'", "1: grace: a number, without quotes"),
            (
                "max-connections = '9'",
                "1: max-connections: a number, without quotes",
            ),
            ("verbose = '2'", "1: verbose: a number, without quotes"),
            (
                "verbose = 3",
                "1: verbose: 0 logs only warnings, 1 logs more, 2 adds mio's messages",
            ),
            (
                "[[rule]]\npath = 3\ncache = 'no-cache'",
                "2: path: a text, in quotes",
            ),
            (
                "[[site]]\nroot = 'site'\nhosts = ['a', 3]",
                "3: hosts: a text, in quotes",
            ),
        ];
        for (text, expected) in table {
            assert_eq!(error(text), format!("oneloop.toml:{expected}"), "{text}");
        }
    }

    #[test]
    fn a_header_with_a_line_break_is_an_error_and_not_two_headers() {
        let expected = "header: one header, without a line break; write a list for several";
        for (text, line) in [
            (r#"header = "X-A: b\r\nX-C: d""#, 1),
            (r#"header = ["X-A: b", "X-C: d\nX-E: f"]"#, 1),
            ("header = [\n'X-A: b',\n'''X-C: d\n''']", 3),
            ("[[rule]]\npath = '/'\nheader = \"X-A: b\\rX-C: d\"", 3),
            ("[[site]]\nroot = 'site'\nheader = \"X-A: b\\nX-C: d\"", 3),
        ] {
            let expected = format!("oneloop.toml:{line}: {expected}");
            assert_eq!(error(text), expected, "{text}");
        }
    }

    #[test]
    fn a_file_that_is_no_utf_8_is_an_error_with_the_line() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.toml");
        fs::write(&path, b"root = 'site'\nindex = '\xff'\n").unwrap();
        let error = Invocation::from_args(["oneloop", "-c", path.to_str().unwrap()]);
        assert_eq!(
            error.unwrap_err().to_string(),
            format!("{}:2: this line is not UTF-8", path.display())
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
