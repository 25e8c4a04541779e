//! Arguments -> Config -> Site -> the reactor; and the exit code.

use oneloop::access_log::{AccessLog, Format, Sink};
use oneloop::banner::banner;
use oneloop::burn::Burning;
use oneloop::config::{self, Config, Invocation, LogFormat, Model, Root};
use oneloop::diagnostics;
use oneloop::http::fields::FieldLines;
use oneloop::limits::{self, Limits};
use oneloop::models::coroutine::Coroutines;
use oneloop::models::fixed;
use oneloop::models::process::Parent;
use oneloop::models::shared::Shared;
use oneloop::models::{Blocking, Driver};
use oneloop::pump::Service;
use oneloop::reactor::address::{self, Address};
use oneloop::reactor::listen::{Listening, Queue};
use oneloop::reactor::{Reactor, listen};
use oneloop::service::{Front, Tally};
use oneloop::signals::Policy;
use oneloop::site::types::Types;
use oneloop::site::{Options, Site};
use oneloop::subcommands;
use std::error::Error;
use std::fs;
use std::io::{self, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

/// How long the end of the access log may take to be written when the server stops.
const LAST_LINES: Duration = Duration::from_secs(1);

/// What the model with one page sends where there is none.
const NO_PAGE: &[u8] = b"<!doctype html>\n<title>oneloop</title>\n\
    <p>This directory has no index.html; --page names another file.\n";

fn main() -> ExitCode {
    let config = match Invocation::from_args(std::env::args_os()) {
        Ok(Invocation::Serve(config)) => *config,
        Ok(Invocation::Print(text)) => {
            return match io::stdout().write_all(&text) {
                Ok(()) => ExitCode::SUCCESS,
                Err(_) => ExitCode::FAILURE,
            };
        }
        Ok(Invocation::Subcommand(name, matches)) => {
            return match subcommands::run(&name, &matches) {
                Ok(code) => code,
                Err(error) => fail(&*error),
            };
        }
        Err(error) => return ExitCode::from(error.report()),
    };
    let has_log_file = config.model != Model::Fixed
        && config
            .log_file
            .as_deref()
            .is_some_and(|path| Sink::named(path).is_file());
    let policy = Policy::apply(has_log_file);
    match config.model {
        // It forks, and a thread would not come along.
        Model::Process => diagnostics::start_without_thread(config.verbose),
        _ => diagnostics::start(config.verbose),
    }
    for warning in &config.warnings {
        log::warn!("{warning}");
    }
    let variables = config.variables.clone();
    let served = serve(config, policy);
    diagnostics::finish();
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let code = fail(&*error);
            if !variables.is_empty() {
                let _ = writeln!(io::stderr(), "{}", config::note(&variables));
            }
            code
        }
    }
}

fn fail(error: &dyn Error) -> ExitCode {
    // With nobody left to read it there is nothing more to do.
    let _ = writeln!(io::stderr(), "oneloop: {error}");
    ExitCode::FAILURE
}

/// Runs the server until it is told to stop.
fn serve(config: Config, policy: Policy) -> Result<(), Box<dyn Error>> {
    let limits = Arc::new(granted(&config));
    let queue = Queue {
        backlog: limits.backlog,
        deferred: config.defer_accept,
    };
    let listening = listen::open(&config.binds, queue)?;
    let addresses: Vec<Address> = listening.iter().map(|one| one.address.clone()).collect();
    let open = || open_front(&config, &limits);
    let greet = || {
        diagnostics::finish();
        if !config.quiet {
            greet_user(&config, &addresses);
        }
    };
    let model = config.model;
    let front = match model {
        Model::Fixed => {
            let answer = open_page(&config)?;
            let driver = Driver::new(listening, || {}, limits.clone(), policy)?;
            greet();
            driver.run_fixed(&answer)?;
            None
        }
        Model::Sequential | Model::Thread | Model::Pool => {
            let blocking = match model {
                Model::Sequential => Blocking::Sequential,
                Model::Thread => Blocking::Thread,
                _ => Blocking::Pool,
            };
            let shared = Shared::new(open()?).called_when_due();
            let driver = Driver::new(listening, shared.reopener(), limits.clone(), policy)?;
            greet();
            match config.burn {
                None => driver.run(blocking, shared.clone())?,
                Some(time) => driver.run(blocking, Burning::new(shared.clone(), time))?,
            }
            shared.into_inner()
        }
        Model::Process => {
            let parent = Parent::new(listening, limits.clone(), policy)?;
            // Each child opens them for itself. Here it is seen whether that can be done.
            open()?.tallied(None).close(LAST_LINES);
            greet();
            let open = || open().map_err(|error| error.to_string());
            let close = |front: Front| front.close(LAST_LINES);
            match config.burn {
                None => parent.run(open, close)?,
                Some(time) => {
                    let open = || open().map(|front| Burning::new(front, time));
                    parent.run(open, |burning| close(burning.into_inner()))?;
                }
            }
            None
        }
        Model::Coroutine | Model::Reactor => match config.burn {
            None => in_one_poll(model, listening, open()?, limits.clone(), policy, greet)?,
            Some(time) => {
                let burning = Burning::new(open()?, time);
                let burning =
                    in_one_poll(model, listening, burning, limits.clone(), policy, greet)?;
                burning.map(Burning::into_inner)
            }
        },
    };
    if let Some(front) = front {
        front.close(LAST_LINES);
    }
    Ok(())
}

