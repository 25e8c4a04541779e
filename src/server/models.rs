//! Builds the chosen model, with its handler and its probe.

use super::{
    FLUSH_TIMEOUT, ModelParts, Run, build_handler, build_sites, close, fixed_response, handler_for,
    listen_options, open_configured_log, open_log, reload,
};
use crate::access_log::AccessLog;
#[cfg(feature = "admin")]
use crate::admin::{AdminHandler, Metrics};
use crate::burn::Burning;
use crate::config::{Config, Model};
use crate::handler::Handler;
use crate::https::Https;
use crate::limits::Limits;
use crate::listen::open::BoundListener;
use crate::models::coroutine::Coroutines;
use crate::models::level_triggered::{LevelTriggered, Wait};
use crate::models::prefork::Prefork;
use crate::models::process::Parent;
use crate::models::reactors::{Reactors, part};
use crate::models::shared::SharedHandler;
use crate::models::{BlockingModel, BlockingServer, ForkingServer, Uring};
use crate::probe::Probe;
use crate::reactor::Reactor;
use crate::realms::Realms;
use crate::signals::{Action, ActionSource, StopMessages};
use crate::site_handler::{Loaded, SiteHandler, Users};
#[cfg(feature = "study")]
use crate::study::trace;
#[cfg(feature = "study")]
use crate::study::view::View;
use crate::tls::{OverSocket, PlainOrTls};
use crate::transport::Socket;
use std::cell::RefCell;
use std::error::Error;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The transport of a reactor that has listeners with TLS or the PROXY protocol.
type Layered = PlainOrTls<Socket>;

/// The model, with the probe of the configuration.
pub(super) fn build(config: &Config, parts: ModelParts) -> Result<Run, Box<dyn Error>> {
    #[cfg(feature = "study")]
    if let Some(writers) = trace_writers(config.model)
        && let Some(trace) = config.trace.open(writers)?
    {
        let run = build_model(config, parts, trace.clone())?;
        return Ok(Box::new(move || {
            let ended = run();
            trace.finish();
            ended
        }));
    }
    build_model(config, parts, ())
}

/// What makes the records of a trace. `None`: the model cannot be traced.
#[cfg(feature = "study")]
fn trace_writers(model: Model) -> Option<trace::Writers> {
    Some(match model {
        Model::Reactors => return None,
        model if model.has_loop() => trace::Writers::Loop,
        Model::Process | Model::Prefork => trace::Writers::Processes,
        _ => trace::Writers::Threads,
    })
}

fn build_model<P>(config: &Config, parts: ModelParts, probe: P) -> Result<Run, Box<dyn Error>>
where
    P: Probe + Clone + Send + 'static,
{
    match config.model {
        Model::Fixed => build_fixed(config, parts, probe),
        Model::Sequential => build_blocking(BlockingModel::Sequential, config, parts, probe),
        Model::Thread => build_blocking(BlockingModel::Thread, config, parts, probe),
        Model::ThreadReuse => build_blocking(BlockingModel::ThreadReuse, config, parts, probe),
        Model::Pool => build_blocking(BlockingModel::Pool, config, parts, probe),
        Model::Process | Model::Prefork => build_processes(config, parts, probe),
        Model::Coroutine
        | Model::Uring
        | Model::Select
        | Model::Poll
        | Model::Level
        | Model::Reactor => {
            let handler = build_handler(config, &parts.limits, &parts.https)?;
            let dropped = handler.dropped_log_lines();
            match config.measurement.burn {
                None => build_polling(config, parts, handler, dropped, close, probe),
                Some(time) => {
                    let handler = Burning::new(handler, time);
                    let close = |burning: Burning<_>| close(burning.into_inner());
                    build_polling(config, parts, handler, dropped, close, probe)
                }
            }
        }
        Model::Reactors => build_reactors(config, parts, probe),
    }
}

fn build_fixed(
    config: &Config,
    parts: ModelParts,
    mut probe: impl Probe + 'static,
) -> Result<Run, Box<dyn Error>> {
    let response = fixed_response(&config.site)?;
    let server = BlockingServer::new(parts.listeners, |_| {}, parts.limits, parts.policy)?;
    Ok(Box::new(move || server.run_fixed(&response, &mut probe)))
}

