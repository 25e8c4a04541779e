//! The table of the connections: a cell for each slot of the scheduler's slab, under the same key.
//!
//! The calls of the probe change cells in place, and stamp those that they change. A snapshot has
//! the cells whose stamp is newer than the snapshot before.

use super::exchanges::Exchanges;
use super::hold::{Hold, Pace};
use super::life::{Head, Life, Transition};
use super::pulse::Pulse;
use super::records::Records;
use crate::clock::Now;
use crate::connection::{StateName, StepName};
use crate::handler::Role;
use crate::http::request::{Refusal, Request};
use crate::probe::{Cause, Origin, StepResult};
use crate::study::trace::{RecordKind, cause_name, state_name};
use crate::text::json::put_json_utf8;
use crate::text::put;
use foldhash::{HashMap, HashMapExt};
use slab::Slab;
use std::cmp::Reverse;
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Connections that are listed with an exchange, at most.
const CONNECTIONS: usize = 32;

/// All connections of the loop, and its pulse.
#[derive(Debug)]
pub struct Table {
    start: Instant,
    /// The latest reading of the clock, since `start`.
    now: Duration,
    /// Tells this server from one before it at the same address.
    started: u128,
    /// The number of the next snapshot.
    version: u64,
    /// The keys in use. They are inserted and removed in the same order as the slots of the
    /// scheduler, so they are the same.
    slots: Slab<()>,
    cells: Vec<Cell>,
    /// For each cell the first snapshot that has its latest change. Apart from the cells, because
    /// every snapshot reads all of them.
    stamps: Vec<u64>,
    keys: HashMap<u64, usize>,
    /// The connection that the latest call of the probe was about, and its key: mostly also the
    /// next one.
    latest: (u64, usize),
    pulse: Pulse,
    exchanges: Exchanges,
    hold: Hold,
    /// A page asks for snapshots.
    is_watched: bool,
    /// Of the public connection with this id what its life gets if it has not finished its request
    /// at the end of its run, while no page asks for snapshots.
    run: (u64, Life),
    /// Empty unless a page asks for snapshots.
    records: Records,
    /// The timeout of the latest poll.
    timeout: Option<Duration>,
}

/// A slot: a connection, or the one that was in it last.
#[derive(Debug)]
struct Cell {
    id: u64,
    is_open: bool,
    origin: Origin,
    state: StateName,
    wait: Wait,
    accepted: Duration,
    /// When it changed its state.
    since: Duration,
    /// When the first byte of the request arrived that is being received or answered.
    exchange: Option<Duration>,
    /// When it expires, unless something happens.
    deadline: Duration,
    requests: u64,
    received: u64,
    sent: u64,
    /// Bytes sent of the responses that are being sent.
    response_sent: u64,
    /// Their lengths; `None` if one of them is not known.
    response_length: Option<u64>,
    /// Apart from the cell, because most runs do not change it while no page is open.
    life: Box<Life>,
}

/// What a connection waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wait {
    /// Its turn: it is in the run queue.
    Turn = 0,
    /// Bytes of its peer.
    Read = 1,
    /// That its peer takes bytes.
    Write = 2,
    /// The handler, which cannot answer yet.
    Handler = 3,
}

impl Wait {
    fn name(self) -> &'static str {
        match self {
            Self::Turn => "turn",
            Self::Read => "read",
            Self::Write => "write",
            Self::Handler => "handler",
        }
    }
}

impl Cell {
    fn is_public(&self) -> bool {
        self.origin.listener.role == Role::Public
    }

    /// Whether a part of a request head was received.
    fn has_partial_head(&self) -> bool {
        self.state == StateName::Reading && self.exchange.is_some()
    }

    /// How much of the responses is sent: 0 to 254, or 255 if that is not known.
    fn progress(&self) -> u8 {
        let Some(length) = self.response_length else {
            return 255;
        };
        let part = (self.response_sent * 254).checked_div(length).unwrap_or(0);
        u8::try_from(part).map_or(254, |part| part.min(254))
    }

    /// Appends the members of a JSON object.
    fn write_summary(&self, out: &mut Vec<u8>) {
        put(
            out,
            format_args!(
                "\"connection\":{},\"public\":{},\"requests\":{},\"received\":{},\"sent\":{},\
                 \"accepted_us\":{}",
                self.id,
                self.is_public(),
                self.requests,
                self.received,
                self.sent,
                self.accepted.as_micros()
            ),
        );
        put_peer(out, self.origin.peer);
        put_text(out, "state", state_name(self.state));
    }

