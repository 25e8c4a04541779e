//! Room `bench`: what a server's processes have used so far.

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
