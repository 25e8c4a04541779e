//! What the processes of a server, and the machine, have used: /proc (proc(5)).

use super::platform;
use crate::clock;
use serde::{Deserialize, Serialize};

/// Threads of a process whose children are looked up: servers fork in their first threads.
const MAX_FORKING_THREADS: usize = 8;
/// Limit for the processes of a server.
const MAX_PROCESSES: usize = 100_000;

/// What a process and all its descendants have used since they started, including children that
/// were waited for; and what the machine has used. Only differences of two values are meaningful.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// CPU time, ns: exact for living processes (clock_getcpuclockid(3)), in clock ticks for ended
    /// ones.
    pub cpu_time: u64,
    /// CPU time of the living threads, ns, which are those whose context switches are counted. If
    /// this is much less than `cpu_time`, the count of switches is meaningless.
    pub living_threads: u64,
    /// Context switches: a thread waited, or was preempted.
    pub switches: u64,
    pub page_faults: u64,
    /// Living processes.
    pub processes: u64,
    /// Their threads.
    pub threads: u64,
    /// Proportional set size, KiB (proc_pid_smaps(5)).
    pub pss: u64,
    /// Virtual size, KiB.
    pub virtual_size: u64,
    /// Of the machine: kernel stacks, slab and page tables, KiB (proc_meminfo(5)).
    pub kernel_memory: u64,
    /// When the values of the machine were read, ns of the monotonic clock.
    pub read_at: u64,
    /// Of the CPUs that are used: time in which something ran, ns (proc_stat(5)). The kernel
    /// samples it, at every tick.
    pub work: u64,
    /// Of the same CPUs: time in which nothing ran, ns. The kernel measures it.
    pub idle: u64,
    /// Of the same CPUs: time that the hypervisor gave to others, ns.
    pub steal: u64,
    /// Time for which the CPU quota of our control group stopped it, ns (cgroups(7), `cpu.stat`).
    pub throttled: u64,
    /// Of the machine: connections that found a listen queue full (ListenOverflows).
    pub listen_overflows: u64,
}

impl Usage {
    /// The usage of a process and its descendants, without the memory
    /// ([`add_memory`](Self::add_memory)), and that of the machine on these CPUs, or on all of them
    /// if there are none in the list. `None` if there is no such process, or no /proc.
    pub fn of(pid: u32, cpus: &[usize]) -> Option<Self> {
        let tick = 1_000_000_000 / rustix::param::clock_ticks_per_second().max(1);
        let mut sum = Self::default();
        // First, because reading the processes may take half a second of CPU time.
        let stat = read("/proc/stat").unwrap_or_default();
        if let Some(ticks) = machine(&stat, cpus) {
            [sum.work, sum.idle, sum.steal] = ticks.map(|ticks| ticks * tick);
            let now = clock::monotonic_time().as_nanos();
            sum.read_at = u64::try_from(now).unwrap_or(u64::MAX);
        }
        sum.throttled = throttled().unwrap_or(0);
        let netstat = read("/proc/net/netstat").unwrap_or_default();
        sum.listen_overflows = counter(&netstat, "ListenOverflows").unwrap_or(0);
        for pid in process_tree(pid) {
            let Some(stat) = read_of(pid, "stat").as_deref().and_then(Stat::parse) else {
                continue;
            };
            sum.cpu_time += platform::cpu_time(pid).unwrap_or(stat.ticks * tick);
            sum.cpu_time += stat.of_children * tick;
            sum.page_faults += stat.page_faults;
            sum.processes += 1;
            sum.threads += stat.threads;
            for thread in entries(&format!("/proc/{pid}/task")) {
                let status = read_of(pid, &format!("task/{thread}/status")).unwrap_or_default();
                let count = |name| value(&status, name).unwrap_or(0);
                sum.switches += count("voluntary_ctxt_switches");
                sum.switches += count("nonvoluntary_ctxt_switches");
                let times = read_of(pid, &format!("task/{thread}/schedstat")).unwrap_or_default();
                sum.living_threads += first_number(&times).unwrap_or(0);
            }
        }
        (sum.processes > 0).then_some(sum)
    }

    /// The CPU time that was used of `cpus` CPUs since `before`, ns, by all programs. It is the
    /// lesser of two estimates, so it may be too low:
    ///
    /// - the sampled work, which may be too high or too low. If a server works 140 of every 200 us,
    ///   each tick may find it at work, since a tick of 4 ms is twenty such periods;
    /// - what is not idle, which is too high. It includes the kernel's switches between the idle
    ///   CPU and programs, some per cent of a CPU that sleeps and wakes for each request.
    pub fn used_since(&self, before: &Self, cpus: u64) -> u64 {
        let work = self.work.saturating_sub(before.work);
        let unused = (self.idle + self.steal).saturating_sub(before.idle + before.steal);
        let all = cpus * self.read_at.saturating_sub(before.read_at);
        work.min(all.saturating_sub(unused))
    }

