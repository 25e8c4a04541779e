//! Room `bench`: on which machine was it, and what about it may spoil the figures?

use super::run_context::{Processors, RunContext};
use crate::bench::platform;
use crate::bench::record::Environment;
use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

/// Percent of its processor time that a machine may have been without since it began.
const STEAL: f64 = 1.0;
/// Load average above which somebody else is at work.
const LOAD: f64 = 0.7;

/// What can be found out about this machine, and what to say about it.
pub fn look(lab: &RunContext, descriptors: Option<u64>) -> Environment {
    let mut facts = BTreeMap::new();
    let mut fact = |name: &str, value: Option<String>| {
        if let Some(value) = value.map(|value| value.trim().to_owned()) {
            facts.insert(name.to_owned(), value);
        }
    };
    let (cores, processors) = (lab.cores, lab.processors);
    fact("processor", processor());
    fact("cores", Some(cores.to_string()));
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
    let steal = read("/proc/stat").and_then(|text| stolen(&text));
    fact(
        "steal",
        steal.map(|part| format!("{part:.2} % since the machine began")),
    );
    fact(
        "pressure",
        read("/proc/pressure/cpu").map(|text| text.replace('\n', "; ")),
    );
    fact("git", git());
    fact("build", Some(build().to_owned()));
    fact("pinning", Some(pinning(processors)));
    let load = read("/proc/loadavg").and_then(|text| first(&text));
    Environment {
        facts,
        warnings: warnings(&Mood {
            unoptimized: platform::UNOPTIMIZED,
            cores,
            pinned: processors.is_some(),
            load: load.unwrap_or(0.0),
            steal: steal.unwrap_or(0.0),
            descriptors,
            linux: std::env::consts::OS == "linux",
        }),
    }
}

/// What there may be a word to say about.
#[derive(Clone, Copy, Debug)]
struct Mood {
    unoptimized: bool,
    cores: usize,
    pinned: bool,
    load: f64,
    steal: f64,
    descriptors: Option<u64>,
    linux: bool,
}

fn warnings(mood: &Mood) -> Vec<String> {
    let mut said = Vec::new();
    if mood.unoptimized {
        said.push(
            "this is a debug build, and its figures say nothing: cargo run --release -- bench"
                .to_owned(),
        );
    }
    if !mood.linux {
        said.push(
            "this is not Linux: processor time, memory and switches of a server are not measured"
                .to_owned(),
        );
    }
    if mood.cores < 2 {
        said.push(
            "there is one processor: server and generator share it, and take it from each other"
                .to_owned(),
        );
    } else if !mood.pinned {
        said.push(
            "server and generator have no processor of their own: they may take it from each other"
                .to_owned(),
        );
    }
    if mood.load > LOAD {
        said.push(format!(
            "somebody is at work on this machine (load average {:.2}): samples that suffer from \
             it are left out",
            mood.load
        ));
    }
    if mood.steal > STEAL {
        said.push(format!(
            "this machine was without {:.1} % of its processor time so far, because others on the \
             same hardware had it (steal)",
            mood.steal
        ));
    }
    if let Some(most) = mood.descriptors.filter(|most| *most < 4096) {
        said.push(format!(
            "a process may have {most} descriptors, which is too few for the workloads with many \
             connections (ulimit -Hn)"
        ));
    }
    said
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

/// Faults of processors that are worked around, and so make system calls dearer.
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

/// Percent of the time since the beginning that the machine did not get (proc_stat(5)).
fn stolen(stat: &str) -> Option<f64> {
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

/// The version of the sources in the current directory, if they are there.
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

fn pinning(processors: Option<Processors>) -> String {
    match processors {
        Some(both) => format!(
            "server on processor {}, generator on {}",
            both.server, both.generator
        ),
        None => "none".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FINE: Mood = Mood {
        unoptimized: false,
        cores: 2,
        pinned: true,
        load: 0.1,
        steal: 0.0,
        descriptors: Some(20_000),
        linux: true,
    };

    #[test]
    fn a_machine_that_is_fine_is_not_spoken_of() {
        assert_eq!(warnings(&FINE), [""; 0]);
    }

    #[test]
    fn each_thing_that_may_spoil_figures_is_said() {
        let table = [
            (
                Mood {
                    unoptimized: true,
                    ..FINE
                },
                "this is a debug build",
            ),
            (
                Mood {
                    cores: 1,
                    pinned: false,
                    ..FINE
                },
                "there is one processor",
            ),
            (
                Mood {
                    pinned: false,
                    ..FINE
                },
                "server and generator have no",
            ),
            (Mood { load: 0.9, ..FINE }, "somebody is at work"),
            (
                Mood { steal: 1.5, ..FINE },
                "this machine was without 1.5 %",
            ),
            (
                Mood {
                    descriptors: Some(1024),
                    ..FINE
                },
                "a process may have 1024",
            ),
            (
                Mood {
                    linux: false,
                    ..FINE
                },
                "this is not Linux",
            ),
        ];
        for (mood, sentence) in table {
            let said = warnings(&mood);
            assert_eq!(said.len(), 1, "{said:?}");
            assert!(said[0].starts_with(sentence), "{said:?}");
        }
    }

    #[test]
    fn steal_is_a_part_of_all_ticks() {
        let stat = "cpu  10 0 20 60 0 0 5 5 0 0\ncpu0 1 0 2 6 0 0 0 1 0 0\n";
        assert_eq!(stolen(stat), Some(5.0));
        assert_eq!(stolen("cpu  1 2"), None);
    }

    #[test]
    fn what_can_be_found_out_is() {
        let lab = RunContext::open(1, false, std::iter::empty()).unwrap();
        let environment = look(&lab, Some(9));
        assert_eq!(environment.facts["descriptors"], "9");
        assert_eq!(environment.facts["pinning"], "none");
        assert!(environment.facts.contains_key("cores"));
    }
}
