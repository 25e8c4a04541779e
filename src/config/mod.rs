//! The configuration, from the command line, the `ONELOOP_*` environment and a file. Every value
//! is checked here and nowhere else. Of the file system only the root is looked at.

pub mod arguments;
pub mod bind;
pub mod choices;
mod command;
mod completions;
mod conflicts;
mod environment;
mod error;
#[cfg(feature = "config-file")]
mod file;
mod help_text;
mod manual;
mod mistakes;
#[cfg(not(feature = "config-file"))]
mod no_file;
mod parser;
pub mod passwords;
mod proxy;
pub mod rules;
pub mod sites;
#[cfg(feature = "tls")]
mod tls;
pub mod types;
pub mod values;

use std::env;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::num::NonZero;
use std::path::{self, Path, PathBuf};
use std::thread::available_parallelism;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{ArgMatches, CommandFactory, FromArgMatches};

use self::arguments::Arguments;
pub use self::choices::Model;
use self::command::command;
use self::error::conflict;
pub use self::error::{ConfigError, RootProblem, note};
#[cfg(not(feature = "config-file"))]
use self::no_file as file;
use self::parser::Parsed;
use self::passwords::{Protect, ProtectTable};
pub use self::proxy::ProxyConfig;
use self::rules::Cache;
use self::sites::SiteParts;
#[cfg(feature = "tls")]
pub use self::tls::TlsConfig;
use self::values::{Cors, Header, Verbosity};
use crate::access_log::LogFormat;
use crate::http::fields::FieldLines;
use crate::http::status::Status;
use crate::limits::Limits;
use crate::listen::address::Bind;
use crate::passwords::Realm;
use crate::site::rules::{Pattern, Rule, check_redirects};
#[cfg(feature = "study")]
use crate::study::trace;
#[cfg(feature = "tls")]
use crate::{clock::Now, tls::Certificates};

/// How to run the server.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where to listen.
    pub listeners: ListenerConfig,
    /// The proxies in front of the server.
    pub proxy: ProxyConfig,
    /// How connections are encrypted; `None`: none is.
    #[cfg(feature = "tls")]
    pub tls: Option<TlsConfig>,
    /// What is served; if there are several sites, the first one.
    pub site: SiteConfig,
    /// The other sites.
    pub other_sites: Vec<SiteConfig>,
    /// Whether ROOT is named, and is not the working directory by default.
    pub names_root: bool,
    /// Whether a request for a host that no site has is refused.
    pub refuses_unknown_hosts: bool,
    /// The access log; `None` writes none.
    pub access_log: Option<AccessLogConfig>,
    /// All bounds, but for those that depend on the descriptor limit (`max_connections` and
    /// `max_open_file_cache_entries`), which have their defaults.
    pub limits: Limits,
    /// Most connections at once, at least 1; `None` derives it from the descriptor limit.
    pub max_connections: Option<usize>,
    /// How to wait for connections.
    pub model: Model,
    /// Whether the start is announced on standard error.
    pub banner: bool,
    /// Messages on standard error: 0 for warnings only, 1 for debugging, 2 and more for everything.
    pub verbose: u8,
    /// For benchmarks.
    pub measurement: MeasurementConfig,
    /// Where the loop writes what it does.
    #[cfg(feature = "study")]
    pub trace: trace::Options,
    /// Where the operator is served; only on this machine.
    #[cfg(feature = "admin")]
    pub admin: Option<Bind>,
    /// Where options are set besides the command line, for messages about values that turn out
    /// wrong: "the environment sets ONELOOP_PORT".
    pub sources: Vec<String>,
    /// The configuration file, if there is one.
    pub file: Option<PathBuf>,
    /// What the operator should know although the server starts.
    pub warnings: Vec<String>,
}

/// Where to listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenerConfig {
    /// The addresses of plain connections, no two alike. None only if others are encrypted.
    pub binds: Vec<Bind>,
    /// Whether the kernel holds a TCP connection until its first bytes arrive (TCP_DEFER_ACCEPT).
    pub defer_accept: bool,
}

