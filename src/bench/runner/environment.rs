//! Facts about the machine, and warnings about what may disturb the measurements.

use super::{Cpus, RunContext};
use crate::bench::platform;
use crate::bench::types::Environment;
use std::fs;

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

/// The facts about this machine, and the warnings. `descriptors` is the limit for them.
pub fn inspect(context: &RunContext, descriptors: Option<u64>) -> Environment {
    let cpus = read("/proc/cpuinfo");
    let is_guest = cpus.as_ref().map(|text| text.contains(" hypervisor"));
    let virtualization = is_guest.map(|is_guest| if is_guest { "a virtual machine" } else { "no" });
    let build = if platform::UNOPTIMIZED {
        "debug"
    } else {
        "release"
    };
    let pinning = context
        .cpus
        .map_or("none".to_owned(), |Cpus { server, generator }| {
            format!("server on CPU {server}, generator on CPU {generator}")
        });
    let load = read("/proc/loadavg");
    let governor = "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor";
    let facts = [
        ("processor", field(cpus, "model name")),
        ("cores", Some(context.cpu_count.to_string())),
        ("system", Some(std::env::consts::OS.to_owned())),
        ("kernel", read("/proc/sys/kernel/osrelease")),
        ("virtualization", virtualization.map(str::to_owned)),
        ("memory", field(read("/proc/meminfo"), "MemTotal")),
        ("descriptors", descriptors.map(|most| most.to_string())),
        ("mitigations", mitigations()),
        ("governor", read(governor)),
        ("load average", load.clone()),
        ("build", Some(build.to_owned())),
        ("commit", option_env!("ONELOOP_COMMIT").map(str::to_owned)),
        ("pinning", Some(pinning)),
    ];
    let setting = |name: &'static str| {
        let path = format!("/proc/sys/{}", name.replace('.', "/"));
        (name, read(&path))
    };
    let facts = facts.into_iter().chain(SETTINGS.map(setting));
    let facts =
        facts.filter_map(|(name, value)| Some((name.to_owned(), value?.trim().replace('\t', " "))));
    let load = load.and_then(|text| text.split_whitespace().next()?.parse().ok());
    Environment {
        facts: facts.collect(),
        warnings: warnings(
            context,
            load.unwrap_or(0.0),
            descriptors.unwrap_or(u64::MAX),
        ),
    }
}

fn warnings(context: &RunContext, load: f64, descriptors: u64) -> Vec<String> {
    let warnings = [
        (
            platform::UNOPTIMIZED,
            "this is a debug build, whose results are meaningless: use cargo run --release -- bench"
                .to_owned(),
        ),
        (
            std::env::consts::OS != "linux",
            "this is not Linux: CPU time, memory and context switches are not measured".to_owned(),
        ),
        (
            context.cpus.is_none(),
            "server and generator are not pinned to two CPUs: they may compete for one".to_owned(),
        ),
        (
            load > MAX_LOAD,
            format!(
                "other programs are running (load average {load:.2}): samples that they disturb do \
                 not count"
            ),
        ),
        (
            descriptors < 4096,
            format!(
                "the limit for descriptors is {descriptors}, too few for workloads with many \
                 connections (raise it: ulimit -Hn)"
            ),
        ),
    ];
    let warnings = warnings.into_iter().filter(|(is_so, _)| *is_so);
    warnings.map(|(_, warning)| warning).collect()
}

fn read(path: &str) -> Option<String> {
    fs::read_to_string(path).ok()
}

/// What is after a name and a colon.
fn field(text: Option<String>, name: &str) -> Option<String> {
    let text = text?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.to_owned())
}

/// Mitigations of CPU vulnerabilities, which make system calls slower.
fn mitigations() -> Option<String> {
    let folder = fs::read_dir("/sys/devices/system/cpu/vulnerabilities").ok()?;
    let active = folder.flatten().filter_map(|entry| {
        let text = fs::read_to_string(entry.path()).ok()?;
        let how = text.trim().strip_prefix("Mitigation: ")?;
        Some(format!("{}: {how}", entry.file_name().display()))
    });
    let mut active: Vec<String> = active.collect();
    active.sort();
    let none = active.is_empty().then(|| "none".to_owned());
    Some(none.unwrap_or(active.join("; ")))
}
