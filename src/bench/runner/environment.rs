//! Facts about the machine, and warnings about what may disturb the measurements.

use super::context::{Cpus, RunContext};
use crate::bench::platform;
use crate::bench::record::Environment;
use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

/// Limit for steal since the boot, percent.
const MAX_STEAL: f64 = 1.0;
/// Limit for the load average of a machine without other work.
const MAX_LOAD: f64 = 0.7;

/// The facts about this machine, and the warnings.
pub fn inspect(context: &RunContext, descriptors: Option<u64>) -> Environment {
    let mut facts = BTreeMap::new();
    let mut fact = |name: &str, value: Option<String>| {
        if let Some(value) = value.map(|value| value.trim().to_owned()) {
            facts.insert(name.to_owned(), value);
        }
    };
    let (cpu_count, cpus) = (context.cpu_count, context.cpus);
    fact("processor", processor());
    fact("cores", Some(cpu_count.to_string()));
    fact("system", Some(std::env::consts::OS.to_owned()));
    fact("kernel", read("/proc/sys/kernel/osrelease"));
    fact("virtualization", virtualization());
    fact("memory", memory());
    for name in [
        "net.core.somaxconn",
        "net.ipv4.tcp_max_syn_backlog",
        "net.ipv4.ip_local_port_range",
        "net.ipv4.tcp_tw_reuse",
        "net.ipv4.tcp_congestion_control",
        "net.ipv4.tcp_wmem",
        "net.ipv4.tcp_rmem",
        "vm.max_map_count",
        "kernel.pid_max",
        "kernel.threads-max",
    ] {
        let path = format!("/proc/sys/{}", name.replace('.', "/"));
        let value = read(&path);
        fact(name, value.map(|value| value.trim().replace('\t', " ")));
    }
    fact("descriptors", descriptors.map(|most| most.to_string()));
    fact("mitigations", mitigations());
    fact(
        "governor",
        read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
    );
    fact(
        "turbo off",
        read("/sys/devices/system/cpu/intel_pstate/no_turbo"),
    );
    fact("load average", read("/proc/loadavg"));
    let steal = read("/proc/stat").and_then(|text| steal_since_boot(&text));
    fact(
        "steal",
        steal.map(|part| format!("{part:.2} % since the boot")),
    );
    fact(
        "pressure",
        read("/proc/pressure/cpu").map(|text| text.replace('\n', "; ")),
    );
    fact("git", git());
    fact("build", Some(build().to_owned()));
    fact("pinning", Some(pinning(cpus)));
    let load = read("/proc/loadavg").and_then(|text| first(&text));
    Environment {
        facts,
        warnings: warnings(&Host {
            unoptimized: platform::UNOPTIMIZED,
            cpus: cpu_count,
            pinned: cpus.is_some(),
            load: load.unwrap_or(0.0),
            steal: steal.unwrap_or(0.0),
            descriptors,
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
    descriptors: Option<u64>,
    linux: bool,
}

fn warnings(host: &Host) -> Vec<String> {
    let mut warnings = Vec::new();
    if host.unoptimized {
        warnings.push(
            "this is a debug build, whose results are meaningless: use cargo run --release -- bench"
                .to_owned(),
        );
    }
    if !host.linux {
        warnings.push(
            "this is not Linux: CPU time, memory and context switches are not measured".to_owned(),
        );
    }
    if host.cpus < 2 {
        warnings.push("there is one CPU: server and generator compete for it".to_owned());
    } else if !host.pinned {
        warnings.push("server and generator are not pinned: they may compete for a CPU".to_owned());
    }
    if host.load > MAX_LOAD {
        warnings.push(format!(
            "other programs are running (load average {:.2}): samples that they disturb do not \
             count",
            host.load
        ));
    }
    if host.steal > MAX_STEAL {
        warnings.push(format!(
            "the hypervisor gave {:.1} % of the CPU time since the boot to other machines (steal)",
            host.steal
        ));
    }
    if let Some(most) = host.descriptors.filter(|most| *most < 4096) {
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

fn first(text: &str) -> Option<f64> {
    text.split_whitespace().next()?.parse().ok()
}

fn processor() -> Option<String> {
    let text = read("/proc/cpuinfo")?;
    let line = text
        .lines()
        .find(|line| line.starts_with("model name") || line.starts_with("Model"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

fn virtualization() -> Option<String> {
    let text = read("/proc/cpuinfo")?;
    let guest = text.lines().any(|line| {
        line.starts_with("flags") && line.split_whitespace().any(|flag| flag == "hypervisor")
    });
    let product = read("/sys/class/dmi/id/product_name").unwrap_or_default();
    let vendor = read("/sys/class/dmi/id/sys_vendor").unwrap_or_default();
    let name = format!("{} {}", vendor.trim(), product.trim());
    let name = name.trim();
    Some(match (guest, name) {
        (false, _) => "none seen".to_owned(),
        (true, "") => "a virtual machine".to_owned(),
        (true, name) => format!("a virtual machine ({name})"),
    })
}

fn memory() -> Option<String> {
    let text = read("/proc/meminfo")?;
    let of = |name: &str| {
        let line = text.lines().find(|line| line.starts_with(name))?;
        first(line.split_once(':')?.1)
    };
    let mib = |kib: f64| kib / 1024.0;
    Some(format!(
        "{:.0} MiB, {:.0} available",
        mib(of("MemTotal:")?),
        mib(of("MemAvailable:")?)
    ))
}

/// Mitigations of CPU vulnerabilities, which make system calls slower.
fn mitigations() -> Option<String> {
    let folder = fs::read_dir("/sys/devices/system/cpu/vulnerabilities").ok()?;
    let mut active: Vec<String> = folder
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let text = fs::read_to_string(entry.path()).ok()?;
            let how = text.trim().strip_prefix("Mitigation: ")?;
            Some(format!("{}: {how}", entry.file_name().to_string_lossy()))
        })
        .collect();
    active.sort();
    Some(if active.is_empty() {
        "none".to_owned()
    } else {
        active.join("; ")
    })
}

/// Steal in percent of the time since the boot (proc_stat(5)).
fn steal_since_boot(stat: &str) -> Option<f64> {
    let line = stat.lines().find(|line| line.starts_with("cpu "))?;
    let ticks: Vec<f64> = line
        .split_whitespace()
        .skip(1)
        .take(8)
        .filter_map(|field| field.parse().ok())
        .collect();
    let all: f64 = ticks.iter().sum();
    (all > 0.0).then_some(100.0 * ticks.get(7)? / all)
}

/// The version of the sources in the current directory, if it has any.
fn git() -> Option<String> {
    let output = Command::new("git")
        .args(["describe", "--always", "--dirty", "--abbrev=12"])
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    (output.status.success() && !text.trim().is_empty()).then(|| text.trim().to_owned())
}

fn build() -> &'static str {
    if platform::UNOPTIMIZED {
        "debug"
    } else {
        "release"
    }
}

fn pinning(cpus: Option<Cpus>) -> String {
    match cpus {
        Some(both) => format!(
            "server on CPU {}, generator on CPU {}",
            both.server, both.generator
        ),
        None => "none".to_owned(),
    }
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
        descriptors: Some(20_000),
        linux: true,
    };

    #[test]
    fn a_quiet_machine_has_no_warnings() {
        assert_eq!(warnings(&QUIET), [""; 0]);
    }

    #[test]
    fn each_disturbance_has_a_warning() {
        let table = [
            (
                Host {
                    unoptimized: true,
                    ..QUIET
                },
                "this is a debug build",
            ),
            (
                Host {
                    cpus: 1,
                    pinned: false,
                    ..QUIET
                },
                "there is one CPU",
            ),
            (
                Host {
                    pinned: false,
                    ..QUIET
                },
                "server and generator are not pinned",
            ),
            (Host { load: 0.9, ..QUIET }, "other programs are running"),
            (
                Host {
                    steal: 1.5,
                    ..QUIET
                },
                "the hypervisor gave 1.5 %",
            ),
            (
                Host {
                    descriptors: Some(1024),
                    ..QUIET
                },
                "the limit for descriptors is 1024",
            ),
            (
                Host {
                    linux: false,
                    ..QUIET
                },
                "this is not Linux",
            ),
        ];
        for (host, sentence) in table {
            let warnings = warnings(&host);
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