/// What is served, and how.
#[derive(Clone, Debug)]
pub struct SiteConfig {
    /// For which hosts it is, in lower case; `*.example.org` is every name below `example.org`.
    pub hosts: Vec<String>,
    /// The directory or the file.
    pub root: RootPath,
    /// Names of index files: at least one; the first that exists is served. Each is one path
    /// segment.
    pub index: Vec<OsString>,
    /// Whether directories without an index are listed.
    pub listing: bool,
    /// Whether names that begin with a dot are served.
    pub hidden: bool,
    /// Whether symbolic links may lead out of the root.
    pub follow_symlinks: bool,
    /// Whether a navigation to an unknown path gets the root's index.
    pub spa: bool,
    /// Extensions and their media types. They come before the built-in ones.
    pub types: Vec<(String, String)>,
    /// The charset of text; `None` sends none.
    pub charset: Option<String>,
    /// Headers for responses. None of them is one that the server computes.
    pub headers: FieldLines,
    /// Whether responses carry the Server header.
    pub server_header: bool,
    /// The value of Access-Control-Allow-Origin.
    pub cors: Option<String>,
    /// What applies to some paths only.
    pub rules: Vec<Rule>,
    /// Whether `about.html` is served at `/about`, too.
    pub clean_urls: bool,
    /// Whether files are compressed while they are sent.
    pub compress: bool,
    /// The path beneath which the site is, without a slash at either end; empty: the whole host.
    pub base: String,
    /// Files of the root that are the bodies of errors. Each exists.
    pub error_pages: Vec<(Status, String)>,
    /// What only some users may request.
    pub protect: Vec<Protect>,
}

/// The access log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessLogConfig {
    /// The file; `None` is standard output.
    pub file: Option<PathBuf>,
    /// The format of a line.
    pub format: LogFormat,
    /// Requests for these paths are not logged if they succeed.
    pub skip: Vec<Pattern>,
}

/// What only benchmarks ask for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MeasurementConfig {
    /// The file to which the counts are appended at the end.
    pub tally: Option<PathBuf>,
    /// Processor time that a request for `/burn` takes; `None` has no such path.
    pub burn: Option<Duration>,
}

/// What is served, as an absolute path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RootPath {
    /// A directory and everything beneath it.
    Directory(PathBuf),
    /// One file, at `/` and at its name.
    File(PathBuf),
}

impl RootPath {
    /// The path, of either kind.
    pub fn path(&self) -> &Path {
        match self {
            Self::Directory(path) | Self::File(path) => path,
        }
    }
}

/// What the command line asks for.
#[derive(Debug)]
pub enum Invocation {
    /// Run the server.
    Serve(Box<Config>),
    /// Write this to standard output.
    Print(Vec<u8>),
    /// Run the subcommand of this name with its arguments.
    Subcommand(String, ArgMatches),
}

impl Invocation {
    /// Reads the command line, program name first, the `ONELOOP_*` environment, and the
    /// configuration file that they name.
    ///
    /// # Errors
    /// `--help` and `--version` are errors, too: clap prints them.
    pub fn from_args<A>(args: impl IntoIterator<Item = A>) -> Result<Self, ConfigError>
    where
        A: Into<OsString> + Clone,
    {
        let args: Vec<OsString> = args.into_iter().map(Into::into).collect();
        let mut parsed = Parsed::new(&args)?;
        if let Some((name, matches)) = parsed.matches.remove_subcommand() {
            return Ok(Self::Subcommand(name, matches));
        }
        let arguments = Arguments::from_arg_matches(&parsed.matches)
            .map_err(|error| error.format(&mut command()))?;
        if let Some(shell) = arguments.completions {
            return Ok(Self::Print(completions::script(shell)));
        }
        if arguments.man {
            return Ok(Self::Print(manual::page()?));
        }
        let is_check = arguments.check;
        let sources = parsed.sources.clone();
        let config = conflicts::check(&arguments, &parsed)
            .and_then(|()| SiteConfig::all(&arguments, &parsed, &args))
            .and_then(|sites| Config::from_arguments(&arguments, sites))
            .and_then(|config| match is_check {
                true => config
                    .check_certificates()
                    .and_then(|()| config.check_passwords())
                    .map(|()| config),
                false => Ok(config),
            })
            .map_err(|error| parsed.locate(None, error))
            .map(|config| Config {
                refuses_unknown_hosts: parsed.refuses_unknown_hosts(),
                names_root: parsed.has_sites() || parsed.is_set("root"),
                ..config
            });
        match config {
            Ok(_) if is_check => Ok(Self::Print(b"oneloop: the configuration is valid\n".into())),
            Ok(config) => Ok(Self::Serve(Box::new(Config {
                warnings: environment::warnings(&Arguments::command(), &parsed.matches)
                    .into_iter()
                    .chain(config.password_warning())
                    .collect(),
                file: parsed.file_path(),
                sources,
                ..config
            }))),
            Err(ConfigError::Root { path, reason }) => {
                let text = path.to_string_lossy();
                let tip = mistakes::as_root(&command(), &args, &text);
                let tip = tip.filter(|_| reason.is_not_found());
                let error = match tip {
                    Some(tip) => {
                        let message = format!("there is no {path:?} to serve; {tip}");
                        mistakes::raw(&command(), ErrorKind::InvalidValue, message).into()
                    }
                    None => ConfigError::Root { path, reason },
                };
                Err(error.with_sources(&sources))
            }
            // It says itself where it is.
            Err(error @ (ConfigError::File { .. } | ConfigError::InFile { .. })) => Err(error),
            Err(error) => Err(error.with_sources(&sources)),
        }
    }
}

