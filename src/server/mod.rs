//! The server as a value: what a [`Config`] asks for, opened and ready to run.
//!
//! [`Server::build`] does not change the configuration, so each of several processes can call it.
//! It opens sockets and files. What a process does once, such as ignoring signals and installing
//! the logger, is left to the caller.

mod models;

use crate::access_log::{AccessLog, Sink};
use crate::config::{AccessLogConfig, Config, Model, RootPath, SiteConfig};
use crate::handler::Role;
use crate::http::fields::FieldLines;
use crate::http::status::Status;
use crate::https::Https;
use crate::limits::{self, Limits};
use crate::listen::address::Address;
use crate::listen::open::{BoundListener, ListenOptions, expect_proxy_headers, open_listeners};
use crate::models::fixed;
use crate::models::level_triggered::MAX_SELECT_DESCRIPTORS;
use crate::realms::Realms;
use crate::signals::SignalPolicy;
use crate::site::types::Types;
use crate::site::{Hosts, SharedMemory, Site, SiteOptions, Sites};
use crate::site_handler::{Loaded, SiteHandler, Tally, Users};
use crate::transport::blocking::Timeouts;
use std::error::Error;
use std::fs;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// How long a stopping server waits for the reader of its access log to take the last lines.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// What the model `fixed` sends for a directory without an index.
const NO_PAGE: &[u8] = b"<!doctype html>\n<title>oneloop</title>\n\
    <p>This directory has no index.html; --page names another file.\n";

/// A server that listens, and whose site and access log are open. It serves when it is run.
pub struct Server {
    addresses: Vec<Address>,
    https: Vec<Address>,
    admin: Option<Address>,
    run: Run,
}

/// Serves until a signal stops the server, then closes the handler.
type Run = Box<dyn FnOnce() -> io::Result<()>>;

/// What every model takes.
struct ModelParts {
    listeners: Vec<BoundListener>,
    limits: Arc<Limits>,
    policy: SignalPolicy,
    https: Https,
}

impl Server {
    /// Opens the listeners, the site and the access log, and installs the handlers of `policy`.
    /// Connections wait in the kernel until [`run`](Self::run).
    ///
    /// # Errors
    /// With a sentence for the user: a socket, the site, the access log or the tally cannot be
    /// opened, or a poll, a thread or a signal handler cannot be created.
    pub fn build(config: &Config, policy: SignalPolicy) -> Result<Self, Box<dyn Error>> {
        let limits = Arc::new(effective_limits(config));
        let options = listen_options(config, &limits);
        let address = |listener: &BoundListener| listener.address.clone();
        let binds = &config.listeners.binds;
        let mut listeners = open_listeners(binds, options)?;
        let proxy = &config.proxy;
        expect_proxy_headers(&mut listeners, binds, &proxy.binds, &proxy.trusted);
        let addresses = listeners.iter().map(address).collect();
        let (mut https, encrypted) = Https::open(config, options)?;
        https.policy.headers = Arc::new(common_headers(&config.site));
        let https_addresses = encrypted.iter().map(address).collect();
        listeners.extend(encrypted);
        let admin = open_admin(config, options)?;
        let admin_address = admin.as_ref().map(address);
        listeners.extend(admin);
        let parts = ModelParts {
            listeners,
            limits,
            policy,
            https,
        };
        let run = models::build(config, parts)?;
        Ok(Self {
            addresses,
            https: https_addresses,
            admin: admin_address,
            run,
        })
    }

    /// The addresses of plain connections, with the real ports.
    pub fn addresses(&self) -> &[Address] {
        &self.addresses
    }

    /// The addresses of encrypted connections.
    pub fn https_addresses(&self) -> &[Address] {
        &self.https
    }

    /// The address of the operator's listener, if there is one.
    pub fn admin_address(&self) -> Option<&Address> {
        self.admin.as_ref()
    }

    /// Serves until a signal stops it.
    ///
    /// # Errors
    /// The poll or a listening socket fails for good, or a thread cannot be created.
    pub fn run(self) -> io::Result<()> {
        (self.run)()
    }
}

/// The listener of the operator, if `--admin` asks for one.
#[cfg(feature = "admin")]
fn open_admin(
    config: &Config,
    options: ListenOptions,
) -> Result<Option<BoundListener>, Box<dyn Error>> {
    // A browser opens connections before it uses them; the view shows them from then on.
    let options = ListenOptions {
        role: Role::Admin,
        deferred: false,
        ..options
    };
    let has_admin = config.model.has_loop();
    let Some(bind) = config.admin.as_ref().filter(|_| has_admin) else {
        return Ok(None);
    };
    Ok(open_listeners(std::slice::from_ref(bind), options)?.pop())
}

