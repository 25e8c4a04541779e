//! Room `bench`: what a server's processes have used so far.
//!
//! - `clock`: the processor time of a process, to the nanosecond
//! - `family`: who belongs to a server
//! - `read`: what the texts in /proc say

mod clock;
mod family;
mod read;

pub use family::family;

use family::numbers;
use serde::{Deserialize, Serialize};

/// What a process and all its descendants have used since they began, children that have ended and
/// were asked for included; and what the machine has. Of two accounts the difference is taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// Processor time, ns, to the nanosecond for processes that live
    /// (clock_getcpuclockid(3)), to a clock tick for those that have ended.
    pub processor: u64,
    /// The part of it outside the kernel, ns, in clock ticks (proc_pid_stat(5)).
    pub user: u64,
    /// The part of it inside the kernel, ns, in clock ticks.
    pub system: u64,
    /// Processor time, ns, of the threads whose switches are counted: those that live. If it is far
    /// less than all, most switches were of threads that have ended, and their count says nothing.
    #[serde(default)]
    pub watched: u64,
    /// Context switches because there was nothing to do.
    pub voluntary: u64,
    /// Context switches because somebody else was due.
    pub involuntary: u64,
    /// Page faults.
    pub faults: u64,
    /// Processes that live.
    pub processes: u64,
    /// Their threads.
    pub threads: u64,
    /// Their descriptors.
    pub descriptors: u64,
    /// Proportional set size, KiB (proc_pid_smaps(5)).
    pub proportional: u64,
    /// Resident set size, KiB.
    pub resident: u64,
    /// Address space, KiB.
    pub virtual_size: u64,
    /// Of the whole machine, KiB: kernel stacks, slab and page tables (proc_meminfo(5)).
    pub kernel: u64,
    /// Of the whole machine, processor time that was used, ns (proc_stat(5)).
    pub machine: u64,
    /// Of the whole machine, processor time that it did not get, ns.
    pub stolen: u64,
    /// Of the whole machine: connections that found a listen queue full (ListenOverflows).
    pub overflows: u64,
}

impl Account {
    /// Of a process and its descendants, without what takes long to find out
    /// ([`add_memory`](Self::add_memory)). `None` if there is no such process, or no /proc.
    pub fn of(pid: u32) -> Option<Self> {
        let tick = 1_000_000_000 / rustix::param::clock_ticks_per_second().max(1);
        let mut sum = Self::default();
        let mut found = false;
        for pid in family(pid) {
            let Some(stat) = text(pid, "stat").as_deref().and_then(read::stat) else {
                continue;
            };
            found = true;
            let ended = (stat.children.0 + stat.children.1) * tick;
            let own = (stat.ticks.0 + stat.ticks.1) * tick;
            sum.processor += clock::processor_time(pid).unwrap_or(own) + ended;
            sum.user += (stat.ticks.0 + stat.children.0) * tick;
            sum.system += (stat.ticks.1 + stat.children.1) * tick;
            sum.faults += stat.faults;
            sum.processes += 1;
            sum.threads += stat.threads;
            for thread in numbers(&format!("/proc/{pid}/task")) {
                let status = text(pid, &format!("task/{thread}/status")).unwrap_or_default();
                let count = |name| read::value(&status, name).unwrap_or(0);
                sum.voluntary += count("voluntary_ctxt_switches");
                sum.involuntary += count("nonvoluntary_ctxt_switches");
                let times = text(pid, &format!("task/{thread}/schedstat")).unwrap_or_default();
                sum.watched += read::first(&times).unwrap_or(0);
            }
        }
        if let Some((used, stolen)) = file("/proc/stat").as_deref().and_then(read::machine) {
            (sum.machine, sum.stolen) = (used * tick, stolen * tick);
        }
        let netstat = file("/proc/net/netstat").unwrap_or_default();
        sum.overflows = read::counter(&netstat, "ListenOverflows").unwrap_or(0);
        found.then_some(sum)
    }

    /// The same, with what `other` says of the machine: of a server of thousands of threads the
    /// account takes half a second, which the machine has not spent on anybody's requests.
    #[must_use]
    pub fn with_machine_of(self, other: &Self) -> Self {
        Self {
            machine: other.machine,
            stolen: other.stolen,
            overflows: other.overflows,
            ..self
        }
    }

    /// Adds what takes long to find out: memory and descriptors of the same processes.
    pub fn add_memory(&mut self, pid: u32) {
        for pid in family(pid) {
            let rollup = text(pid, "smaps_rollup").unwrap_or_default();
            let status = text(pid, "status").unwrap_or_default();
            self.proportional += read::value(&rollup, "Pss").unwrap_or(0);
            self.resident += read::value(&status, "VmRSS").unwrap_or(0);
            self.virtual_size += read::value(&status, "VmSize").unwrap_or(0);
            self.descriptors += numbers(&format!("/proc/{pid}/fd")).len() as u64;
        }
        let memory = file("/proc/meminfo").unwrap_or_default();
        let parts = ["KernelStack", "Slab", "PageTables"];
        self.kernel = parts
            .iter()
            .filter_map(|name| read::value(&memory, name))
            .sum();
    }

    /// Processor time since `before`, outside and inside the kernel, ns: the sum is exact, its
    /// parts are as the ticks divide it.
    pub fn split_since(&self, before: &Self) -> (u64, u64) {
        let used = self.processor.saturating_sub(before.processor);
        let user = self.user.saturating_sub(before.user);
        let ticks = user + self.system.saturating_sub(before.system);
        let part = u128::from(used) * u128::from(user);
        let user = part.checked_div(u128::from(ticks)).unwrap_or(0);
        let user = u64::try_from(user).unwrap_or(used).min(used);
        (user, used - user)
    }
}

fn text(pid: u32, name: &str) -> Option<String> {
    file(&format!("/proc/{pid}/{name}"))
}

fn file(path: &str) -> Option<String> {
    std::fs::read_to_string(path).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    /// The shell waits for its child, so both live while they are counted.
    #[test]
    fn a_process_is_counted_with_its_children() {
        let mut shell = Command::new("sh")
            .args(["-c", "sleep 60 & wait"])
            .spawn()
            .unwrap();
        let pid = shell.id();
        let patience = std::time::Duration::from_millis(10);
        let processes = (0..500).map(|_| {
            std::thread::sleep(patience);
            Account::of(pid).map_or(0, |account| account.processes)
        });
        let most = processes.take_while(|count| *count < 2).count();
        let mut account = Account::of(pid);
        if let Some(account) = &mut account {
            account.add_memory(pid);
        }
        for pid in family(pid).into_iter().rev() {
            let _ = Command::new("kill").arg(pid.to_string()).status();
        }
        let _ = shell.wait();
        if cfg!(target_os = "linux") {
            let account = account.unwrap();
            assert_eq!((account.processes, account.threads), (2, 2), "{most}");
            assert!(
                account.proportional > 0 && account.kernel > 0,
                "{account:?}"
            );
        }
        assert_eq!(Account::of(u32::MAX), None);
    }

    #[test]
    fn the_parts_of_processor_time_are_the_whole() {
        let at = |processor, user, system| Account {
            processor,
            user,
            system,
            ..Account::default()
        };
        let (before, after) = (at(100, 10, 10), at(1_100, 40, 80));
        assert_eq!(after.split_since(&before), (300, 700));
        assert_eq!(before.split_since(&before), (0, 0));
        assert_eq!(at(150, 10, 10).split_since(&before), (0, 50));
    }
}