impl Config {
    /// Reads the command line and the environment of this process, and the configuration file,
    /// again.
    ///
    /// # Errors
    /// The file is wrong, or the root cannot be served.
    pub fn read_again() -> Result<Self, ConfigError> {
        match Invocation::from_args(env::args_os())? {
            Invocation::Serve(config) => Ok(*config),
            _ => Err(conflict("the command line starts no server".to_owned())),
        }
    }

    /// Reads the certificates and keys, as the start does.
    fn check_certificates(&self) -> Result<(), ConfigError> {
        #[cfg(feature = "tls")]
        if let Some(tls) = &self.tls {
            let read = Certificates::new(&tls.certificates, &[], Now::read().wall);
            read.map_err(|error| conflict(format!("--tls-cert: {error}")))?;
        }
        Ok(())
    }

    /// Reads the files of users, as the start does.
    fn check_passwords(&self) -> Result<(), ConfigError> {
        for protect in self.protect() {
            if let Some(file) = &protect.file {
                Realm::read(file, &protect.realm).map_err(wrong_password_file)?;
            }
        }
        Ok(())
    }

    fn password_warning(&self) -> Option<String> {
        #[cfg(feature = "tls")]
        let redirects = self.tls.as_ref().is_some_and(|tls| tls.redirect);
        #[cfg(not(feature = "tls"))]
        let redirects = false;
        let has_passwords = self.protect().any(|protect| protect.file.is_some());
        let is_needed = has_passwords && !redirects;
        is_needed.then(|| passwords::warning(&self.listeners.binds))?
    }

    /// What the sites protect.
    pub fn protect(&self) -> impl Iterator<Item = &Protect> {
        let sites = std::iter::once(&self.site).chain(&self.other_sites);
        sites.flat_map(|site| &site.protect)
    }

    /// Whether SIGHUP reads it again: the file, the certificates or the users may have changed.
    pub fn can_be_read_again(&self) -> bool {
        if self.protect().next().is_some() {
            return true;
        }
        #[cfg(feature = "tls")]
        if self.tls.is_some() {
            return true;
        }
        self.file.is_some()
    }

    /// A copy that holds no socket which was passed to this process: its server closes it.
    #[must_use]
    pub fn without_sockets(&self) -> Self {
        let mut config = self.clone();
        let binds = config.listeners.binds.iter_mut();
        binds.for_each(Bind::forget_socket);
        #[cfg(feature = "tls")]
        if let Some(tls) = &mut config.tls {
            tls.binds.iter_mut().for_each(Bind::forget_socket);
        }
        config
    }

    /// Takes the sites of `other`.
    pub fn set_sites(&mut self, other: Self) {
        self.site = other.site;
        self.other_sites = other.other_sites;
        self.refuses_unknown_hosts = other.refuses_unknown_hosts;
    }