/// Prints what is served, and where.
fn greet_user(config: &Config, addresses: &[Address]) {
    let interfaces = match addresses.iter().any(Address::names_interfaces) {
        true => address::interfaces(),
        false => Vec::new(),
    };
    let text = banner(config, addresses, &interfaces);
    // A server that cannot say where it listens still serves.
    let _ = io::stderr().write_all(text.as_bytes());
}

/// The models with one thread and one poll for everybody.
fn in_one_poll<S: Service + 'static>(
    model: Model,
    listening: Vec<Listening>,
    service: S,
    limits: Arc<Limits>,
    policy: Policy,
    greet: impl FnOnce(),
) -> io::Result<Option<S>> {
    if model == Model::Coroutine {
        let coroutines = Coroutines::new(listening, service, limits, policy)?;
        greet();
        return coroutines.run();
    }
    let reactor = Reactor::new(listening, service, limits, policy)?;
    greet();
    reactor.run().map(Some)
}

/// The limits, with the connections that the system's descriptors allow.
fn granted(config: &Config) -> Limits {
    let descriptors = limits::raise_descriptors();
    let most = limits::connections_within(descriptors);
    let most = match config.model {
        Model::Process => most.min(config.limits.processes),
        Model::Thread => most.min(config.limits.threads),
        _ => most,
    };
    let connections = config.max_connections.unwrap_or(most);
    if connections > limits::connections_within(descriptors) {
        log::warn!(
            "{connections} connections may need more than the {descriptors} descriptors granted \
             (raise the limit: ulimit -n)"
        );
    }
    Limits {
        connections,
        open_file_cache_entries: match config.model {
            // A child sleeps in the reads of its only client, and nothing would close them.
            Model::Process => 0,
            _ => limits::open_files_within(descriptors),
        },
        ..config.limits.clone()
    }
}

/// What the model with one page sends: the file, or the directory's index.
fn open_page(config: &Config) -> Result<Vec<u8>, Box<dyn Error>> {
    let pages: Vec<_> = match &config.root {
        Root::File(path) => vec![path.clone()],
        Root::Directory(path) => config.index.iter().map(|name| path.join(name)).collect(),
    };
    for path in pages {
        let read = fs::metadata(&path).and_then(|about| match about.is_file() {
            true => fs::read(&path),
            // Opening a FIFO would wait for its writer.
            false => Err(io::Error::other("not a regular file")),
        });
        match read {
            Ok(page) => {
                let content_type = types(config).of(path.as_os_str().as_bytes());
                let content_type = content_type.for_content(&page);
                return Ok(fixed::answer(&content_type.to_string(), &page));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                return Err(format!("cannot read the page {}: {error}", path.display()).into());
            }
        }
    }
    Ok(fixed::answer("text/html; charset=utf-8", NO_PAGE))
}

fn open_front(config: &Config, limits: &Arc<Limits>) -> Result<Front, Box<dyn Error>> {
    let site = open_site(config, limits.clone())?;
    let front = Front::new(site, open_log(config, limits)?);
    let Some(path) = &config.tally else {
        return Ok(front);
    };
    let tally = Tally::new(path)
        .map_err(|error| format!("cannot open the tally {}: {error}", path.display()))?;
    Ok(front.tallied(Some(tally)))
}

fn open_site(config: &Config, limits: Arc<Limits>) -> io::Result<Site> {
    let (directory, only) = match &config.root {
        Root::Directory(path) => (path.as_path(), None),
        Root::File(path) => (
            path.parent().unwrap_or(Path::new("/")),
            path.file_name().map(|name| name.as_bytes().to_vec()),
        ),
    };
    let options = Options {
        index: config
            .index
            .iter()
            .map(|name| name.clone().into_vec())
            .collect(),
        listing: config.listing,
        hidden: config.hidden,
        follow_symlinks: config.follow_symlinks,
        spa: config.spa,
        only,
        cors: config.cors.clone(),
        types: types(config),
        lines: every_response(config),
    };
    Site::new(directory, options, limits)
}

fn types(config: &Config) -> Types {
    Types::new(config.types.clone(), config.charset.as_deref())
}

/// The lines that every response carries: ours, unless the user has set them otherwise, and the
/// user's.
fn every_response(config: &Config) -> FieldLines {
    let mut lines = FieldLines::new();
    if config.server_header && !config.headers.has("Server") {
        lines.push("Server", "oneloop");
    }
    if !config.headers.has("X-Content-Type-Options") {
        lines.push("X-Content-Type-Options", "nosniff");
    }
    lines.extend(&config.headers);
    lines
}

fn open_log(config: &Config, limits: &Limits) -> Result<Option<AccessLog>, Box<dyn Error>> {
    let sink = match &config.log_file {
        Some(path) => Sink::named(path),
        None if config.quiet => return Ok(None),
        None => Sink::Stdout,
    };
    let format = match config.log_format {
        LogFormat::Common => Format::Common,
        LogFormat::Combined => Format::Combined,
        LogFormat::Json => Format::Json,
    };
    let log = AccessLog::new(sink, format, limits).map_err(|error| match &config.log_file {
        Some(path) => format!("cannot open the access log {}: {error}", path.display()),
        None => format!("cannot write the access log: {error} (try: --quiet)"),
    })?;
    Ok(Some(log))
}
