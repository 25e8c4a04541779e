//! Room `bench`: what do the texts in /proc say? No I/O.

/// What /proc/PID/stat says (proc_pid_stat(5)).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stat {
    /// Page faults, its own and those of children it has waited for.
    pub faults: u64,
    /// Clock ticks outside and inside the kernel.
    pub ticks: (u64, u64),
    /// The same of children it has waited for.
    pub children: (u64, u64),
    /// Threads.
    pub threads: u64,
}

/// Reads /proc/PID/stat. The name in it may be anything, blanks and parentheses included.
pub fn stat(text: &str) -> Option<Stat> {
    let (_, rest) = text.rsplit_once(')')?;
    // The first of them is the third field of the file.
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
    Some(Stat {
        faults: [10, 11, 12, 13].into_iter().filter_map(field).sum(),
        ticks: (field(14)?, field(15)?),
        children: (field(16)?, field(17)?),
        threads: field(20)?,
    })
}

/// The process that has started this one, of /proc/PID/stat.
pub fn parent(text: &str) -> Option<u32> {
    let (_, rest) = text.rsplit_once(')')?;
    rest.split_whitespace().nth(1)?.parse().ok()
}

/// The numbers of a text of numbers: the children in /proc/PID/task/TID/children.
pub fn all(text: &str) -> Vec<u32> {
    let words = text.split_whitespace();
    words.filter_map(|one| one.parse().ok()).collect()
}

/// The number behind `name` and a colon, in a text with a line for each name.
pub fn value(text: &str, name: &str) -> Option<u64> {
    let mut lines = text.lines();
    let rest = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    rest.split_whitespace().next()?.parse().ok()
}

/// The first number of a text: of /proc/PID/schedstat the processor time, ns.
pub fn first(text: &str) -> Option<u64> {
    text.split_whitespace().next()?.parse().ok()
}

/// Clock ticks that the whole machine has used, and those that were stolen from it, of /proc/stat.
pub fn machine(text: &str) -> Option<(u64, u64)> {
    let line = text.lines().next()?.strip_prefix("cpu ")?;
    let ticks: Vec<u64> = line
        .split_whitespace()
        .map_while(|one| one.parse().ok())
        .collect();
    // user nice system idle iowait irq softirq steal; guest is part of user.
    let [user, nice, system, _, _, irq, softirq, steal, ..] = *ticks.as_slice() else {
        return None;
    };
    Some((user + nice + system + irq + softirq, steal))
}

/// The counter of that name in /proc/net/netstat, where a line of names stands above its values.
pub fn counter(text: &str, name: &str) -> Option<u64> {
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

    #[test]
    fn the_fields_of_stat_are_counted_after_the_name_whatever_it_is() {
        let text = "7 (a) b (c) S 1 7 7 0 -1 4194304 100 20 3 4 50 60 70 80 20 0 9 0 12345 1 2 3";
        let wanted = Stat {
            faults: 127,
            ticks: (50, 60),
            children: (70, 80),
            threads: 9,
        };
        assert_eq!(stat(text), Some(wanted));
        assert_eq!(stat("7 (a) S 1"), None);
        assert_eq!(stat(""), None);
        assert_eq!((parent(text), parent("7 (a) S")), (Some(1), None));
    }

    #[test]
    fn children_are_a_line_of_numbers() {
        assert_eq!(all("12 345 6 "), [12, 345, 6]);
        assert_eq!(all(""), [0_u32; 0]);
    }

    #[test]
    fn a_value_is_that_of_the_whole_name() {
        let text = "VmPeak:\t  300 kB\nVmSize:\t  200 kB\nSlab:  5 kB\nThreads:\t4\n";
        assert_eq!(value(text, "VmSize"), Some(200));
        assert_eq!(value(text, "Vm"), None);
        assert_eq!(value(text, "Threads"), Some(4));
    }

    #[test]
    fn the_machine_is_busy_and_stolen_from() {
        let text = "cpu  10 1 20 999 7 2 3 40 5 0\ncpu0 1 2 3\n";
        assert_eq!(machine(text), Some((36, 40)));
        assert_eq!(machine("intr 1"), None);
    }

    #[test]
    fn a_counter_stands_below_its_name() {
        let text = "TcpExt: A ListenOverflows C\nTcpExt: 1 22 3\nIpExt: X Y\nIpExt: 4 5\n";
        assert_eq!(counter(text, "ListenOverflows"), Some(22));
        assert_eq!(counter(text, "Y"), Some(5));
        assert_eq!(counter(text, "Z"), None);
    }
}