    /// The options outside of the site whose values are not those of `other`.
    pub fn differences(&self, other: &Self) -> Vec<&'static str> {
        let (listeners, other_listeners) = (&self.listeners, &other.listeners);
        let (limits, other_limits) = (&self.limits, &other.limits);
        let file = |config: &Self| config.access_log.as_ref()?.file.clone();
        let formats = self.access_log.as_ref().zip(other.access_log.as_ref());
        macro_rules! limit {
            ($option:literal, $field:ident) => {
                ($option, limits.$field == other_limits.$field)
            };
        }
        #[cfg(feature = "tls")]
        let tls_binds = |config: &Self| config.tls.as_ref().map(|tls| tls.binds.clone());
        #[cfg(feature = "tls")]
        let policy = |config: &Self| {
            let tls = config.tls.as_ref();
            tls.map_or((false, None), |tls| (tls.redirect, tls.hsts))
        };
        let rows = [
            ("port or bind", listeners.binds == other_listeners.binds),
            (
                "no-defer-accept",
                listeners.defer_accept == other_listeners.defer_accept,
            ),
            ("proxy-protocol", self.proxy.binds == other.proxy.binds),
            ("trusted-proxy", self.proxy.trusted == other.proxy.trusted),
            #[cfg(feature = "admin")]
            ("admin", self.admin == other.admin),
            ("model", self.model == other.model),
            (
                "max-connections",
                self.max_connections == other.max_connections,
            ),
            limit!("workers", workers),
            limit!("compress-cache", max_compressed_cache_bytes),
            limit!("header-timeout", header_timeout),
            limit!("idle-timeout", idle_timeout),
            limit!("send-timeout", send_timeout),
            limit!("min-send-rate", min_send_rate),
            limit!("linger-timeout", linger_timeout),
            limit!("grace", grace_period),
            (
                "log-format",
                formats.is_none_or(|(log, other)| log.format == other.format),
            ),
            (
                "log-skip",
                formats.is_none_or(|(log, other)| log.skip == other.skip),
            ),
            ("log-file", file(self) == file(other)),
            ("quiet", self.banner == other.banner),
            // Certificates are read again.
            #[cfg(feature = "tls")]
            ("tls-bind", tls_binds(self) == tls_binds(other)),
            #[cfg(feature = "tls")]
            ("redirect-https", policy(self).0 == policy(other).0),
            #[cfg(feature = "tls")]
            ("hsts", policy(self).1 == policy(other).1),
            #[cfg(feature = "study")]
            ("trace", self.trace == other.trace),
            ("verbose", self.verbose == other.verbose),
        ];
        let differ = rows.into_iter().filter(|(_, is_equal)| !is_equal);
        differ.map(|(name, _)| name).collect()
    }

    fn from_arguments(
        arguments: &Arguments,
        mut sites: Vec<SiteConfig>,
    ) -> Result<Self, ConfigError> {
        check_places(&sites)?;
        let other_sites = sites.split_off(1);
        let site = sites.remove(0);
        let limits = limits(arguments);
        let max_connections = arguments.max_connections;
        let max_connections = max_connections.and_then(|number| usize::try_from(number).ok());
        let file = arguments.log_file.clone();
        let format = arguments.log_format;
        let skip = arguments.log_skip.clone();
        let burn = arguments.burn;
        let binds = binds(arguments)?;
        #[cfg(feature = "tls")]
        let (binds, tls) = match arguments.model {
            // Its options are refused, and variables may be meant for another model.
            Model::Fixed => (binds, None),
            _ => arguments.tls.divide(binds).map_err(conflict)?,
        };
        let all = binds.iter();
        #[cfg(feature = "tls")]
        let all = all.chain(tls.iter().flat_map(|tls| &tls.binds));
        #[cfg(feature = "admin")]
        if let Some(admin) = arguments.admin.as_ref().filter(|bind| !bind.is_any_port())
            && all.clone().any(|bind| bind == admin)
        {
            return Err(conflict(format!(
                "--admin is {admin}, where the site is, too: use another port"
            )));
        }
        let proxy = arguments.proxy.config(all, arguments.port);
        Ok(Self {
            proxy: proxy.map_err(conflict)?,
            #[cfg(feature = "tls")]
            tls,
            listeners: ListenerConfig {
                binds,
                defer_accept: !arguments.no_defer_accept,
            },
            access_log: (!arguments.quiet || file.is_some()).then_some(AccessLogConfig {
                file,
                format,
                skip,
            }),
            limits,
            max_connections,
            model: arguments.model,
            banner: !arguments.quiet,
            verbose: Verbosity::level(&arguments.verbose),
            measurement: MeasurementConfig {
                tally: arguments.tally.clone(),
                burn: burn.map(|time| Duration::from_millis(time.into())),
            },
            #[cfg(feature = "study")]
            trace: arguments.trace.clone(),
            #[cfg(feature = "admin")]
            admin: arguments.admin.clone(),
            sources: Vec::new(),
            file: None,
            warnings: Vec::new(),
            site,
            other_sites,
            names_root: false,
            refuses_unknown_hosts: false,
        })
    }
}

impl SiteConfig {
    /// The sites of the file, or the one that the options describe.
    fn all(
        arguments: &Arguments,
        parsed: &Parsed,
        args: &[OsString],
    ) -> Result<Vec<Self>, ConfigError> {
        if !parsed.has_sites() {
            let parts = SiteParts {
                rules: parsed.rules(),
                protect: parsed.protect(),
                ..SiteParts::default()
            };
            return Ok(vec![Self::from_arguments(arguments.clone(), parts)?]);
        }
        let sites = parsed.sites(args)?.into_iter();
        sites
            .enumerate()
            .map(|(number, (matches, parts))| {
                let arguments = Arguments::from_arg_matches(&matches)
                    .map_err(|error| error.format(&mut command()))?;
                Self::from_arguments(arguments, parts)
                    .map_err(|error| parsed.locate(Some(number), error))
            })
            .collect()
    }