/// Without the feature `admin` there is no such listener.
#[cfg(not(feature = "admin"))]
fn open_admin(_: &Config, _: ListenOptions) -> Result<Option<BoundListener>, Box<dyn Error>> {
    Ok(None)
}

/// The options of the public listeners.
fn listen_options(config: &Config, limits: &Limits) -> ListenOptions {
    let idle = limits.idle_timeout;
    let first_wait = match config.model {
        Model::Sequential => Some(idle.min(limits.min_idle_time)),
        Model::Process | Model::Prefork | Model::Thread | Model::ThreadReuse | Model::Pool => {
            Some(idle)
        }
        _ => None,
    };
    ListenOptions {
        role: Role::Public,
        backlog: limits.backlog,
        deferred: config.listeners.defer_accept,
        has_siblings: config.model == Model::Reactors,
        timeouts: first_wait.map(|wait| Timeouts::new(wait, limits.send_timeout)),
    }
}

/// The configured limits, with the connections and files that the system's descriptors allow.
fn effective_limits(config: &Config) -> Limits {
    let is_select = config.model == Model::Select;
    let descriptors = limits::set_descriptors(is_select.then_some(MAX_SELECT_DESCRIPTORS));
    let within = limits::connections_within(descriptors);
    let default = match config.model {
        Model::Process => within.min(config.limits.max_processes),
        Model::Thread | Model::ThreadReuse => within.min(config.limits.max_threads),
        _ => within,
    };
    let connections = config.max_connections.unwrap_or(default);
    if connections > within {
        log::warn!(
            "{connections} connections may need more than the {descriptors} descriptors granted\
             {}",
            limits::advice_on_descriptors()
        );
    }
    Limits {
        max_connections: connections,
        max_open_file_cache_entries: match config.model {
            // A child blocks in reads of one connection, so nothing would close the files.
            Model::Process | Model::Prefork => 0,
            _ => limits::open_files_within(descriptors),
        },
        ..config.limits.clone()
    }
}

/// The response of the model `fixed`: the file, or the index of the directory.
fn fixed_response(site: &SiteConfig) -> Result<Vec<u8>, Box<dyn Error>> {
    let candidates: Vec<_> = match &site.root {
        RootPath::File(path) => vec![path.clone()],
        RootPath::Directory(path) => site.index.iter().map(|name| path.join(name)).collect(),
    };
    for path in candidates {
        let read = fs::metadata(&path).and_then(|metadata| match metadata.is_file() {
            true => fs::read(&path),
            // Opening a FIFO would wait for its writer.
            false => Err(io::Error::other("not a regular file")),
        });
        match read {
            Ok(page) => {
                let content_type = types(site).of(path.as_os_str().as_bytes());
                let content_type = content_type.for_content(&page);
                return Ok(fixed::response(&content_type.to_string(), &page));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                return Err(format!("cannot read the page {}: {error}", path.display()).into());
            }
        }
    }
    Ok(fixed::response("text/html; charset=utf-8", NO_PAGE))
}

/// The site, with its access log and tally.
fn build_handler(
    config: &Config,
    limits: &Arc<Limits>,
    https: &Https,
) -> Result<SiteHandler, Box<dyn Error>> {
    let log = open_configured_log(config, limits)?;
    let memory = SharedMemory::new(limits);
    let users = Realms::of(config).read()?;
    let handler = handler_for(users, log, config, limits, https, &memory)?;
    if !config.can_be_read_again() {
        return Ok(handler);
    }
    let (config, limits, https) = (config.without_sockets(), limits.clone(), https.clone());
    let load = move || {
        let memory = SharedMemory::new(&limits);
        reload(&config, &limits, &https, &memory).map(|(_, loaded)| loaded)
    };
    Ok(handler.with_reload(Box::new(load)))
}

/// The same, with users that have been read, and an open log. It cannot be read again.
fn handler_for(
    users: Users,
    log: Option<AccessLog>,
    config: &Config,
    limits: &Arc<Limits>,
    https: &Https,
    memory: &SharedMemory,
) -> Result<SiteHandler, Box<dyn Error>> {
    let sites = build_sites(config, limits, memory)?;
    let log_config = config.access_log.as_ref();
    let open_tally = |path: &PathBuf| {
        Tally::new(path)
            .map_err(|error| format!("cannot open the tally {}: {error}", path.display()))
    };
    let tally = config.measurement.tally.as_ref();
    let tally = tally.map(open_tally).transpose()?;
    Ok(SiteHandler::new(sites, log, tally)
        .with_https(https.policy.clone())
        .with_proxies(config.proxy.trusted.clone())
        .with_log_skip(log_config.map_or(Vec::new(), |log| log.skip.clone()))
        .with_users(users))
}