    fn write_record(&self, key: usize, out: &mut Vec<u8>) {
        let millis = |time: Duration| time.as_millis() as u32;
        let flags = u8::from(!self.is_public()) | u8::from(self.exchange.is_some()) << 1;
        let state = match self.is_open {
            true => state_number(self.state),
            false => 0,
        };
        out.extend_from_slice(&(key as u32).to_le_bytes());
        out.extend_from_slice(&(self.id as u32).to_le_bytes());
        out.extend_from_slice(&[state, self.wait as u8, flags, self.progress()]);
        out.extend_from_slice(&millis(self.accepted).to_le_bytes());
        out.extend_from_slice(&millis(self.since).to_le_bytes());
        let exchange = self.exchange.map_or(0, millis);
        out.extend_from_slice(&exchange.to_le_bytes());
    }
}

/// The state in a record; 0 is a free slot.
fn state_number(state: StateName) -> u8 {
    match state {
        StateName::Handshaking => 1,
        StateName::Reading => 2,
        StateName::Parsing => 3,
        StateName::WritingHeader => 4,
        StateName::WritingBody => 5,
        StateName::Closing => 6,
        StateName::Closed(_) => 7,
    }
}

impl Table {
    /// No connections yet.
    pub fn new(now: Now) -> Self {
        let since_epoch = now.wall.duration_since(std::time::UNIX_EPOCH);
        Self {
            start: now.instant,
            now: Duration::ZERO,
            started: since_epoch.map_or(0, |time| time.as_micros()),
            version: 1,
            slots: Slab::new(),
            cells: Vec::new(),
            stamps: Vec::new(),
            keys: HashMap::new(),
            latest: (u64::MAX, 0),
            pulse: Pulse::default(),
            exchanges: Exchanges::default(),
            hold: Hold::default(),
            is_watched: false,
            run: (u64::MAX, Life::default()),
            records: Records::default(),
            timeout: None,
        }
    }

    /// The clock was read.
    pub fn set_time(&mut self, now: Instant) {
        self.now = now.saturating_duration_since(self.start);
    }

    fn cell(&mut self, id: u64) -> Option<&mut Cell> {
        if self.latest.0 != id {
            self.latest = (id, *self.keys.get(&id)?);
        }
        let (_, key) = self.latest;
        *self.stamps.get_mut(key)? = self.version;
        self.cells.get_mut(key)
    }

    /// The life of a connection, or what may become a part of it.
    fn life(&mut self, id: u64) -> Option<&mut Life> {
        let is_watched = self.is_watched;
        let cell = self.cell(id)?;
        if is_watched || !cell.is_public() {
            let (_, key) = self.latest;
            return self.cells.get_mut(key).map(|cell| &mut *cell.life);
        }
        let (of, life) = &mut self.run;
        if *of != id {
            *of = id;
            life.clear();
        }
        Some(life)
    }

    /// Whether a page asks for snapshots.
    pub fn is_watched(&self) -> bool {
        self.is_watched
    }

    /// A page asks for a snapshot.
    pub fn watch(&mut self, now: Instant) {
        self.hold.keep_alive(now);
        self.is_watched = true;
    }

    /// See [`Probe::on_poll_end`](crate::probe::Probe::on_poll_end), and so on.
    pub fn on_poll_end(&mut self, now: Instant, events: usize) {
        let began = self.now;
        self.set_time(now);
        if self.is_watched && !self.hold.is_watched(now) {
            self.is_watched = false;
            self.records.clear();
        }
        self.pulse.on_poll_end(self.now, events);
        self.record_of_loop(RecordKind::Poll {
            timeout: self.timeout,
            waited: self.now.saturating_sub(began),
            events,
        });
    }

    pub fn on_poll_begin(&mut self, now: Instant, timeout: Option<Duration>) {
        self.set_time(now);
        let worked = self.pulse.on_poll_begin(self.now);
        self.record_of_loop(RecordKind::End { worked });
        self.records.end_iteration(self.pulse.has_worked());
        self.timeout = timeout;
    }

    /// What to do so that a person can follow the loop.
    pub fn hold(&mut self) -> &mut Hold {
        &mut self.hold
    }

    /// Whether public connections are held at `now`.
    pub fn holds_public(&self, now: Instant) -> bool {
        self.hold.holds(now)
    }

