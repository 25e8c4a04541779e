//! Room `bench`: the processor time of another process, to the nanosecond. The only `unsafe` of the
//! room: no safe library asks for the clock of a process. Knows nothing of /proc.

/// Nanoseconds of processor time that a process has used, with its threads that have ended, without
/// its children (clock_getcpuclockid(3)). `None` if there is no such process, or no such clock.
pub fn processor_time(pid: u32) -> Option<u64> {
    system::processor_time(pid)
}

#[cfg(target_os = "linux")]
#[allow(unsafe_code)]
mod system {
    pub fn processor_time(pid: u32) -> Option<u64> {
        let pid = libc::pid_t::try_from(pid).ok()?;
        let mut clock: libc::clockid_t = 0;
        // SAFETY: it writes a number to a place of that type, which is ours, and keeps no pointer.
        if unsafe { libc::clock_getcpuclockid(pid, &raw mut clock) } != 0 {
            return None;
        }
        let mut time = libc::timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        // SAFETY: it writes a time to a place of that type, which is ours, and keeps no pointer.
        if unsafe { libc::clock_gettime(clock, &raw mut time) } != 0 {
            return None;
        }
        let (seconds, rest) = (
            u64::try_from(time.tv_sec).ok()?,
            u64::try_from(time.tv_nsec).ok()?,
        );
        Some(seconds * 1_000_000_000 + rest)
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    pub fn processor_time(_: u32) -> Option<u64> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_this_process_uses_is_seen_and_nobody_is_not() {
        let before = processor_time(std::process::id());
        let mut sum = 0_u64;
        for number in 0..1_000_000_u64 {
            sum = std::hint::black_box(sum.wrapping_add(number));
        }
        let after = processor_time(std::process::id());
        assert!(after > before || after.is_none(), "{before:?} {after:?}");
        assert_eq!(processor_time(u32::MAX), None);
    }
}
