//! Room `bench`: a server that is stopped for a while, and never for longer.

use rustix::process::{Pid, Signal, kill_process};

/// When the server is stopped, and when it goes on. It goes on in any case when this is dropped.
pub struct Stall {
    server: Option<Pid>,
    /// Nanoseconds after the measurement began, and how many.
    planned: Option<(u64, u64)>,
    /// When it begins, and when it ends, ns since the generator began.
    at: Option<(u64, u64)>,
    is_stopped: bool,
}

impl Stall {
    /// Of the process `server`; `planned` counts from the beginning of the measurement.
    pub fn new(server: Option<u32>, planned: Option<(u64, u64)>) -> Self {
        let pid = server.and_then(|pid| i32::try_from(pid).ok());
        Self {
            server: pid.and_then(Pid::from_raw),
            planned,
            at: None,
            is_stopped: false,
        }
    }

    /// The measurement begins.
    pub fn begin(&mut self, now: u64) {
        let planned = self.planned.take();
        self.at = planned.map(|(after, long)| (now + after, now + after + long));
    }

    /// When the next thing is to be done.
    pub fn next(&self) -> Option<u64> {
        let (begin, end) = self.at?;
        Some(if self.is_stopped { end } else { begin })
    }

    /// Does what is due.
    pub fn look(&mut self, now: u64) {
        let Some((begin, end)) = self.at else {
            return;
        };
        if self.is_stopped && now >= end {
            self.go_on();
            self.at = None;
        } else if !self.is_stopped && now >= begin {
            self.tell(Signal::STOP);
            self.is_stopped = true;
        }
    }

    /// No more stops.
    pub fn end(&mut self) {
        self.at = None;
        if self.is_stopped {
            self.go_on();
        }
    }

    fn go_on(&mut self) {
        self.tell(Signal::CONT);
        self.is_stopped = false;
    }

    fn tell(&self, signal: Signal) {
        if let Some(server) = self.server {
            // A server that has ended cannot be stopped, and its clients will say so.
            let _ = kill_process(server, signal);
        }
    }
}

impl Drop for Stall {
    fn drop(&mut self) {
        self.end();
    }
}