/// The configuration as it is now, opened. Its certificates are used from now on. What else
/// has changed since `started` was read is logged: it has no effect before a restart.
fn reload(
    started: &Config,
    limits: &Arc<Limits>,
    https: &Https,
    memory: &SharedMemory,
) -> Result<(Config, Loaded), String> {
    let config = Config::read_again().map_err(|error| error.to_string())?;
    if started.names_root && !config.names_root {
        return Err(
            "it names no ROOT any more (an empty file, or one that cannot be read twice?), and \
             would serve the working directory; to serve that, write root = \".\""
                .to_owned(),
        );
    }
    let loaded = Loaded {
        sites: build_sites(&config, limits, memory)?,
        users: Realms::of(&config).read()?,
    };
    let replace_certificates = https.read_again(&config)?;
    replace_certificates();
    let changed = started.differences(&config);
    if !changed.is_empty() {
        log::warn!(
            "restart the server to apply what has changed: {}",
            changed.join(", ")
        );
    }
    log::info!("the configuration is read again");
    Ok((config, loaded))
}

fn close(mut handler: SiteHandler) {
    handler.close(FLUSH_TIMEOUT);
}

/// The sites of the configuration.
fn build_sites(
    config: &Config,
    limits: &Arc<Limits>,
    memory: &SharedMemory,
) -> Result<Sites, String> {
    let realms = Realms::of(config);
    let build = |site: &SiteConfig| {
        build_site(site, &realms, limits.clone())
            .map(|site| site.sharing(memory.clone()))
            .map_err(|error| format!("cannot serve {}: {error}", site.root.path().display()))
    };
    let first = build(&config.site)?;
    if config.site.hosts.is_empty() && config.other_sites.is_empty() {
        return Ok(first.into());
    }
    let others = config.other_sites.iter().map(build);
    let others = others.collect::<Result<_, _>>()?;
    let mut hosts = Hosts::new(config.refuses_unknown_hosts);
    let sites = std::iter::once(&config.site).chain(&config.other_sites);
    for (number, site) in sites.enumerate() {
        for host in &site.hosts {
            hosts.add(host, number);
        }
    }
    Ok(Sites::new(first, others, hosts))
}

fn build_site(site: &SiteConfig, realms: &Realms, limits: Arc<Limits>) -> io::Result<Site> {
    let (directory, only) = match &site.root {
        RootPath::Directory(path) => (path.as_path(), None),
        RootPath::File(path) => match (path.parent(), path.file_name()) {
            (Some(directory), Some(name)) => (directory, Some(name.as_bytes().to_vec())),
            // Without a name, everything beside the file would be served.
            _ => return Err(io::ErrorKind::InvalidFilename.into()),
        },
    };
    let names = site.index.iter().cloned();
    let options = SiteOptions {
        index: names.map(OsStringExt::into_vec).collect(),
        listing: site.listing,
        hidden: site.hidden,
        follow_symlinks: site.follow_symlinks,
        spa: site.spa,
        only,
        cors: site.cors.clone(),
        types: types(site),
        headers: common_headers(site),
        rules: site.rules.clone(),
        clean_urls: site.clean_urls,
        compress: site.compress,
        base: site.base.clone().into_bytes(),
        error_pages: error_pages(site),
        protected: realms.protected(site),
    };
    Site::new(directory, options, limits)
}

fn error_pages(site: &SiteConfig) -> Vec<(Status, Vec<u8>)> {
    let pages = site.error_pages.iter();
    pages
        .map(|(status, file)| (*status, file.clone().into_bytes()))
        .collect()
}

fn types(site: &SiteConfig) -> Types {
    Types::new(site.types.clone(), site.charset.as_deref())
}

/// The headers of every response: the server's own, unless the user sets them, and the user's.
fn common_headers(site: &SiteConfig) -> FieldLines {
    let mut headers = FieldLines::new();
    if site.server_header && !site.headers.has("Server") {
        headers.push("Server", "oneloop");
    }
    if !site.headers.has("X-Content-Type-Options") {
        headers.push("X-Content-Type-Options", "nosniff");
    }
    headers.extend(&site.headers);
    headers
}

/// The access log, if the configuration has one.
fn open_configured_log(
    config: &Config,
    limits: &Limits,
) -> Result<Option<AccessLog>, Box<dyn Error>> {
    let log = config.access_log.as_ref();
    log.map(|log| open_log(log, limits)).transpose()
}

fn open_log(config: &AccessLogConfig, limits: &Limits) -> Result<AccessLog, Box<dyn Error>> {
    let sink = match &config.file {
        Some(path) => Sink::named(path),
        None => Sink::Stdout,
    };
    let log = AccessLog::new(sink, config.format, limits).map_err(|error| match &config.file {
        Some(path) => format!("cannot open the access log {}: {error}", path.display()),
        None => format!("cannot write the access log: {error} (try: --quiet)"),
    })?;
    Ok(log)
}
