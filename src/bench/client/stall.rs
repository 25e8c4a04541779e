//! Room `bench`: a server that is stopped for a while, and never for longer.

use crate::bench::procfs::family;
use rustix::process::{Pid, Signal, kill_process};

/// When the server is stopped, and when it goes on. It goes on in any case when this is dropped.
/// All its processes are: of one that forks the parent has nothing to do.
pub struct Stall {
    server: Option<u32>,
    /// Whom it has stopped, parents first.
    held: Vec<u32>,
    /// Nanoseconds after the measurement began, and how many.
    planned: Option<(u64, u64)>,
    /// When it begins, and when it ends, ns since the generator began.
    at: Option<(u64, u64)>,
}

impl Stall {
    /// Of the process `server`; `planned` counts from the beginning of the measurement.
    pub fn new(server: Option<u32>, planned: Option<(u64, u64)>) -> Self {
        Self {
            server,
            held: Vec::new(),
            planned,
            at: None,
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
        Some(if self.is_stopped() { end } else { begin })
    }

    /// Does what is due.
    pub fn look(&mut self, now: u64) {
        let Some((begin, end)) = self.at else {
            return;
        };
        if self.is_stopped() && now >= end {
            self.end();
        } else if !self.is_stopped() && now >= begin {
            self.stop();
        }
    }

    /// No more stops.
    pub fn end(&mut self) {
        self.at = None;
        // Children first: a parent that goes on finds them as they were.
        for pid in std::mem::take(&mut self.held).into_iter().rev() {
            tell(pid, Signal::CONT);
        }
    }

    fn is_stopped(&self) -> bool {
        !self.held.is_empty()
    }

    /// Whoever was started while the others were stopped is found the next time; a family that is
    /// stopped has no more children.
    fn stop(&mut self) {
        let Some(server) = self.server else {
            return;
        };
        loop {
            let family = family(server).into_iter();
            let new: Vec<u32> = family.filter(|pid| !self.held.contains(pid)).collect();
            if new.is_empty() {
                break;
            }
            for pid in new {
                tell(pid, Signal::STOP);
                self.held.push(pid);
            }
        }
    }
}

impl Drop for Stall {
    fn drop(&mut self) {
        self.end();
    }
}

fn tell(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        // Who has ended cannot be stopped, and its clients will say so.
        let _ = kill_process(pid, signal);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Child, Command};

    /// Each of a family, by whether it is stopped (proc_pid_stat(5)).
    fn stopped(server: u32) -> Vec<bool> {
        let state = |pid: u32| {
            let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            let state = text.rsplit_once(')').map(|(_, rest)| rest.trim_start());
            state.is_some_and(|state| state.starts_with('T'))
        };
        family(server).into_iter().map(state).collect()
    }

    /// Whether they come to be as wanted; a signal takes its time.
    fn become_so(server: u32, wanted: &[bool]) -> bool {
        (0..500).any(|_| {
            std::thread::sleep(std::time::Duration::from_millis(10));
            stopped(server) == wanted
        })
    }

    fn shell_with_a_child() -> Child {
        let mut shell = Command::new("sh");
        shell.args(["-c", "sleep 60 & wait"]).spawn().unwrap()
    }

    /// Red if only the parent is stopped, and if somebody stays so.
    #[test]
    fn all_processes_of_a_server_are_stopped_and_all_go_on() {
        if !cfg!(target_os = "linux") {
            return;
        }
        let mut shell = shell_with_a_child();
        let server = shell.id();
        let begun = become_so(server, &[false, false]);
        let mut stall = Stall::new(Some(server), Some((5, 10)));
        stall.look(100);
        stall.begin(100);
        let before = stall.next();
        stall.look(104);
        let not_yet = stopped(server);
        stall.look(105);
        let during = (stall.next(), become_so(server, &[true, true]));
        stall.look(115);
        let after = (stall.next(), become_so(server, &[false, false]));
        for pid in family(server).into_iter().rev() {
            tell(pid, Signal::KILL);
        }
        shell.wait().unwrap();
        assert!(begun);
        assert_eq!((before, not_yet), (Some(105), vec![false, false]));
        assert_eq!((during, after), ((Some(115), true), (None, true)));
    }

    /// Red without the end in `drop`.
    #[test]
    fn whoever_forgets_a_stall_lets_the_server_go_on() {
        if !cfg!(target_os = "linux") {
            return;
        }
        let mut server = Command::new("sleep").arg("60").spawn().unwrap();
        let mut stall = Stall::new(Some(server.id()), Some((0, u64::MAX / 2)));
        stall.begin(1);
        stall.look(1);
        let during = become_so(server.id(), &[true]);
        drop(stall);
        let after = become_so(server.id(), &[false]);
        server.kill().unwrap();
        server.wait().unwrap();
        assert!(during && after, "{during} {after}");
    }
}
