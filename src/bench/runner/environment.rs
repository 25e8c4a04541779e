//! Facts about the machine, and warnings about what may disturb the measurements.

use super::{Cpus, RunContext};
use crate::bench::platform;
use crate::bench::types::Environment;
use std::collections::BTreeMap;
use std::fs;

/// Limit for steal since the boot, percent.
const MAX_STEAL: f64 = 1.0;
/// Limit for the load average of a machine without other work.
const MAX_LOAD: f64 = 0.7;
/// Settings of the kernel that the results depend on.
const SETTINGS: [&str; 7] = [
    "net.core.somaxconn",
    "net.ipv4.tcp_max_syn_backlog",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.tcp_wmem",
    "net.ipv4.tcp_rmem",
    "vm.max_map_count",
    "kernel.threads-max",
];

/// The facts about this machine, and the warnings.
pub fn inspect(context: &RunContext, descriptors: Option<u64>) -> Environment {
    let stat = read("/proc/stat").unwrap_or_default();
    let load = read("/proc/loadavg");
    let steal = steal_since_boot(&stat);
    let governor = read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor");
    let is_guest = read("/proc/cpuinfo").map(|text| text.contains(" hypervisor"));
    let virtualization = is_guest.map(|is_guest| if is_guest { "a virtual machine" } else { "no" });
    let settings = SETTINGS.map(|name| {
        let value = read(&format!("/proc/sys/{}", name.replace('.', "/")));
        (name, value.map(|value| value.replace('\t', " ")))
    });
    let facts = [
        ("processor", field("/proc/cpuinfo", "model name")),
        ("cores", Some(context.cpu_count.to_string())),
        ("system", Some(std::env::consts::OS.to_owned())),
        ("kernel", read("/proc/sys/kernel/osrelease")),
        ("virtualization", virtualization.map(str::to_owned)),
        ("memory", field("/proc/meminfo", "MemTotal")),
        ("descriptors", descriptors.map(|most| most.to_string())),
        ("mitigations", mitigations()),
        ("governor", governor),
        ("load average", load.clone()),
        (
            "steal",
            steal.map(|part| format!("{part:.2} % since the boot")),
        ),
        (
            "build",
            Some(
                if platform::UNOPTIMIZED {
                    "debug"
                } else {
                    "release"
                }
                .to_owned(),
            ),
        ),
        ("commit", option_env!("ONELOOP_COMMIT").map(str::to_owned)),
        ("pinning", Some(pinning(context.cpus))),
    ];
    let facts = facts.into_iter().chain(settings);
    let facts = facts.filter_map(|(name, value)| Some((name.to_owned(), value?.trim().to_owned())));
    let first = |text: String| text.split_whitespace().next()?.parse().ok();
    Environment {
        facts: facts.collect::<BTreeMap<_, _>>(),
        warnings: warnings(&Host {
            unoptimized: platform::UNOPTIMIZED,
            cpus: context.cpu_count,
            pinned: context.cpus.is_some(),
            load: load.and_then(first).unwrap_or(0.0),
            steal: steal.unwrap_or(0.0),
            descriptors: descriptors.unwrap_or(u64::MAX),
            linux: std::env::consts::OS == "linux",
        }),
    }
}

/// What the warnings depend on.
#[derive(Clone, Copy, Debug)]
struct Host {
    unoptimized: bool,
    cpus: usize,
    pinned: bool,
    load: f64,
    steal: f64,
    descriptors: u64,
    linux: bool,
}

fn warnings(host: &Host) -> Vec<String> {
    let (load, steal, most) = (host.load, host.steal, host.descriptors);
    let table = [
        (
            host.unoptimized,
            "this is a debug build, whose results are meaningless: use cargo run --release -- bench"
                .to_owned(),
        ),
        (
            !host.linux,
            "this is not Linux: CPU time, memory and context switches are not measured".to_owned(),
        ),
        (host.cpus < 2, "there is one CPU: server and generator compete for it".to_owned()),
        (
            host.cpus >= 2 && !host.pinned,
            "server and generator are not pinned: they may compete for a CPU".to_owned(),
        ),
        (
            load > MAX_LOAD,
            format!(
                "other programs are running (load average {load:.2}): samples that they disturb do \
                 not count"
            ),
        ),
        (
            steal > MAX_STEAL,
            format!(
                "the hypervisor gave {steal:.1} % of the CPU time since the boot to other machines \
                 (steal)"
            ),
        ),
        (
            most < 4096,
            format!(
                "the limit for descriptors is {most}, too few for workloads with many connections \
                 (raise it: ulimit -Hn)"
            ),
        ),
    ];
    table
        .into_iter()
        .filter(|(applies, _)| *applies)
        .map(|(_, warning)| warning)
        .collect()
}

