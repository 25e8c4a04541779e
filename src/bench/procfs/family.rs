//! Room `bench`: who belongs to a server? The process that was started, and all its descendants.

use super::{file, read, text};
use std::collections::BTreeMap;

/// Threads of a process that are asked for children: servers fork in their first.
const MOST_FORKERS: usize = 8;
/// Processes that are counted at most.
const MOST_PROCESSES: usize = 100_000;

/// A process and all its descendants, parents first. Where there is no /proc, only itself.
pub fn family(root: u32) -> Vec<u32> {
    // A kernel may be without these lists (CONFIG_PROC_CHILDREN); then everybody is asked for his
    // parent.
    let has_lists = file("/proc/thread-self/children").is_some();
    let by_parent = if has_lists {
        BTreeMap::new()
    } else {
        by_parent()
    };
    let mut all = vec![root];
    let mut next = 0;
    while let Some(pid) = all.get(next).copied() {
        next += 1;
        let children = match has_lists {
            true => children(pid),
            false => by_parent.get(&pid).cloned().unwrap_or_default(),
        };
        let room = MOST_PROCESSES.saturating_sub(all.len());
        all.extend(children.into_iter().take(room));
    }
    all
}

/// The children of a process. Each is in the list of the thread that forked it.
fn children(pid: u32) -> Vec<u32> {
    let threads = entries(&format!("/proc/{pid}/task")).take(MOST_FORKERS);
    let lists = threads.filter_map(|thread| text(pid, &format!("task/{thread}/children")));
    lists.flat_map(|list| read::all(&list)).collect()
}

/// The children of everybody who has some.
fn by_parent() -> BTreeMap<u32, Vec<u32>> {
    let mut found: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for pid in numbers("/proc") {
        let stat = text(pid, "stat");
        if let Some(parent) = stat.as_deref().and_then(read::parent) {
            found.entry(parent).or_default().push(pid);
        }
    }
    found
}

/// The entries of a directory that are numbers, in order.
pub fn numbers(path: &str) -> Vec<u32> {
    let mut numbers: Vec<u32> = entries(path).collect();
    numbers.sort_unstable();
    numbers
}

/// The same as they come, and no more of them than are asked for: a server may have many threads.
fn entries(path: &str) -> impl Iterator<Item = u32> + use<> {
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    /// Red with a parent that is read from the wrong field, and with a list that is not read.
    #[test]
    fn children_are_found_by_the_lists_and_by_their_parents() {
        let mut child = Command::new("sleep")
            .arg("60")
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let (own, pid) = (std::process::id(), child.id());
        let found = family(own);
        let parents = by_parent();
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(found.first(), Some(&own));
        if cfg!(target_os = "linux") {
            assert!(found.contains(&pid), "{pid} in {found:?}");
            let children = parents.get(&own).cloned().unwrap_or_default();
            assert!(children.contains(&pid), "{pid} in {children:?}");
        }
    }

    #[test]
    fn who_is_not_there_is_alone() {
        assert_eq!(family(u32::MAX), [u32::MAX]);
    }
}