    /// Adds the memory of the same processes, which takes long to read.
    pub fn add_memory(&mut self, pid: u32) {
        for pid in process_tree(pid) {
            let rollup = read_of(pid, "smaps_rollup").unwrap_or_default();
            let status = read_of(pid, "status").unwrap_or_default();
            self.pss += value(&rollup, "Pss").unwrap_or(0);
            self.virtual_size += value(&status, "VmSize").unwrap_or(0);
        }
        let memory = read("/proc/meminfo").unwrap_or_default();
        let parts = ["KernelStack", "Slab", "PageTables"];
        let parts = parts.iter().filter_map(|name| value(&memory, name));
        self.kernel_memory = parts.sum();
    }
}

/// A process and all its descendants, parents first. Without /proc only the process itself.
fn process_tree(root: u32) -> Vec<u32> {
    let mut tree = vec![root];
    let mut next = 0;
    while let Some(pid) = tree.get(next).copied() {
        next += 1;
        let capacity = MAX_PROCESSES.saturating_sub(tree.len());
        tree.extend(children(pid).into_iter().take(capacity));
    }
    tree
}

/// The children of a process. Each is in the list of the thread that forked it.
fn children(pid: u32) -> Vec<u32> {
    let threads = entries(&format!("/proc/{pid}/task")).take(MAX_FORKING_THREADS);
    let lists = threads.filter_map(|thread| read_of(pid, &format!("task/{thread}/children")));
    let parse = |list: String| -> Vec<u32> {
        let words = list.split_whitespace();
        words.filter_map(|word| word.parse().ok()).collect()
    };
    lists.flat_map(parse).collect()
}

/// The entries of a directory that are numbers, lazily: a server may have many threads.
fn entries(path: &str) -> impl Iterator<Item = u32> + use<> {
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

fn read_of(pid: u32, name: &str) -> Option<String> {
    read(&format!("/proc/{pid}/{name}"))
}

fn read(path: &str) -> Option<String> {
    std::fs::read_to_string(path).ok()
}

/// Fields of /proc/PID/stat (proc_pid_stat(5)).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Stat {
    /// Page faults of the process, and of children that it has waited for.
    page_faults: u64,
    /// Clock ticks in user mode and in the kernel.
    ticks: u64,
    /// The same of children that it has waited for.
    of_children: u64,
    threads: u64,
}

impl Stat {
    /// The name of the process, in parentheses, may contain blanks and parentheses.
    fn parse(text: &str) -> Option<Self> {
        let (_, rest) = text.rsplit_once(')')?;
        // Fields are numbered from 1; the first one here is number 3.
        let fields: Vec<&str> = rest.split_whitespace().collect();
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        Some(Self {
            page_faults: [10, 11, 12, 13].into_iter().filter_map(field).sum(),
            ticks: field(14)? + field(15)?,
            of_children: field(16)? + field(17)?,
            threads: field(20)?,
        })
    }
}

/// The number after `name` and a colon, in a text with one name per line.
fn value(text: &str, name: &str) -> Option<u64> {
    let mut lines = text.lines();
    let rest = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    first_number(rest)
}

/// The first number of a text; that of /proc/PID/task/TID/schedstat is the CPU time, ns.
fn first_number(text: &str) -> Option<u64> {
    text.split_whitespace().next()?.parse().ok()
}

/// Clock ticks of these CPUs in /proc/stat: work, idle and steal; without a list those of all.
fn machine(text: &str, cpus: &[usize]) -> Option<[u64; 3]> {
    if cpus.is_empty() {
        return ticks(text, "cpu");
    }
    let each = cpus.iter().map(|cpu| ticks(text, &format!("cpu{cpu}")));
    each.reduce(|sum, one| {
        let ([work, idle, steal], one) = (sum?, one?);
        Some([work + one[0], idle + one[1], steal + one[2]])
    })?
}

/// The ticks in the line of this name.
fn ticks(text: &str, name: &str) -> Option<[u64; 3]> {
    let mut lines = text.lines();
    let line = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
    let fields = line.split_whitespace();
    let ticks: Vec<u64> = fields.map_while(|field| field.parse().ok()).collect();
    // Guest time, behind steal, is part of user.
    let [user, nice, system, idle, iowait, irq, softirq, steal, ..] = *ticks.as_slice() else {
        return None;
    };
    let work = user + nice + system + irq + softirq;
    Some([work, idle + iowait, steal])
}