    /// The iteration ends, for [`Hold::end_iteration`].
    pub fn end_iteration(&mut self, now: Instant) -> Option<Instant> {
        let due = self.hold.end_iteration(now, self.pulse.has_worked());
        if self.hold.pace() == Pace::Run {
            self.records.forget_iteration();
        }
        due
    }

    /// Adds a record of a public connection, made from its state, while a page asks for snapshots.
    pub fn record(&mut self, id: u64, what: impl FnOnce(StateName) -> RecordKind) {
        if !self.is_watched {
            return;
        }
        let (time, iteration) = (self.now, self.pulse.iteration);
        if let Some(cell) = self.cell(id).filter(|cell| cell.is_public()) {
            let what = what(cell.state);
            self.records.push(time, iteration, Some(id), what);
        }
    }

    fn record_of_loop(&mut self, what: RecordKind) {
        if self.is_watched {
            self.records
                .push(self.now, self.pulse.iteration, None, what);
        }
    }

    /// What the latest iteration with work for a public connection did, as lines of JSON. Nothing
    /// unless connections are held.
    pub fn iteration(&self) -> Vec<u8> {
        self.records.iteration_to_json()
    }

    /// The latest records, as lines of JSON: a trace.
    pub fn trace(&self) -> Vec<u8> {
        self.records.to_json()
    }

    pub fn on_accept(&mut self, id: u64, origin: Origin, state: StateName) {
        if origin.listener.role == Role::Public {
            self.pulse.on_accept();
        }
        let key = self.slots.insert(());
        let life = self
            .cells
            .get_mut(key)
            .map(|cell| std::mem::take(&mut cell.life));
        let mut life = life.unwrap_or_default();
        life.clear();
        let cell = Cell {
            id,
            is_open: true,
            origin,
            state,
            wait: Wait::Turn,
            accepted: self.now,
            since: self.now,
            exchange: None,
            deadline: self.now,
            requests: 0,
            received: 0,
            sent: 0,
            response_sent: 0,
            response_length: Some(0),
            life,
        };
        match (self.cells.get_mut(key), self.stamps.get_mut(key)) {
            (Some(free), Some(stamp)) => (*free, *stamp) = (cell, self.version),
            _ => {
                assert!(
                    key == self.cells.len(),
                    "a slab uses the first key at its end"
                );
                self.cells.push(cell);
                self.stamps.push(self.version);
            }
        }
        self.keys.insert(id, key);
        self.latest = (id, key);
    }

    pub fn on_event(&mut self, id: u64) {
        if let Some(cell) = self.cell(id) {
            cell.wait = Wait::Turn;
        }
    }

    pub fn on_request(&mut self, id: u64, request: &Result<Request<'_>, Refusal<'_>>) {
        let Some(cell) = self.cell(id) else { return };
        cell.requests += 1;
        let (requests, is_public) = (cell.requests, cell.is_public());
        if is_public {
            self.pulse.on_request();
        }
        if let Some(life) = self.life(id) {
            life.set_request(requests, request);
        }
    }

    pub fn on_response(&mut self, id: u64, rendered: &[u8], length: Option<u64>) {
        let Some(life) = self.life(id) else { return };
        let head = life.set_response(rendered) as u64;
        let Some(cell) = self.cell(id) else { return };
        // Responses to requests that arrived together are sent together.
        let length = length.map(|body| head + body);
        cell.response_length = cell.response_length.zip(length).map(|(all, one)| all + one);
        if let Some(cell) = self.cells.get(self.latest.1) {
            self.exchanges.on_response(id, &cell.life.response);
        }
    }

    pub fn on_step(&mut self, id: u64, step: StepName, result: StepResult, time: Duration) {
        let now = self.now;
        let Some(cell) = self.cell(id) else { return };
        let is_public = cell.is_public();
        let is_receiving = matches!(
            step,
            StepName::Handshake | StepName::Receive | StepName::Discard
        );
        match result {
            StepResult::Bytes(bytes) => {
                let bytes = bytes as u64;
                let (received, sent) = if is_receiving { (bytes, 0) } else { (0, bytes) };
                cell.received += received;
                cell.sent += sent;
                cell.response_sent += sent;
                if step == StepName::Receive && bytes > 0 {
                    cell.exchange = cell.exchange.or(Some(now));
                }
                if is_public {
                    self.pulse.on_bytes(received, sent);
                }
            }
            StepResult::NotReady | StepResult::Failed(io::ErrorKind::WouldBlock) => {
                cell.wait = if is_receiving {
                    Wait::Read
                } else {
                    Wait::Write
                };
            }
            StepResult::OutOfBudget => cell.wait = Wait::Turn,
            StepResult::Postponed => cell.wait = Wait::Handler,
            StepResult::Answered(_)
            | StepResult::Done
            | StepResult::Skipped
            | StepResult::Failed(_) => {}
        }
        self.pulse.on_step(id, is_public, step, time);
    }

