//! The pulse of the loop: what its iterations did, how long it slept and worked, and its longest
//! iteration.

use crate::connection::StepName;
use crate::study::trace::step_name;
use crate::text::put;
use std::time::Duration;

/// How long an iteration is remembered as the longest one, at least.
const WINDOW: Duration = Duration::from_secs(5);

/// Counters since the view began, and the iterations that are worth showing.
#[derive(Debug, Default)]
pub struct Pulse {
    /// Polls that returned, which is the number of the current iteration.
    pub iteration: u64,
    events: u64,
    asleep: Duration,
    working: Duration,
    /// Time in the steps of admin connections: what the view itself costs.
    view: Duration,
    accepts: u64,
    closes: u64,
    requests: u64,
    received: u64,
    sent: u64,
    /// When the current iteration, or the poll before it, began.
    began: Duration,
    current: Iteration,
    /// The latest iteration in which a public connection did something.
    latest: Iteration,
    /// The longest such iteration of the current window, and of the one before.
    longest: [Iteration; 2],
    window_began: Duration,
}

/// One iteration.
#[derive(Clone, Copy, Debug, Default)]
struct Iteration {
    number: u64,
    worked: Duration,
    events: usize,
    accepts: usize,
    /// Steps of public connections.
    steps: usize,
    /// Public connections that ended.
    closes: usize,
    /// The longest of these steps; `None` if the steps are not timed.
    slowest: Option<(u64, StepName, Duration)>,
}

impl Pulse {
    /// The poll returned this number of events.
    pub fn on_poll_end(&mut self, now: Duration, events: usize) {
        self.iteration += 1;
        self.events += events as u64;
        self.asleep += now.saturating_sub(self.began);
        self.began = now;
        self.current = Iteration {
            number: self.iteration,
            events,
            ..Iteration::default()
        };
    }

    /// The iteration is over. Returns how long it worked.
    pub fn on_poll_begin(&mut self, now: Duration) -> Duration {
        let worked = now.saturating_sub(self.began);
        self.working += worked;
        self.began = now;
        let ended = Iteration {
            worked,
            ..self.current
        };
        if now.saturating_sub(self.window_began) > WINDOW {
            self.window_began = now;
            let [current, _] = self.longest;
            self.longest = [Iteration::default(), current];
        }
        if self.has_worked() {
            self.latest = ended;
            let [longest, _] = &mut self.longest;
            if ended.worked > longest.worked {
                *longest = ended;
            }
        }
        worked
    }

    /// Whether a public connection has done something in the current iteration.
    pub fn has_worked(&self) -> bool {
        self.current.steps + self.current.accepts + self.current.closes > 0
    }

    /// A public connection was accepted.
    pub fn on_accept(&mut self) {
        self.accepts += 1;
        self.current.accepts += 1;
    }

    /// A public connection has ended.
    pub fn on_close(&mut self) {
        self.closes += 1;
        self.current.closes += 1;
    }

    /// A public connection has a request.
    pub fn on_request(&mut self) {
        self.requests += 1;
    }

    /// A step of a connection.
    pub fn on_step(&mut self, id: u64, is_public: bool, step: StepName, time: Duration) {
        if !is_public {
            self.view += time;
            return;
        }
        self.current.steps += 1;
        let slowest = &mut self.current.slowest;
        if time > slowest.map_or(Duration::ZERO, |(.., longest)| longest) {
            *slowest = Some((id, step, time));
        }
    }

    /// Bytes of a public connection.
    pub fn on_bytes(&mut self, received: u64, sent: u64) {
        self.received += received;
        self.sent += sent;
    }

    /// Appends the members of a JSON object.
    pub fn write(&self, out: &mut Vec<u8>) {
        let [longest, before] = &self.longest;
        let longest = match before.worked > longest.worked {
            true => before,
            false => longest,
        };
        put(
            out,
            format_args!(
                "\"iterations\":{},\"events\":{},\"asleep_us\":{},\"working_us\":{},\"view_us\":{},\
                 \"accepts\":{},\"closes\":{},\"requests\":{},\"received\":{},\"sent\":{}",
                self.iteration,
                self.events,
                self.asleep.as_micros(),
                self.working.as_micros(),
                self.view.as_micros(),
                self.accepts,
                self.closes,
                self.requests,
                self.received,
                self.sent
            ),
        );
        for (name, iteration) in [("latest", &self.latest), ("longest", longest)] {
            put(out, format_args!(",\"{name}\":"));
            iteration.write(out);
        }
    }
}

impl Iteration {
    fn write(&self, out: &mut Vec<u8>) {
        put(
            out,
            format_args!(
                "{{\"number\":{},\"worked_us\":{},\"events\":{},\"accepts\":{},\"steps\":{},\
                 \"closes\":{}",
                self.number,
                self.worked.as_micros(),
                self.events,
                self.accepts,
                self.steps,
                self.closes
            ),
        );
        if let Some((id, step, time)) = self.slowest {
            let (step, time) = (step_name(step), time.as_micros());
            put(
                out,
                format_args!(
                    ",\"slowest\":{{\"connection\":{id},\"step\":\"{step}\",\"us\":{time}}}"
                ),
            );
        }
        out.push(b'}');
    }
}