/// See [`Usage::throttled`]. `None`: there is no control group of version 2, or no quota.
fn throttled() -> Option<u64> {
    let groups = read("/proc/self/cgroup")?;
    let path = groups.lines().find_map(|line| line.strip_prefix("0::"))?;
    let stat = read(&format!("/sys/fs/cgroup{path}/cpu.stat"))?;
    let mut lines = stat.lines();
    let microseconds = lines.find_map(|line| line.strip_prefix("throttled_usec "))?;
    Some(first_number(microseconds)? * 1000)
}

/// A counter of /proc/net/netstat: a line of names, and below it a line of values.
fn counter(text: &str, name: &str) -> Option<u64> {
    let lines: Vec<&str> = text.lines().collect();
    lines.windows(2).find_map(|pair| {
        let [names, values] = *pair else {
            return None;
        };
        let at = names.split_whitespace().position(|one| one == name)?;
        values.split_whitespace().nth(at)?.parse().ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    /// The shell waits for its child, so both live while they are counted.
    #[test]
    fn the_usage_of_a_process_includes_its_children() {
        if !cfg!(target_os = "linux") {
            return;
        }
        let mut shell = Command::new("sh");
        let mut shell = shell.args(["-c", "sleep 60 & wait"]).spawn().unwrap();
        let usage = (0..500).find_map(|_| {
            std::thread::sleep(std::time::Duration::from_millis(10));
            Usage::of(shell.id(), &[]).filter(|usage| usage.processes > 1)
        });
        let mut usage = usage.unwrap();
        usage.add_memory(shell.id());
        for pid in process_tree(shell.id()) {
            let _ = Command::new("kill").arg(pid.to_string()).status();
        }
        shell.wait().unwrap();
        assert_eq!((usage.processes, usage.threads), (2, 2));
        assert!(usage.pss > 0 && usage.kernel_memory > 0, "{usage:?}");
    }

    #[test]
    fn a_process_that_does_not_exist_has_no_usage_and_no_descendants() {
        assert_eq!(Usage::of(u32::MAX, &[]), None);
        assert_eq!(process_tree(u32::MAX), [u32::MAX]);
    }

    #[test]
    fn the_fields_of_stat_are_found_after_any_name() {
        let text = "7 (a) b (c) S 1 7 7 0 -1 4194304 100 20 3 4 50 60 70 80 20 0 9 0 12345 1 2 3";
        let expected = Stat {
            page_faults: 127,
            ticks: 110,
            of_children: 150,
            threads: 9,
        };
        assert_eq!(Stat::parse(text), Some(expected));
        assert_eq!(Stat::parse("7 (a) S 1"), None);
        assert_eq!(Stat::parse(""), None);
    }

    #[test]
    fn ticks_of_work_of_idleness_and_of_steal_are_parsed() {
        let text = "cpu  10 1 20 990 7 2 3 40 5 0\ncpu0 1 0 0 9 2 0 0 2 0 0\n\
                    cpu1 4 0 5 8 1 0 0 3 0 0\ncpu10 5 1 15 973 4 2 3 35 5 0\n";
        assert_eq!(machine(text, &[]), Some([36, 997, 40]));
        assert_eq!(machine(text, &[1]), Some([9, 9, 3]));
        assert_eq!(machine(text, &[0, 1]), Some([10, 20, 5]));
        assert_eq!(machine(text, &[0, 2]), None);
        assert_eq!(machine("intr 1", &[]), None);
    }

    #[test]
    fn the_time_in_use_is_the_lesser_of_what_ticks_saw_and_what_was_not_idle() {
        let before = Usage {
            read_at: 5_000_000_000,
            work: 3_000_000_000,
            idle: 1_000_000_000,
            steal: 10_000_000,
            ..Usage::default()
        };
        let after = |work| Usage {
            read_at: 6_000_000_000,
            work,
            idle: 1_300_000_000,
            steal: 20_000_000,
            ..before
        };
        // Each tick has found a program at work.
        assert_eq!(after(5_000_000_000).used_since(&before, 2), 1_690_000_000);
        // The CPU slept often.
        assert_eq!(after(4_500_000_000).used_since(&before, 2), 1_500_000_000);
        assert_eq!(before.used_since(&after(5_000_000_000), 2), 0);
    }

    #[test]
    fn a_counter_is_found_below_its_name() {
        let text = "TcpExt: A ListenOverflows C\nTcpExt: 1 22 3\nIpExt: X Y\nIpExt: 4 5\n";
        assert_eq!(counter(text, "ListenOverflows"), Some(22));
        assert_eq!(counter(text, "Y"), Some(5));
        assert_eq!(counter(text, "Z"), None);
    }
}