    fn from_arguments(arguments: Arguments, parts: SiteParts) -> Result<Self, ConfigError> {
        let mut rules = parts.rules;
        let headers = headers(&arguments)?;
        let root = match &arguments.page {
            Some(page) if arguments.model == Model::Fixed => match root(page, false)? {
                RootPath::Directory(_) => Err(ConfigError::Root {
                    path: page.clone(),
                    reason: RootProblem::System(io::ErrorKind::IsADirectory.into()),
                }),
                file => Ok(file),
            },
            _ => root(&arguments.root, !arguments.no_listing),
        }?;
        let error_pages = error_pages(&arguments, &root)?;
        let protect = protect(&arguments, &parts.protect)?;
        let cache = arguments.cache.clone();
        rules.extend(cache.and_then(|cache| cache.0).map(Rule::caching));
        check_redirects(&rules).map_err(|error| ConfigError::Conflict {
            rule: Some(error.rule),
            message: format!("rule: {error}"),
        })?;
        let types = arguments.r#type.into_iter();
        Ok(Self {
            hosts: parts.hosts,
            root,
            rules,
            protect,
            error_pages,
            clean_urls: arguments.clean_urls,
            #[cfg(feature = "compress")]
            compress: arguments.compress,
            #[cfg(not(feature = "compress"))]
            compress: false,
            base: arguments.base.map_or(String::new(), |base| base.0),
            index: arguments.index,
            listing: !arguments.no_listing,
            hidden: arguments.hidden,
            follow_symlinks: arguments.follow_symlinks,
            spa: arguments.spa,
            types: types.flat_map(|rules| rules.0).collect(),
            charset: arguments.charset.0,
            headers,
            server_header: !arguments.no_server_header,
            cors: arguments.cors.and_then(|Cors(origin)| origin),
        })
    }
}

fn binds(arguments: &Arguments) -> Result<Vec<Bind>, ConfigError> {
    let mut binds = Vec::new();
    for argument in &arguments.bind {
        let bind = argument.clone().at(arguments.port);
        if binds.contains(&bind) {
            return Err(conflict(format!(
                "--bind names {bind} twice; once is enough"
            )));
        }
        binds.push(bind);
    }
    Ok(binds)
}

fn headers(arguments: &Arguments) -> Result<FieldLines, ConfigError> {
    let mut lines = FieldLines::new();
    for Header { name, value } in arguments.header.iter().flat_map(|headers| &headers.0) {
        // Browsers refuse a response that has this header twice.
        let is_set = matches!(arguments.cors, Some(Cors(Some(_))));
        if is_set && name.eq_ignore_ascii_case("Access-Control-Allow-Origin") {
            return Err(conflict(format!(
                "--cors sets {name} already; use either --cors or --header"
            )));
        }
        if matches!(arguments.cache, Some(Cache(Some(_))))
            && name.eq_ignore_ascii_case("Cache-Control")
        {
            return Err(conflict(format!(
                "--cache sets {name} already; use either --cache or --header"
            )));
        }
        lines.push(name, value);
    }
    Ok(lines)
}

/// Refuses files of users that one of the sites could send.
fn check_places(sites: &[SiteConfig]) -> Result<(), ConfigError> {
    let files = sites.iter().flat_map(|site| &site.protect);
    for file in files.filter_map(|protect| protect.file.as_ref()) {
        for site in sites {
            passwords::check_place(file, site.root.path()).map_err(wrong_password_file)?;
        }
    }
    Ok(())
}

fn wrong_password_file(error: String) -> ConfigError {
    conflict(format!("--password-file: {error}"))
}

fn protect(arguments: &Arguments, tables: &[ProtectTable]) -> Result<Vec<Protect>, ConfigError> {
    #[cfg(feature = "passwords")]
    let file = arguments.passwords.password_file.as_ref();
    #[cfg(not(feature = "passwords"))]
    let file = None;
    let protect = passwords::protects(tables, file);
    // Also if a variable is set: the page would be public.
    match arguments.model == Model::Fixed && !protect.is_empty() {
        true => Err(conflict(
            "the model fixed asks for no password; leave out --password-file, or choose another \
             --model"
                .to_owned(),
        )),
        false => Ok(protect),
    }
}

/// Checks that each page is a file: a missing one would be noticed when an error occurs.
fn error_pages(
    arguments: &Arguments,
    root: &RootPath,
) -> Result<Vec<(Status, String)>, ConfigError> {
    let pages = arguments.error_page.iter();
    let pages: Vec<_> = pages.filter_map(|page| page.0.clone()).collect();
    for (index, (status, _)) in pages.iter().enumerate() {
        if pages.iter().take(index).any(|(other, _)| other == status) {
            let code = status.code();
            return Err(conflict(format!("--error-page: {code} has two pages")));
        }
    }
    for (status, file) in &pages {
        let RootPath::Directory(directory) = root else {
            let message = "--error-page: ROOT is a single file, which has no error pages";
            return Err(conflict(message.to_owned()));
        };
        let path = directory.join(file);
        let code = status.code();
        match fs::metadata(&path) {
            Ok(metadata) if metadata.is_file() => {}
            Ok(_) => {
                return Err(conflict(format!(
                    "--error-page: {code}: {path:?} is no file"
                )));
            }
            Err(error) => {
                return Err(conflict(format!("--error-page: {code}: {path:?}: {error}")));
            }
        }
    }
    Ok(pages)
}