    pub fn on_transition(&mut self, id: u64, from: StateName, to: StateName, cause: Cause) {
        let (time, iteration) = (self.now, self.pulse.iteration);
        let Some(cell) = self.cell(id) else { return };
        cell.state = to;
        cell.since = time;
        let is_answered = matches!(from, StateName::WritingHeader | StateName::WritingBody);
        if is_answered && matches!(to, StateName::Reading | StateName::Closing) {
            cell.exchange = None;
            (cell.response_sent, cell.response_length) = (0, Some(0));
        }
        if let Some(life) = self.life(id) {
            life.push(Transition {
                time,
                iteration,
                from,
                to,
                cause,
            });
        }
    }

    pub fn on_run_end(&mut self, id: u64, received: &[u8], left: Duration) {
        let deadline = self.now + left;
        let Some(cell) = self.cell(id) else { return };
        cell.deadline = deadline;
        let is_unfinished = cell.exchange.is_some();
        if cell.has_partial_head() {
            cell.life.set_partial(received);
        }
        if self.run.0 == id {
            self.run.0 = u64::MAX;
            if let Some(cell) = self.cells.get_mut(self.latest.1).filter(|_| is_unfinished) {
                cell.life.append(&mut self.run.1);
            }
        }
    }

    pub fn on_close(&mut self, id: u64) {
        let Some(cell) = self.cell(id) else { return };
        cell.is_open = false;
        cell.exchange = None;
        if cell.is_public() {
            self.pulse.on_close();
        }
        let (_, key) = self.latest;
        self.slots.remove(key);
        self.keys.remove(&id);
    }

    /// The connection that a step is taken for: while a request is answered, the one that asks.
    pub fn current(&self) -> u64 {
        self.latest.0
    }

    /// The cells that changed since the snapshot `since` of the run `run`: all that are open, if
    /// this is another run. A line of JSON about the loop, with its length before it in four bytes,
    /// then 24 bytes for each cell. Numbers have the least significant byte first.
    pub fn snapshot(&mut self, since: u64, run: u128, viewer: u64) -> Vec<u8> {
        let is_whole = since == 0 || run != self.started || since >= self.version;
        let open = self.slots.len();
        let mut out = vec![0; 4];
        put(
            &mut out,
            format_args!(
                "{{\"version\":{},\"run\":\"{}\",\"whole\":{is_whole},\"now_us\":{},\"slots\":{},\
                 \"open\":{open},\"you\":{viewer},",
                self.version,
                self.started,
                self.now.as_micros(),
                self.cells.len()
            ),
        );
        self.pulse.write(&mut out);
        let (pace, steps, every) = match self.hold.pace() {
            Pace::Run => ("run", 0, Duration::ZERO),
            Pace::Hold { steps } => ("hold", steps, Duration::ZERO),
            Pace::Slow(time) => ("slow", 0, time),
        };
        put_text(&mut out, "pace", pace);
        put(
            &mut out,
            format_args!(",\"steps\":{steps},\"every_ms\":{}}}", every.as_millis()),
        );
        let length = (out.len() - 4) as u32;
        out.splice(..4, length.to_le_bytes());
        for (key, stamp) in self.stamps.iter().enumerate() {
            if !is_whole && *stamp <= since {
                continue;
            }
            if let Some(cell) = self.cells.get(key).filter(|cell| cell.is_open || !is_whole) {
                cell.write_record(key, &mut out);
            }
        }
        self.version += 1;
        out
    }

    /// Keeps the request that is being answered, and its response, as an exchange. Returns its
    /// number.
    pub fn keep_exchange(&mut self) -> u64 {
        let (id, key) = self.latest;
        let request = self.cells.get(key).map(|cell| cell.life.request.clone());
        self.exchanges.push(id, request.unwrap_or_default())
    }

