//! System calls that not every platform has, and facts about the build. Where a call is missing the
//! result says so, and the benchmark continues without it. The only `unsafe` of the benchmark is
//! here: no safe library reads the CPU clock of another process, or calls anything after fork(2).

/// Whether every address of 127.0.0.0/8 is a loopback address; elsewhere only 127.0.0.1 is.
pub const MANY_LOOPBACKS: bool = cfg!(target_os = "linux");

/// Whether a read that did not fill the buffer has emptied the socket, so that there will be
/// another event, as with edge-triggered epoll. With mio's poll(2) selector, which tests may
/// choose, there is no event until a read returned `WouldBlock`.
pub const SHORT_READ_MEANS_EMPTY: bool = !cfg!(mio_unsupported_force_poll_poll);

/// Whether this program was built without optimization, so that its timings are meaningless.
pub const UNOPTIMIZED: bool = cfg!(debug_assertions);

pub use system::{cpu_time, cpus, pin_to, prepare};

#[cfg(target_os = "linux")]
mod system {
    use rustix::process::{Pid, Signal, set_parent_process_death_signal};
    use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
    use std::io;
    use std::os::unix::process::CommandExt;
    use std::process::Command;

    /// The CPUs that a thread may run on, sorted: this one, or the first of a process. Empty if the
    /// platform does not say (sched_getaffinity(2)).
    pub fn cpus(process: Option<u32>) -> Vec<usize> {
        let pid = process.and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?));
        let set = sched_getaffinity(pid).unwrap_or_default();
        (0..CpuSet::MAX_CPU)
            .filter(|cpu| set.is_set(*cpu))
            .collect()
    }

    /// Pins this thread, and the processes that it starts from now on, to these CPUs
    /// (sched_setaffinity(2)).
    pub fn pin_to(cpus: &[usize]) -> io::Result<()> {
        let mut set = CpuSet::new();
        for cpu in cpus.iter().filter(|cpu| **cpu < CpuSet::MAX_CPU) {
            set.set(*cpu);
        }
        Ok(sched_setaffinity(None, &set)?)
    }

    /// The CPU time of a living process, ns: of all its threads, without its children
    /// (clock_getcpuclockid(3)). `None` if there is no such process, or no such clock.
    #[allow(unsafe_code)]
    pub fn cpu_time(pid: u32) -> Option<u64> {
        let pid = libc::pid_t::try_from(pid).ok()?;
        let mut clock: libc::clockid_t = 0;
        // SAFETY: it writes to `clock`, which has this type, and keeps no pointer.
        if unsafe { libc::clock_getcpuclockid(pid, &raw mut clock) } != 0 {
            return None;
        }
        let mut time = libc::timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        // SAFETY: it writes to `time`, which has this type, and keeps no pointer.
        if unsafe { libc::clock_gettime(clock, &raw mut time) } != 0 {
            return None;
        }
        let seconds = u64::try_from(time.tv_sec).ok()?;
        Some(seconds * 1_000_000_000 + u64::try_from(time.tv_nsec).ok()?)
    }

    /// Prepares the process of a command: it gets SIGTERM when the thread that starts it ends, even
    /// by SIGKILL (PR_SET_PDEATHSIG of prctl(2)); with a CPU, it is pinned to it.
    #[allow(unsafe_code)]
    pub fn prepare(command: &mut Command, cpu: Option<usize>) {
        let prepare = move || {
            set_parent_process_death_signal(Some(Signal::TERM))?;
            cpu.map_or(Ok(()), |cpu| pin_to(&[cpu]))
        };
        // SAFETY: between fork and exec it makes two system calls, and allocates nothing.
        unsafe { command.pre_exec(prepare) };
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    use std::io;
    use std::process::Command;

    pub fn cpus(_: Option<u32>) -> Vec<usize> {
        Vec::new()
    }

    pub fn pin_to(_: &[usize]) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub fn cpu_time(_: u32) -> Option<u64> {
        None
    }

    pub fn prepare(_: &mut Command, _: Option<usize>) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pinned_thread_may_run_on_that_cpu_only() {
        let in_thread = || {
            if let Some(last) = cpus(None).last().copied() {
                pin_to(&[last]).unwrap();
                assert_eq!(cpus(None), [last]);
                assert!(!cpus(Some(std::process::id())).is_empty());
            }
        };
        std::thread::spawn(in_thread).join().unwrap();
    }
}