/// The models with blocking threads, which share one handler.
fn build_blocking(
    model: BlockingModel,
    config: &Config,
    parts: ModelParts,
    probe: impl Probe + Clone + Send + 'static,
) -> Result<Run, Box<dyn Error>> {
    let ModelParts {
        listeners,
        limits,
        policy,
        https,
    } = parts;
    let shared = SharedHandler::new(build_handler(config, &limits, &https)?).with_timer_thread();
    let server = BlockingServer::new(listeners, shared.reloader(), limits, policy)?;
    let burn = config.measurement.burn;
    Ok(Box::new(move || {
        match burn {
            None => server.run(model, shared.clone(), &probe)?,
            // Outside of the mutex, so that threads compute at the same time.
            Some(time) => server.run(model, Burning::new(shared.clone(), time), &probe)?,
        }
        match shared.into_inner() {
            Some(handler) => close(handler),
            None => log::warn!("the access log may lack its last lines: a connection still runs"),
        }
        Ok(())
    }))
}

/// The models with one thread and one loop. `dropped_log_lines` is for the metrics.
fn build_polling<H: Handler + 'static>(
    config: &Config,
    parts: ModelParts,
    handler: H,
    dropped_log_lines: impl Fn() -> u64 + 'static,
    close: impl Fn(H) + 'static,
    probe: impl Probe + 'static,
) -> Result<Run, Box<dyn Error>> {
    #[cfg(feature = "admin")]
    if config.admin.is_some() {
        let metrics = Metrics::new(dropped_log_lines);
        if config.model == Model::Coroutine {
            let handler = AdminHandler::new(handler, metrics.clone(), ());
            let close = move |admin: AdminHandler<_, _>| close(admin.into_inner());
            return build_coroutines(parts, handler, close, (probe, metrics));
        }
        let pages = FurtherPages::default();
        let handler = AdminHandler::new(handler, metrics.clone(), pages.clone());
        let close = move |admin: AdminHandler<_, _>| close(admin.into_inner());
        return build_engine(
            config.model,
            parts,
            handler,
            close,
            (probe, (metrics, pages)),
        );
    }
    // Nothing is counted.
    drop(dropped_log_lines);
    match config.model {
        Model::Coroutine => build_coroutines(parts, handler, close, probe),
        model => build_engine(model, parts, handler, close, probe),
    }
}

/// What an engine serves to the operator besides metrics: without the feature `study`, nothing.
#[cfg(feature = "study")]
type FurtherPages = View;
#[cfg(all(feature = "admin", not(feature = "study")))]
type FurtherPages = ();

fn build_coroutines<H: Handler + 'static>(
    parts: ModelParts,
    handler: H,
    close: impl Fn(H) + 'static,
    probe: impl Probe + 'static,
) -> Result<Run, Box<dyn Error>> {
    let coroutines = Coroutines::new(parts.listeners, handler, parts.limits, parts.policy, probe)?;
    Ok(Box::new(move || {
        if let Some(handler) = coroutines.run()? {
            close(handler);
        }
        Ok(())
    }))
}

fn build_uring<H: Handler + 'static>(
    parts: ModelParts,
    handler: H,
    close: impl Fn(H) + 'static,
    probe: impl Probe + 'static,
) -> Result<Run, Box<dyn Error>> {
    let uring = Uring::new(parts.listeners, handler, parts.limits, parts.policy, probe)?;
    Ok(Box::new(move || uring.run().map(close)))
}

/// The models with an [`Engine`](crate::event_loop::engine::Engine).
fn build_engine<H: Handler + 'static>(
    model: Model,
    parts: ModelParts,
    handler: H,
    close: impl Fn(H) + 'static,
    probe: impl Probe + 'static,
) -> Result<Run, Box<dyn Error>> {
    let wait = match model {
        Model::Uring => return build_uring(parts, handler, close, probe),
        Model::Level => Wait::Epoll,
        Model::Poll => Wait::Poll,
        Model::Select => Wait::Select,
        _ => return build_reactor(parts, handler, close, probe),
    };
    let server = LevelTriggered::new(
        wait,
        parts.listeners,
        handler,
        parts.limits,
        parts.policy,
        probe,
    )?;
    Ok(Box::new(move || server.run().map(close)))
}