    /// An exchange, with the open connections whose peer has the same address, as JSON: those of
    /// the view before the others, and the latest ones first. `None`: it is not kept any more.
    pub fn exchange(&self, number: u64) -> Option<Vec<u8>> {
        let exchange = self.exchanges.get(number)?;
        let mut out = Vec::new();
        put(
            &mut out,
            format_args!(
                "{{\"connection\":{},\"now_us\":{}",
                exchange.id,
                self.now.as_micros()
            ),
        );
        put_head(&mut out, "request", &exchange.request);
        if let Some(response) = &exchange.response {
            put_head(&mut out, "response", response);
        }
        let address = |cell: &Cell| cell.origin.peer.map(|peer| peer.ip());
        let viewer = self.cells.get(self.latest.1).and_then(address);
        let mut same: Vec<_> = (self.cells.iter())
            .filter(|cell| cell.is_open && address(cell) == viewer)
            .collect();
        same.sort_unstable_by_key(|cell| (cell.is_public(), Reverse(cell.id)));
        put(&mut out, format_args!(",\"connections\":["));
        for (index, cell) in same.iter().take(CONNECTIONS).enumerate() {
            let comma = if index > 0 { "," } else { "" };
            put(&mut out, format_args!("{comma}{{"));
            cell.write_summary(&mut out);
            out.push(b'}');
        }
        let more = same.len().saturating_sub(CONNECTIONS);
        put(&mut out, format_args!("],\"more\":{more}}}"));
        Some(out)
    }

    /// The life line of the connection in the slot `key`, or of the one that was in it last, as
    /// JSON. `None`: there never was one.
    pub fn life_of(&self, key: usize) -> Option<Vec<u8>> {
        let cell = self.cells.get(key)?;
        let mut out = Vec::new();
        put(
            &mut out,
            format_args!(
                "{{\"key\":{key},\"connection\":{},\"open\":{},\"public\":{},\"listener\":{}",
                cell.id,
                cell.is_open,
                cell.is_public(),
                cell.origin.listener.id
            ),
        );
        put_peer(&mut out, cell.origin.peer);
        put_text(&mut out, "state", state_name(cell.state));
        put_text(&mut out, "wait", cell.wait.name());
        for (name, time) in [
            ("now_us", self.now),
            ("accepted_us", cell.accepted),
            ("since_us", cell.since),
            ("deadline_us", cell.deadline),
        ] {
            put(&mut out, format_args!(",\"{name}\":{}", time.as_micros()));
        }
        if let Some(exchange) = cell.exchange {
            put(
                &mut out,
                format_args!(",\"exchange_us\":{}", exchange.as_micros()),
            );
        }
        put(
            &mut out,
            format_args!(
                ",\"requests\":{},\"received\":{},\"sent\":{},\"response_sent\":{}",
                cell.requests, cell.received, cell.sent, cell.response_sent
            ),
        );
        if let Some(length) = cell.response_length {
            put(&mut out, format_args!(",\"response_length\":{length}"));
        }
        if cell.has_partial_head() {
            put_head(&mut out, "partial", &cell.life.partial);
        }
        // While no page asks, most heads are not kept.
        if cell.life.requests == cell.requests {
            put_head(&mut out, "request", &cell.life.request);
            put_head(&mut out, "response", &cell.life.response);
        }
        put(&mut out, format_args!(",\"transitions\":["));
        for (index, one) in cell.life.transitions().enumerate() {
            let comma = if index > 0 { "," } else { "" };
            let (time, iteration) = (one.time.as_micros(), one.iteration);
            put(
                &mut out,
                format_args!("{comma}{{\"us\":{time},\"iteration\":{iteration}"),
            );
            put_text(&mut out, "from", state_name(one.from));
            put_text(&mut out, "to", state_name(one.to));
            put_text(&mut out, "cause", cause_name(one.cause));
            if let StateName::Closed(reason) = one.to {
                put_text(&mut out, "reason", &format!("{reason:?}"));
            }
            out.push(b'}');
        }
        out.extend_from_slice(b"]}");
        Some(out)
    }
}

fn put_text(out: &mut Vec<u8>, name: &str, text: &str) {
    put(out, format_args!(",\"{name}\":\""));
    put_json_utf8(text.as_bytes(), out);
    out.push(b'"');
}

fn put_peer(out: &mut Vec<u8>, peer: Option<SocketAddr>) {
    if let Some(peer) = peer {
        put_text(out, "peer", &peer.to_string());
    }
}

/// A head: its length, and each of its bytes as the character with that number.
fn put_head(out: &mut Vec<u8>, name: &str, head: &Head) {
    let text: String = head.bytes.iter().copied().map(char::from).collect();
    put(
        out,
        format_args!(",\"{name}\":{{\"length\":{}", head.length),
    );
    put_text(out, "bytes", &text);
    out.push(b'}');
}