fn read(path: &str) -> Option<String> {
    fs::read_to_string(path).ok()
}

/// What is after a name and a colon in a file.
fn field(path: &str, name: &str) -> Option<String> {
    let text = read(path)?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

/// Mitigations of CPU vulnerabilities, which make system calls slower.
fn mitigations() -> Option<String> {
    let folder = fs::read_dir("/sys/devices/system/cpu/vulnerabilities").ok()?;
    let active = folder.filter_map(|entry| {
        let entry = entry.ok()?;
        let text = fs::read_to_string(entry.path()).ok()?;
        let how = text.trim().strip_prefix("Mitigation: ")?;
        Some(format!("{}: {how}", entry.file_name().to_string_lossy()))
    });
    let mut active: Vec<String> = active.collect();
    active.sort();
    Some(if active.is_empty() {
        "none".to_owned()
    } else {
        active.join("; ")
    })
}

/// Steal in percent of the time since the boot (proc_stat(5)).
fn steal_since_boot(stat: &str) -> Option<f64> {
    let fields = stat
        .lines()
        .next()?
        .strip_prefix("cpu ")?
        .split_whitespace()
        .take(8);
    let ticks: Vec<f64> = fields.filter_map(|field| field.parse().ok()).collect();
    let all: f64 = ticks.iter().sum();
    (all > 0.0).then_some(100.0 * ticks.get(7)? / all)
}

fn pinning(cpus: Option<Cpus>) -> String {
    let both = |cpus: Cpus| {
        format!(
            "server on CPU {}, generator on CPU {}",
            cpus.server, cpus.generator
        )
    };
    cpus.map_or_else(|| "none".to_owned(), both)
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUIET: Host = Host {
        unoptimized: false,
        cpus: 2,
        pinned: true,
        load: 0.1,
        steal: 0.0,
        descriptors: 20_000,
        linux: true,
    };

    #[test]
    fn each_disturbance_has_a_warning() {
        assert_eq!(warnings(&QUIET), [""; 0]);
        let change = |change: fn(&mut Host)| {
            let mut host = QUIET;
            change(&mut host);
            warnings(&host)
        };
        type Disturbance = (fn(&mut Host), &'static str);
        let table: [Disturbance; 7] = [
            (|host| host.unoptimized = true, "this is a debug build"),
            (
                |host| (host.cpus, host.pinned) = (1, false),
                "there is one CPU",
            ),
            (
                |host| host.pinned = false,
                "server and generator are not pinned",
            ),
            (|host| host.load = 0.9, "other programs are running"),
            (|host| host.steal = 1.5, "the hypervisor gave 1.5 %"),
            (
                |host| host.descriptors = 1024,
                "the limit for descriptors is 1024",
            ),
            (|host| host.linux = false, "this is not Linux"),
        ];
        for (disturbance, sentence) in table {
            let warnings = change(disturbance);
            assert_eq!(warnings.len(), 1, "{warnings:?}");
            assert!(warnings[0].starts_with(sentence), "{warnings:?}");
        }
    }

    #[test]
    fn steal_is_in_percent_of_all_ticks() {
        let stat = "cpu  10 0 20 60 0 0 5 5 0 0\ncpu0 1 0 2 6 0 0 0 1 0 0\n";
        assert_eq!(steal_since_boot(stat), Some(5.0));
        assert_eq!(steal_since_boot("cpu  1 2"), None);
    }

    #[test]
    fn facts_of_this_machine_are_found() {
        let context = RunContext::new(1, false, std::iter::empty()).unwrap();
        let environment = inspect(&context, Some(9));
        assert_eq!(environment.facts["descriptors"], "9");
        assert_eq!(environment.facts["pinning"], "none");
        assert!(environment.facts.contains_key("cores"));
    }
}