fn build_reactor<H: Handler + 'static>(
    parts: ModelParts,
    handler: H,
    close: impl Fn(H) + 'static,
    probe: impl Probe + 'static,
) -> Result<Run, Box<dyn Error>> {
    let parts = LoopParts {
        listeners: parts.listeners,
        limits: parts.limits,
        actions: parts.policy.into(),
        stop_messages: Arc::new(StopMessages::of(1)),
    };
    build_loop(parts, handler, close, probe)
}

/// What a loop of a reactor takes.
struct LoopParts {
    listeners: Vec<BoundListener>,
    limits: Arc<Limits>,
    actions: ActionSource,
    stop_messages: Arc<StopMessages>,
}

fn build_loop<H: Handler + 'static>(
    parts: LoopParts,
    handler: H,
    close: impl Fn(H) + 'static,
    probe: impl Probe + 'static,
) -> Result<Run, Box<dyn Error>> {
    let has_layers = |listener: &BoundListener| listener.socket.has_layers();
    match parts.listeners.iter().any(has_layers) {
        true => build_loop_over::<Layered, _>(parts, handler, close, probe),
        false => build_loop_over::<Socket, _>(parts, handler, close, probe),
    }
}

fn build_loop_over<T: OverSocket<Socket> + 'static, H: Handler + 'static>(
    parts: LoopParts,
    handler: H,
    close: impl Fn(H) + 'static,
    probe: impl Probe + 'static,
) -> Result<Run, Box<dyn Error>> {
    let LoopParts {
        listeners,
        limits,
        actions,
        stop_messages,
    } = parts;
    let mut reactor = Reactor::<T, _, _>::new(listeners, handler, limits, actions, probe)?;
    reactor.share_stop_messages(stop_messages);
    Ok(Box::new(move || reactor.run().map(close)))
}

/// The model with a reactor for each processor. Each opens a handler for itself, in its thread.
fn build_reactors(
    config: &Config,
    parts: ModelParts,
    probe: impl Probe + Clone + Send + 'static,
) -> Result<Run, Box<dyn Error>> {
    let ModelParts {
        listeners,
        limits,
        policy,
        https,
    } = parts;
    let count = limits.workers.min(limits.max_connections).max(1);
    let options = listen_options(config, &limits);
    let sibling = |listener: &BoundListener| listener.sibling(options);
    let siblings = (1..count).map(|_| listeners.iter().map(sibling).collect());
    let mut all = siblings.collect::<io::Result<Vec<Vec<_>>>>()?;
    all.push(listeners);
    let (handlers, _) = Handlers::new(config, limits.clone(), https)?;
    let handlers = Arc::new(handlers);
    let mut log = open_configured_log(config, &limits)?;
    let burn = config.measurement.burn;
    let stop_messages = Arc::new(StopMessages::of(count));
    let mut reactors = Reactors::new(policy)?;
    for (index, listeners) in all.into_iter().enumerate() {
        let limits = Arc::new(Limits {
            max_connections: part(limits.max_connections, count, index),
            max_open_file_cache_entries: part(limits.max_open_file_cache_entries, count, index),
            ..Limits::clone(&limits)
        });
        let log = log.as_ref().map(AccessLog::sharing);
        let (handlers, probe) = (handlers.clone(), probe.clone());
        let stop_messages = stop_messages.clone();
        reactors.add(move |actions| {
            let handler = handlers.open_for_loop(log, limits.clone())?;
            let parts = LoopParts {
                listeners,
                limits,
                actions: ActionSource::Thread(actions),
                stop_messages,
            };
            match burn {
                None => build_loop(parts, handler, close, probe),
                Some(time) => {
                    let handler = Burning::new(handler, time);
                    let close = |burning: Burning<_>| close(burning.into_inner());
                    build_loop(parts, handler, close, probe)
                }
            }
        })?;
    }
    drop(stop_messages);
    Ok(Box::new(move || {
        reactors.run(|action| match action {
            Action::Reload if !handlers.reload() => Action::ReopenFiles,
            action => action,
        })?;
        if let Some(log) = log.take() {
            log.close(FLUSH_TIMEOUT);
        }
        Ok(())
    }))
}

