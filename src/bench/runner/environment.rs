//! Facts about the machine, and warnings about what may disturb the measurements.

use super::RunContext;
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
    let load = read("/proc/loadavg");
    let first = |text: &String| text.split_whitespace().next()?.parse().ok();
    let warnings = warnings(context, load.as_ref().and_then(first), descriptors);
    let is_guest = read("/proc/cpuinfo").map(|text| text.contains(" hypervisor"));
    let virtualization = is_guest.map(|is_guest| if is_guest { "a virtual machine" } else { "no" });
    let build = if platform::UNOPTIMIZED {
        "debug"
    } else {
        "release"
    };
    let pinning = context.cpus.map(|cpus| {
        format!(
            "server on CPU {}, generator on CPU {}",
            cpus.server, cpus.generator
        )
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
        (
            "governor",
            read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        ),
        ("load average", load),
        ("build", Some(build.to_owned())),
        ("commit", option_env!("ONELOOP_COMMIT").map(str::to_owned)),
        ("pinning", Some(pinning.unwrap_or("none".to_owned()))),
    ];
    let setting =
        |name: &'static str| (name, read(&format!("/proc/sys/{}", name.replace('.', "/"))));
    let facts = facts.into_iter().chain(SETTINGS.map(setting));
    let facts =
        facts.filter_map(|(name, value)| Some((name.to_owned(), value?.trim().replace('\t', " "))));
    Environment {
        facts: facts.collect(),
        warnings,
    }
}

fn warnings(context: &RunContext, load: Option<f64>, descriptors: Option<u64>) -> Vec<String> {
    let mut warnings = Vec::new();
    if platform::UNOPTIMIZED {
        warnings.push(
            "this is a debug build, whose results are meaningless: use cargo run --release -- bench"
                .to_owned(),
        );
    }
    if std::env::consts::OS != "linux" {
        warnings.push(
            "this is not Linux: CPU time, memory and context switches are not measured".to_owned(),
        );
    }
    if context.cpus.is_none() {
        warnings.push(
            "server and generator are not pinned to two CPUs: they may compete for one".to_owned(),
        );
    }
    if let Some(load) = load.filter(|load| *load > MAX_LOAD) {
        warnings.push(format!(
            "other programs are running (load average {load:.2}): samples that they disturb do not \
             count"
        ));
    }
    if let Some(most) = descriptors.filter(|most| *most < 4096) {
        warnings.push(format!(
            "the limit for descriptors is {most}, too few for workloads with many connections \
             (raise it: ulimit -Hn)"
        ));
    }
    warnings
}

fn read(path: &str) -> Option<String> {
    fs::read_to_string(path).ok()
}

/// What is after a name and a colon in a file.
fn field(path: &str, name: &str) -> Option<String> {
    let text = read(path)?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.to_owned())
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
    let all = active.join("; ");
    Some(if all.is_empty() {
        "none".to_owned()
    } else {
        all
    })
}