fn limits(arguments: &Arguments) -> Limits {
    let workers = arguments.workers;
    let workers = workers.and_then(|workers| usize::try_from(workers).ok());
    Limits {
        workers: workers.unwrap_or_else(|| default_workers(arguments.model)),
        header_timeout: arguments.header_timeout.0,
        idle_timeout: arguments.idle_timeout.0,
        send_timeout: arguments.send_timeout.0,
        min_send_rate: arguments.min_send_rate,
        linger_timeout: arguments.linger_timeout.0,
        grace_period: arguments.grace.0,
        #[cfg(feature = "compress")]
        max_compressed_cache_bytes: arguments.compress_cache,
        ..Limits::default()
    }
}

fn default_workers(model: Model) -> usize {
    match model {
        Model::Reactors => available_parallelism().map_or(1, NonZero::get),
        _ => Limits::default().workers,
    }
}

/// Checks that the root can be served: an error at the start is better than a 404 for every
/// request.
fn root(path: &Path, listing: bool) -> Result<RootPath, ConfigError> {
    let look = || {
        let kind = fs::metadata(path)?.file_type();
        if kind.is_dir() {
            // Links in the path are not resolved: they may be changed while the server runs.
            let absolute = path::absolute(path)?;
            // A directory that is listed must be readable. Files can be served from one that may
            // only be searched.
            if listing {
                fs::read_dir(&absolute)?;
            } else {
                fs::metadata(absolute.join("."))?;
            }
            return Ok(Some(RootPath::Directory(absolute)));
        }
        // Only a regular file is opened: opening a FIFO would wait for its writer.
        if kind.is_file() {
            // A link is not resolved: the file is served under the name of the link.
            let absolute = path::absolute(path)?;
            File::open(&absolute)?;
            return Ok(Some(RootPath::File(absolute)));
        }
        Ok(None)
    };
    let reason = match look() {
        Ok(Some(root)) => return Ok(root),
        Ok(None) => RootProblem::NotServable,
        Err(error) => RootProblem::System(error),
    };
    Err(ConfigError::Root {
        path: path.to_owned(),
        reason,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn invoke(args: &[&str]) -> Result<Invocation, ConfigError> {
        Invocation::from_args(["oneloop"].iter().chain(args))
    }

    fn config(args: &[&str]) -> Config {
        match invoke(args) {
            Ok(Invocation::Serve(config)) => *config,
            other => panic!("{args:?}: {other:?}"),
        }
    }

    /// The message of a wrong command line, which exits with 2.
    fn usage(args: &[&str]) -> String {
        match invoke(args) {
            Err(ConfigError::Usage(error)) if error.exit_code() == 2 => error.to_string(),
            Err(error @ ConfigError::Conflict { .. }) => error.to_string(),
            other => panic!("{args:?}: {other:?}"),
        }
    }

    fn binds(args: &[&str]) -> Vec<String> {
        config(args)
            .listeners
            .binds
            .iter()
            .map(Bind::to_string)
            .collect()
    }

    #[test]
    fn without_arguments_the_current_directory_is_served_to_this_machine() {
        let config = config(&[]);
        let site = config.site;
        let here = fs::canonicalize(".").unwrap();
        assert_eq!(site.root, RootPath::Directory(here));
        assert_eq!(binds(&[]), ["127.0.0.1:7890"]);
        assert_eq!(site.index, ["index.html"]);
        assert!(site.listing && site.server_header && config.banner);
        assert!(!site.hidden && !site.follow_symlinks && !site.spa);
        assert_eq!(site.headers, FieldLines::new());
        assert_eq!((site.cors, config.max_connections), (None, None));
        let (file, format, skip) = (None, LogFormat::Combined, Vec::new());
        assert_eq!(
            config.access_log,
            Some(AccessLogConfig { file, format, skip })
        );
        assert_eq!(config.verbose, 0);
        assert_eq!(config.measurement, MeasurementConfig::default());
        let defaults = format!("{:?}", Limits::default());
        assert_eq!(format!("{:?}", config.limits), defaults);
    }

    #[test]
    fn the_port_is_used_for_every_bind_without_a_port() {
        assert_eq!(binds(&["-p", "80"]), ["127.0.0.1:80"]);
        assert_eq!(
            binds(&[
                "-p0",
                "-b",
                "::1",
                "-b=localhost:81,unix:/s",
                "--bind",
                "fd:3"
            ]),
            ["[::1]:0", "localhost:81", "unix:/s", "fd:3"]
        );
    }

    #[test]
    fn two_equal_binds_are_an_error_in_any_spelling() {
        for twice in ["::1,[::1]:7890", "fd:3,fd:3", "unix:/s,unix:/s"] {
            let message = usage(&["-b", twice]);
            assert!(message.contains("twice; once is enough"), "{message}");
        }
        assert_eq!(binds(&["-b", "::1,[::1]:81"]).len(), 2);
    }

    #[test]
    fn every_flag_reaches_its_field() {
        let config = config(&[
            "--index=a.html,b.html",
            "--index=c",
            "--no-listing",
            "--hidden",
            "--follow-symlinks",
            "--spa",
            "--header=X-One: 1",
            "--header=x-two:2",
            "--no-server-header",
            "--cors=https://example.org",
            "--max-connections=5",
            "--header-timeout=0.5",
            "--idle-timeout=2",
            "--send-timeout=3",
            "--min-send-rate=0",
            "--linger-timeout=4",
            "--grace=0",
            "--log-format=json",
            "--log-file=/var/log/x",
            "--tally=/var/log/y",
            "--burn=5",
            "-qvv",
        ]);
        let site = config.site;
        assert_eq!(site.index, ["a.html", "b.html", "c"]);
        assert!(!site.listing && !site.server_header && !config.banner);
        assert!(site.hidden && site.follow_symlinks && site.spa);
        assert_eq!(site.headers.as_bytes(), b"X-One: 1\r\nx-two: 2\r\n");
        assert_eq!(site.cors.as_deref(), Some("https://example.org"));
        assert_eq!(config.max_connections, Some(5));
        let limits = config.limits;
        assert_eq!(limits.header_timeout, Duration::from_millis(500));
        assert_eq!(limits.idle_timeout, Duration::from_secs(2));
        assert_eq!(limits.send_timeout, Duration::from_secs(3));
        assert_eq!(limits.linger_timeout, Duration::from_secs(4));
        assert_eq!(limits.grace_period, Duration::ZERO);
        assert_eq!(limits.min_send_rate, 0);
        assert_eq!(config.verbose, 2);
        let (file, format) = (Some(PathBuf::from("/var/log/x")), LogFormat::Json);
        let skip = Vec::new();
        assert_eq!(
            config.access_log,
            Some(AccessLogConfig { file, format, skip })
        );
        let measurement = config.measurement;
        assert_eq!(measurement.tally.as_deref(), Some(Path::new("/var/log/y")));
        assert_eq!(measurement.burn, Some(Duration::from_millis(5)));
    }

    #[test]
    fn quiet_leaves_only_an_access_log_that_has_a_file() {
        assert_eq!(config(&["-q"]).access_log, None);
        assert!(config(&["-q", "--log-file=-"]).access_log.is_some());
    }

    #[test]
    fn cors_does_not_take_the_root_as_its_value() {
        let config = config(&["--cors", "src"]);
        assert_eq!(config.site.cors.as_deref(), Some("*"));
        assert!(config.site.root.path().ends_with("src"));
    }

    #[test]
    fn an_error_names_the_option_and_the_reason() {
        let table: [(&[&str], &str); 10] = [
            (&["-p", "65536"], "a port is a number from 0 to 65535"),
            (&["-b", "8080"], "a port alone is --port 8080"),
            (&["--index", "a/b"], "a name, not a path"),
            (&["--header", "Date: x"], "the server computes it"),
            (&["--cors=example.org"], "an origin is *"),
            (
                &["--max-connections", "0"],
                "auto, or a whole number from 1",
            ),
            (&["--idle-timeout", "0"], "must be more than 0 seconds"),
            (&["--grace", "-1"], "seconds, such as 10 or 0.5"),
            (&["--log-format", "x"], "common, combined, json"),
            (&["--bnd", "x"], "a similar argument exists: '--bind'"),
        ];
        for (args, expected) in table {
            let message = usage(args);
            assert!(message.contains(expected), "{args:?}: {message}");
        }
    }

    #[test]
    fn a_page_is_for_the_model_fixed_which_refuses_options_it_does_not_use() {
        assert!(usage(&["--page", "Cargo.toml"]).contains("set --model to fixed"));
        let fixed = ["--model", "fixed", "--page", "Cargo.toml"];
        let file = fs::canonicalize("Cargo.toml").unwrap();
        assert_eq!(config(&fixed).site.root, RootPath::File(file));
        assert!(config(&fixed[..2]).site.root.path().is_dir());
        for (option, name) in [
            ("--spa", "--spa"),
            ("--idle-timeout=3", "--idle-timeout"),
            ("--log-file=x", "--log-file"),
            ("--burn=5", "--burn"),
        ] {
            let message = usage(&[&fixed[..2], &[option]].concat());
            let expected = format!("{name} has no effect in the model fixed");
            assert!(message.contains(&expected), "{message}");
        }
        for page in ["src", "nope"] {
            let error = invoke(&["--model", "fixed", "--page", page]).unwrap_err();
            assert!(matches!(error, ConfigError::Root { .. }), "{error}");
        }
    }

    #[cfg(feature = "admin")]
    #[test]
    fn the_admin_listener_has_an_address_of_its_own() {
        let message = usage(&["--bind=127.0.0.1:81", "--admin=127.0.0.1:81"]);
        let expected = "error: --admin is 127.0.0.1:81, where the site is, too: use another port";
        assert!(message.starts_with(expected), "{message}");
        config(&["--bind=127.0.0.1:0", "--admin=127.0.0.1:0"]);
    }

    #[test]
    fn cors_and_a_header_of_the_same_name_are_a_conflict() {
        let header = "--header=access-control-allow-origin: *";
        assert!(usage(&["--cors", header]).contains("--cors sets"));
        config(&[header]);
    }

    #[test]
    fn a_file_can_be_the_root() {
        let file = fs::canonicalize("Cargo.toml").unwrap();
        assert_eq!(config(&["Cargo.toml"]).site.root, RootPath::File(file));
    }

    #[test]
    fn an_error_explains_why_a_root_cannot_be_served() {
        let directory = tempfile::tempdir().unwrap();
        let pipe = directory.path().join("pipe");
        let mode = rustix::fs::Mode::RUSR;
        rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, mode).unwrap();
        let pipe = pipe.to_str().unwrap();
        let table = [
            (
                "nope",
                concat!(
                    "no such directory or file in ",
                    env!("CARGO_MANIFEST_DIR"),
                    " (try: oneloop .)"
                ),
            ),
            ("/nope", "no such directory or file (try: oneloop .)"),
            (
                "Cargo.toml/x",
                "a part of this path is a file (try: oneloop .)",
            ),
            (
                pipe,
                "neither a directory nor a regular file (try: oneloop .)",
            ),
        ];
        for (root, reason) in table {
            let error = invoke(&[root]).unwrap_err();
            assert_eq!(
                error.to_string(),
                format!("cannot serve {root:?}: {reason}")
            );
            assert!(matches!(error, ConfigError::Root { .. }));
        }
    }

    #[test]
    fn the_help_has_every_option_except_hidden_ones_and_fits_a_terminal() {
        let mut command = command();
        let short = command.render_help().to_string();
        let long = command.render_long_help().to_string();
        for text in [&short, &long] {
            for arg in command.get_opts() {
                let flag = format!("--{}", arg.get_long().unwrap());
                let is_hidden = ["tally", "burn"].contains(&arg.get_id().as_str());
                assert_eq!(text.contains(&flag), !is_hidden, "{flag}");
                assert!(arg.get_help_heading().is_some(), "{flag} has no heading");
            }
            for line in text.lines() {
                assert!(line.chars().count() <= 80, "too wide: {line}");
            }
            assert!(text.contains("Examples:") && !text.contains("[env"));
        }
        assert!(short.lines().count() < 100, "the short help is short");
        assert!(long.len() > short.len());
    }

    #[test]
    fn every_option_has_a_variable_of_its_own_name() {
        for arg in Arguments::command().get_arguments() {
            let id = arg.get_id().as_str();
            const NONE: [&str; 7] = [
                "check",
                "completions",
                "man",
                "help",
                "version",
                "tally",
                "burn",
            ];
            if NONE.contains(&id) {
                assert_eq!(arg.get_env(), None, "{id} is an action or hidden");
                continue;
            }
            let expected = format!("ONELOOP_{}", id.to_uppercase());
            assert_eq!(arg.get_env(), Some(expected.as_ref()), "{id}");
        }
    }

    #[test]
    fn clap_accepts_the_command() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn completions_and_the_manual_page_are_printed() {
        let print = |args: &[&str]| match invoke(args) {
            Ok(Invocation::Print(bytes)) => String::from_utf8(bytes).unwrap(),
            other => panic!("{args:?}: {other:?}"),
        };
        for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
            let script = print(&["--completions", shell]);
            assert!(script.contains("idle-timeout"), "{shell}");
        }
        let page = print(&["--man", "nope"]);
        assert!(page.contains(".TH ONELOOP 1"), "{page}");
        assert!(page.contains("ONELOOP_SEND_TIMEOUT"), "{page}");
    }

    #[test]
    fn help_and_version_exit_with_0() {
        for flag in ["-h", "--help", "-V", "--version"] {
            let Err(ConfigError::Usage(answer)) = invoke(&[flag]) else {
                panic!("{flag}");
            };
            assert_eq!(answer.exit_code(), 0, "{flag}");
            assert!(!answer.use_stderr(), "{flag}");
        }
    }
}