/// The models with processes. Each child opens a handler for itself.
fn build_processes(
    config: &Config,
    parts: ModelParts,
    probe: impl Probe + Clone + 'static,
) -> Result<Run, Box<dyn Error>> {
    let ModelParts {
        listeners,
        limits,
        policy,
        https,
    } = parts;
    let server = match config.model {
        Model::Prefork => ForkingServer::Prefork(Prefork::new(listeners, limits.clone(), policy)?),
        _ => ForkingServer::PerConnection(Parent::new(listeners, limits.clone(), policy)?),
    };
    let (handlers, handler) = Handlers::new(config, limits, https)?;
    // Built before the forks: a child finds it in its memory.
    let next = RefCell::new(Some(handler));
    let burn = config.measurement.burn;
    Ok(Box::new(move || {
        let open = || handlers.open(next.take());
        let reload = || {
            let is_changed = handlers.reload();
            if is_changed {
                // If it fails, a child builds it, and logs why it cannot.
                next.replace(handlers.build().ok());
            }
            is_changed
        };
        match burn {
            None => server.run(open, reload, close_at_exit, probe),
            Some(time) => server.run(
                || open().map(|handler| Burning::new(handler, time)),
                reload,
                |burning| close_at_exit(burning.into_inner()),
                probe,
            ),
        }
    }))
}

/// As [`close`], but frees no memory: that would touch, and so copy, memory of the parent.
fn close_at_exit(mut handler: SiteHandler) {
    handler.close(FLUSH_TIMEOUT);
    std::mem::forget(handler);
}

/// Opens handlers for the models in which there are several.
struct Handlers {
    /// The configuration at the start.
    started: Config,
    /// That of now. All handlers have the same users, also while their files are changed.
    current: Mutex<(Config, Users)>,
    limits: Arc<Limits>,
    https: Https,
}

impl Handlers {
    /// Finds the errors of the configuration here, and not when the first handler is opened. The
    /// handler that is returned has no log.
    fn new(
        config: &Config,
        limits: Arc<Limits>,
        https: Https,
    ) -> Result<(Self, SiteHandler), Box<dyn Error>> {
        // A child keeps no listening socket, and its parent none that it has closed.
        let started = config.without_sockets();
        let users = Realms::of(config).read()?;
        let handler = handler_for(users.clone(), None, &started, &limits, &https)?;
        if let Some(log) = &config.access_log {
            // Its thread must have ended before a fork.
            open_log(log, &limits)?.close(FLUSH_TIMEOUT);
        }
        let handlers = Self {
            current: Mutex::new((started.clone(), users)),
            started,
            limits,
            https,
        };
        Ok((handlers, handler))
    }

    /// For a process: with a log of its own. `built` is a handler without a log.
    fn open(&self, built: Option<SiteHandler>) -> Result<SiteHandler, Box<dyn Error>> {
        let built = built.map_or_else(|| self.build(), Ok)?;
        let (config, _) = &*self.current();
        Ok(built.with_log(open_configured_log(config, &self.limits)?))
    }

    /// Without a log.
    fn build(&self) -> Result<SiteHandler, Box<dyn Error>> {
        let (config, users) = &*self.current();
        handler_for(users.clone(), None, config, &self.limits, &self.https)
    }

    /// For a loop of several. When it reloads, it gets what was read for all of them.
    fn open_for_loop(
        self: &Arc<Self>,
        log: Option<AccessLog>,
        limits: Arc<Limits>,
    ) -> Result<SiteHandler, Box<dyn Error>> {
        let handler = {
            let (config, users) = &*self.current();
            handler_for(users.clone(), log, config, &limits, &self.https)?
        };
        let all = self.clone();
        let load = move || {
            let (config, users) = &*all.current();
            Ok(Loaded {
                sites: build_sites(config, &limits)?,
                users: users.clone(),
            })
        };
        Ok(handler.with_reload(Box::new(load)))
    }

    /// Reads the configuration again, for the handlers that are opened from now on. Returns whether
    /// that was possible.
    fn reload(&self) -> bool {
        match reload(&self.started, &self.limits, &self.https) {
            Ok((read, loaded)) => {
                let (config, users) = &mut *self.current();
                config.set_sites(read);
                *users = loaded.users;
                true
            }
            Err(error) => {
                log::error!("the configuration stays as it was: {error}");
                false
            }
        }
    }

    fn current(&self) -> MutexGuard<'_, (Config, Users)> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
