//! Arguments and an exit code.

// Nothing outside tests panics or reads a clock. clippy.toml has the list of methods.
#![cfg_attr(
    not(test),
    warn(
        clippy::dbg_macro,
        clippy::disallowed_methods,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::string_slice,
        clippy::too_many_lines,
        clippy::unimplemented,
        clippy::unreachable,
        clippy::unwrap_used
    )
)]

use oneloop::access_log::Sink;
use oneloop::banner;
use oneloop::config::{self, Config, Invocation, Model};
use oneloop::diagnostics;
use oneloop::server::Server;
use oneloop::signals::{Action, SignalPolicy};
use oneloop::subcommands;
use std::error::Error;
use std::io::{self, Write};
use std::process::ExitCode;

fn main() -> ExitCode {
    match Invocation::from_args(std::env::args_os()) {
        Ok(Invocation::Serve(config)) => serve(*config),
        Ok(Invocation::Print(text)) => match io::stdout().write_all(&text) {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        },
        Ok(Invocation::Subcommand(name, matches)) => match subcommands::run(&name, &matches) {
            Ok(code) => code,
            // As in `oneloop lab list | head`.
            Err(error) if is_broken_pipe(&*error) => ExitCode::FAILURE,
            Err(error) => fail(&*error),
        },
        Err(error) => ExitCode::from(error.report()),
    }
}

fn serve(config: Config) -> ExitCode {
    let policy = SignalPolicy::install(hangup(&config));
    match config.model {
        // They fork, and a thread does not survive a fork.
        Model::Process | Model::Prefork => diagnostics::start_without_thread(config.verbose),
        _ => diagnostics::start(config.verbose),
    }
    for warning in &config.warnings {
        log::warn!("{warning}");
    }
    let sources = config.sources.clone();
    let result = build_and_run(config, policy);
    diagnostics::finish();
    let Err(error) = result else {
        return ExitCode::SUCCESS;
    };
    let code = fail(&*error);
    for source in &sources {
        let _ = writeln!(io::stderr(), "{}", config::note(source));
    }
    code
}

fn build_and_run(config: Config, policy: SignalPolicy) -> Result<(), Box<dyn Error>> {
    let server = Server::build(&config, policy)?;
    // The warnings so far stand above the banner.
    diagnostics::finish();
    if config.banner {
        banner::print(
            &config,
            server.addresses(),
            server.https_addresses(),
            server.admin_address(),
        );
    }
    // It keeps the sockets that were passed to this process. No other server is built from it, so
    // they close when this server closes its duplicates.
    drop(config);
    Ok(server.run()?)
}

/// What SIGHUP does. The model `fixed` writes no log, and reads its page once.
fn hangup(config: &Config) -> Action {
    let log = config.access_log.as_ref();
    let log_file = log.and_then(|log| log.file.as_deref());
    match config.model {
        Model::Fixed => Action::Stop,
        _ if config.can_be_read_again() => Action::Reload,
        _ if log_file.is_some_and(|path| Sink::named(path).is_file()) => Action::ReopenFiles,
        _ => Action::Stop,
    }
}

/// Whether the reader of standard output has closed it.
fn is_broken_pipe(error: &(dyn Error + 'static)) -> bool {
    let error = error.downcast_ref::<io::Error>();
    error.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

fn fail(error: &dyn Error) -> ExitCode {
    // Nothing can be done if standard error is gone.
    let _ = writeln!(io::stderr(), "oneloop: {error}");
    ExitCode::FAILURE
}
