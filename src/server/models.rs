//! Builds the chosen model, with its handler and its probe.

use super::{
    FLUSH_TIMEOUT, ModelParts, Run, build_handler, build_sites, close, fixed_response, handler_for,
    listen_options, open_configured_log, reload,
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
use crate::site::SharedMemory;
use crate::site_handler::{Loaded, SiteHandler, Users};
#[cfg(feature = "study")]
use crate::study::trace;
#[cfg(feature = "study")]
use crate::study::view::View;
use crate::tls::{OverSocket, PlainOrTls};
use crate::transport::Socket;
use std::cell::RefCell;
use std::error::Error;
use std::fmt::Display;
use std::io;
use std::num::NonZero;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::available_parallelism;

/// Most handlers that threads share. More would divide the file caches into parts that are too
/// small, and with fewer, threads of many processors would wait for one.
const MAX_HANDLERS: usize = 16;

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

/// The models with blocking threads, which share some handlers.
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
    let handlers = Arc::new(Handlers::new(config, limits.clone(), https)?);
    let log = open_configured_log(config, &limits)?;
    let count = handler_count(model, config, &limits);
    let open = |index, log| handlers.open_for_thread(log, part_of(&limits, count, index));
    let others = (1..count).map(|index| open(index, log.as_ref().map(AccessLog::sharing)));
    let others = others.collect::<Result<_, _>>()?;
    let shared = SharedHandler::new(open(0, log)?, others).with_timer_thread();
    let reload = shared.reloader(move |action| handlers.prepare(action));
    let server = BlockingServer::new(listeners, reload, limits, policy)?;
    let burn = config.measurement.burn;
    Ok(Box::new(move || {
        match burn {
            None => server.run(model, shared.clone(), &probe)?,
            // Outside of the mutexes, so that any number of threads compute at the same time.
            Some(time) => server.run(model, Burning::new(shared.clone(), time), &probe)?,
        }
        match shared.into_inner() {
            // The log of the others is that of the first, too.
            Some((first, others)) => others.into_iter().chain([first]).for_each(close),
            None => log::warn!("the access log may lack its last lines: a connection still runs"),
        }
        Ok(())
    }))
}

/// How many handlers the threads of a blocking model share: twice as many as processors, because a
/// thread that loses its processor meanwhile keeps its handler in use. Each of them keeps the roots
/// of all sites open. These take no more descriptors than the files that are kept open.
fn handler_count(model: BlockingModel, config: &Config, limits: &Limits) -> usize {
    let sites = 1 + config.other_sites.len();
    let with_roots = limits.max_open_file_cache_entries / sites;
    let threads = match model {
        BlockingModel::Sequential => 1,
        BlockingModel::Thread | BlockingModel::ThreadReuse => limits.max_connections,
        BlockingModel::Pool => limits.workers.min(limits.max_connections),
    };
    let processors = available_parallelism().map_or(1, NonZero::get);
    let useful = threads.min(2 * processors);
    useful.min(MAX_HANDLERS).min(with_roots).max(1)
}

