//! Stops the server with SIGSTOP for a planned time.

use crate::bench::procfs::process_tree;
use rustix::process::{Pid, Signal, kill_process};

/// A planned stall. It stops all processes of the server: in a forking server the parent serves
/// nothing. When it is dropped, the server continues.
pub struct Stall {
    server: Option<u32>,
    /// The stopped processes, parents first.
    stopped: Vec<u32>,
    /// Time after the beginning of the measurement, and length, ns.
    planned: Option<(u64, u64)>,
    /// Beginning and end, ns since the generator's start.
    at: Option<(u64, u64)>,
}

impl Stall {
    /// A stall of the process `server`; `planned` counts from the beginning of the measurement.
    pub fn new(server: Option<u32>, planned: Option<(u64, u64)>) -> Self {
        Self {
            server,
            stopped: Vec::new(),
            planned,
            at: None,
        }
    }

    /// The measurement begins.
    pub fn begin(&mut self, now: u64) {
        let planned = self.planned.take();
        self.at = planned.map(|(after, long)| (now + after, now + after + long));
    }

    /// When [`update`](Self::update) is due next.
    pub fn next(&self) -> Option<u64> {
        let (begin, end) = self.at?;
        Some(if self.is_stopped() { end } else { begin })
    }

    /// Stops the server or lets it continue, if that is due.
    pub fn update(&mut self, now: u64) {
        let Some((begin, end)) = self.at else {
            return;
        };
        if self.is_stopped() && now >= end {
            self.end();
        } else if !self.is_stopped() && now >= begin {
            self.stop();
        }
    }

    /// Lets the server continue; there are no more stalls.
    pub fn end(&mut self) {
        self.at = None;
        // Children first, so that a parent does not see them stopped.
        for pid in std::mem::take(&mut self.stopped).into_iter().rev() {
            send(pid, Signal::CONT);
        }
    }

    fn is_stopped(&self) -> bool {
        !self.stopped.is_empty()
    }

    /// Repeats until there is no new process: one may be forked while the others are stopped.
    fn stop(&mut self) {
        let Some(server) = self.server else {
            return;
        };
        loop {
            let tree = process_tree(server).into_iter();
            let new: Vec<u32> = tree.filter(|pid| !self.stopped.contains(pid)).collect();
            if new.is_empty() {
                break;
            }
            for pid in new {
                send(pid, Signal::STOP);
                self.stopped.push(pid);
            }
        }
    }
}

impl Drop for Stall {
    fn drop(&mut self) {
        self.end();
    }
}

fn send(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        // The process may have ended; its connections then fail.
        let _ = kill_process(pid, signal);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Child, Command};

    /// Whether each process of the tree is stopped (proc_pid_stat(5)).
    fn stopped(server: u32) -> Vec<bool> {
        let state = |pid: u32| {
            let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            let state = text.rsplit_once(')').map(|(_, rest)| rest.trim_start());
            state.is_some_and(|state| state.starts_with('T'))
        };
        process_tree(server).into_iter().map(state).collect()
    }

    /// Waits until the processes are in these states: a signal takes time.
    fn reach(server: u32, wanted: &[bool]) -> bool {
        (0..500).any(|_| {
            std::thread::sleep(std::time::Duration::from_millis(10));
            stopped(server) == wanted
        })
    }

    fn shell_with_a_child() -> Child {
        let mut shell = Command::new("sh");
        shell.args(["-c", "sleep 60 & wait"]).spawn().unwrap()
    }

    #[test]
    fn all_processes_of_a_server_are_stopped_and_all_continue() {
        if !cfg!(target_os = "linux") {
            return;
        }
        let mut shell = shell_with_a_child();
        let server = shell.id();
        let started = reach(server, &[false, false]);
        let mut stall = Stall::new(Some(server), Some((5, 10)));
        stall.update(100);
        stall.begin(100);
        let before = stall.next();
        stall.update(104);
        let not_yet = stopped(server);
        stall.update(105);
        let during = (stall.next(), reach(server, &[true, true]));
        stall.update(115);
        let after = (stall.next(), reach(server, &[false, false]));
        for pid in process_tree(server).into_iter().rev() {
            send(pid, Signal::KILL);
        }
        shell.wait().unwrap();
        assert!(started);
        assert_eq!((before, not_yet), (Some(105), vec![false, false]));
        assert_eq!((during, after), ((Some(115), true), (None, true)));
    }

    #[test]
    fn a_dropped_stall_lets_the_server_continue() {
        if !cfg!(target_os = "linux") {
            return;
        }
        let mut server = Command::new("sleep").arg("60").spawn().unwrap();
        let mut stall = Stall::new(Some(server.id()), Some((0, u64::MAX / 2)));
        stall.begin(1);
        stall.update(1);
        let during = reach(server.id(), &[true]);
        drop(stall);
        let after = reach(server.id(), &[false]);
        server.kill().unwrap();
        server.wait().unwrap();
        assert!(during && after, "{during} {after}");
    }
}