/// The limits of one of `count` handlers, or loops, in one process: a part of those that are not
/// counted for all of them.
fn part_of(limits: &Limits, count: usize, index: usize) -> Arc<Limits> {
    let part = |total| part(total, count, index);
    Arc::new(Limits {
        max_connections: part(limits.max_connections),
        max_file_cache_entries: part(limits.max_file_cache_entries),
        max_file_cache_bytes: part(limits.max_file_cache_bytes),
        max_open_file_cache_entries: part(limits.max_open_file_cache_entries),
        ..limits.clone()
    })
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
    let failed = |number, error: &dyn Display| {
        format!("loop {number} of {count} cannot be started (--workers): {error}")
    };
    let mut all = Vec::new();
    for (index, listeners) in siblings.enumerate() {
        let listeners: io::Result<Vec<_>> = listeners;
        all.push(listeners.map_err(|error| failed(index + 2, &error))?);
    }
    all.push(listeners);
    let handlers = Arc::new(Handlers::new(config, limits.clone(), https)?);
    let mut log = open_configured_log(config, &limits)?;
    let burn = config.measurement.burn;
    let stop_messages = Arc::new(StopMessages::of(count));
    let mut reactors = Reactors::new(policy)?;
    for (index, listeners) in all.into_iter().enumerate() {
        let limits = part_of(&limits, count, index);
        let log = log.as_ref().map(AccessLog::sharing);
        let (handlers, probe) = (handlers.clone(), probe.clone());
        let stop_messages = stop_messages.clone();
        let added = reactors.add(move |actions| {
            let handler = handlers.open_for_thread(log, limits.clone())?;
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
        });
        added.map_err(|error| failed(index + 1, &error))?;
    }
    drop(stop_messages);
    Ok(Box::new(move || {
        reactors.run(|action| handlers.prepare(action))?;
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
    let handlers = Handlers::new(config, limits.clone(), https)?;
    // Built before the forks: a child finds it in its memory.
    let next = RefCell::new(Some(handlers.build()?));
    // The errors are found here. Its thread must have ended before a fork.
    if let Some(log) = open_configured_log(config, &limits)? {
        log.close(FLUSH_TIMEOUT);
    }
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
    current: Mutex<Current>,
    limits: Arc<Limits>,
    https: Https,
}

/// The configuration of now, and what all handlers have in common, also while files are changed.
struct Current {
    config: Config,
    users: Users,
    memory: SharedMemory,
}

impl Handlers {
    fn new(config: &Config, limits: Arc<Limits>, https: Https) -> Result<Self, Box<dyn Error>> {
        // A child keeps no listening socket, and its parent none that it has closed.
        let started = config.without_sockets();
        let users = Realms::of(config).read()?;
        Ok(Self {
            current: Mutex::new(Current {
                config: started.clone(),
                users,
                memory: SharedMemory::new(&limits),
            }),
            started,
            limits,
            https,
        })
    }

    /// For a process: with a log of its own. `built` is a handler without a log.
    fn open(&self, built: Option<SiteHandler>) -> Result<SiteHandler, Box<dyn Error>> {
        let built = built.map_or_else(|| self.build(), Ok)?;
        let log = open_configured_log(&self.current().config, &self.limits)?;
        Ok(built.with_log(log))
    }

    /// Without a log.
    fn build(&self) -> Result<SiteHandler, Box<dyn Error>> {
        self.current().open(None, &self.limits, &self.https)
    }

    /// One of several in this process. When it reloads, it gets what was read for all of them.
    fn open_for_thread(
        self: &Arc<Self>,
        log: Option<AccessLog>,
        limits: Arc<Limits>,
    ) -> Result<SiteHandler, Box<dyn Error>> {
        let handler = self.current().open(log, &limits, &self.https)?;
        let all = self.clone();
        let load = move || {
            let Current {
                config,
                users,
                memory,
            } = &*all.current();
            Ok(Loaded {
                sites: build_sites(config, &limits, memory)?,
                users: users.clone(),
            })
        };
        Ok(handler.with_reload(Box::new(load)))
    }

    /// What the handlers of this process do at a signal: they reload only what could be read.
    fn prepare(&self, action: Action) -> Action {
        match action {
            Action::Reload if !self.reload() => Action::ReopenFiles,
            action => action,
        }
    }

    /// Reads the configuration again, for the handlers that are opened from now on. Returns whether
    /// that was possible.
    fn reload(&self) -> bool {
        let memory = SharedMemory::new(&self.limits);
        match reload(&self.started, &self.limits, &self.https, &memory) {
            Ok((read, loaded)) => {
                let mut current = self.current();
                current.config.set_sites(read);
                current.users = loaded.users;
                current.memory = memory;
                true
            }
            Err(error) => {
                log::error!("the configuration stays as it was: {error}");
                false
            }
        }
    }

    fn current(&self) -> MutexGuard<'_, Current> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Current {
    fn open(
        &self,
        log: Option<AccessLog>,
        limits: &Arc<Limits>,
        https: &Https,
    ) -> Result<SiteHandler, Box<dyn Error>> {
        let users = self.users.clone();
        handler_for(users, log, &self.config, limits, https, &self.memory)
    }
}
