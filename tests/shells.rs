//! Files that other programs read: completion scripts in fish, bash and zsh, the manual page in
//! mandoc, and the systemd units in systemd-analyze. If a program is not installed, its test prints
//! `skipped` and passes.

use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::process::{Command, Output};

const ONELOOP: &str = env!("CARGO_BIN_EXE_oneloop");

/// The output of the program. If it is not installed, prints so and returns `None`.
fn run(command: &mut Command) -> Option<Output> {
    match command.output() {
        Ok(output) => Some(output),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let program = command.get_program().display().to_string();
            let line = format!("skipped: {program} is not installed\n");
            io::stderr().write_all(line.as_bytes()).unwrap();
            None
        }
        Err(error) => panic!("{command:?}: {error}"),
    }
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}

fn printed(args: &[&str]) -> String {
    let output = Command::new(ONELOOP).args(args).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    text(output.stdout)
}

/// A directory with the script of this shell and a directory.
fn folder(shell: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(
        folder.path().join("script"),
        printed(&["--completions", shell]),
    )
    .unwrap();
    fs::create_dir(folder.path().join("docs")).unwrap();
    folder
}

/// The completions of the last of these words.
const OFFERED: [(&str, &[&str]); 10] = [
    ("--log-format ", &["combined", "common", "json"]),
    ("docs --log-format ", &["combined", "common", "json"]),
    ("--log-format j", &["json"]),
    ("--port ", &[]),
    ("--bind ", &[]),
    ("--index ", &[]),
    ("--header-timeout 1", &[]),
    ("docs --log", &["--log-file", "--log-format", "--log-skip"]),
    ("--tal", &[]),
    ("--bur", &[]),
];

#[test]
fn fish_completes_values_and_nothing_hidden() {
    let folder = folder("fish");
    let files: [(&str, &[&str]); 4] = [
        ("--log-file d", &["docs/"]),
        ("--cors do", &["docs/"]),
        ("-v do", &["docs/"]),
        ("do", &["docs/"]),
    ];
    for (words, expected) in OFFERED.into_iter().chain(files) {
        let line = format!("source ./script; complete -C 'oneloop {words}'");
        let mut command = Command::new("fish");
        command
            .args(["--no-config", "-c", &line])
            .current_dir(&folder);
        let Some(output) = run(command.env("HOME", folder.path())) else {
            return;
        };
        let offered = text(output.stdout);
        let mut offered: Vec<_> = offered
            .lines()
            .filter_map(|line| line.split('\t').next())
            .collect();
        offered.sort_unstable();
        assert_eq!(offered, expected, "{words}");
    }
}

#[test]
fn bash_completes_values_and_nothing_hidden() {
    const TRY: &str = r#"source ./script; compopt() { :; }
        COMP_WORDS=(oneloop "$@"); COMP_CWORD=$#
        _oneloop oneloop "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"
        printf '%s\n' "${COMPREPLY[@]}""#;
    let folder = folder("bash");
    for (words, expected) in OFFERED {
        let mut command = Command::new("bash");
        command
            .args(["--norc", "-c", TRY, "bash"])
            .args(words.split(' '));
        let Some(output) = run(command.current_dir(&folder)) else {
            return;
        };
        let offered = text(output.stdout);
        // If there is no completion, the script returns the word itself.
        let typed = words.rsplit(' ').next();
        let is_new = |line: &&str| !line.is_empty() && Some(*line) != typed;
        let mut offered: Vec<_> = offered.lines().filter(is_new).collect();
        offered.sort_unstable();
        assert_eq!(offered, expected, "{words}");
    }
}

#[test]
fn every_script_has_all_options_except_hidden_ones() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = printed(&["--completions", shell]);
        for hidden in ["tally", "burn"] {
            assert!(!script.contains(hidden), "{shell}: {hidden}");
        }
        for shown in ["no-listing", "cors", "verbose", "max-connections"] {
            assert!(script.contains(shown), "{shell}: {shown}");
        }
    }
    for (shell, check) in [("zsh", "-n"), ("bash", "-n"), ("fish", "--no-execute")] {
        let folder = folder(shell);
        let mut command = Command::new(shell);
        if let Some(output) = run(command.arg(check).arg(folder.path().join("script"))) {
            assert!(
                output.status.success() && output.stderr.is_empty(),
                "{shell}: {output:?}"
            );
        }
    }
}

#[test]
fn the_manual_page_has_its_sections_and_no_warning_from_mandoc() {
    let page = printed(&["--man"]);
    for section in [
        "NAME",
        "SYNOPSIS",
        "DESCRIPTION",
        "OPTIONS",
        "ENVIRONMENT",
        "FILES",
        "EXIT STATUS",
        "EXAMPLES",
        "SIGNALS",
        "SEE ALSO",
    ] {
        let quoted = page.contains(&format!("\n.SH \"{section}\"\n"));
        assert!(
            quoted || page.contains(&format!("\n.SH {section}\n")),
            "{section}"
        );
    }
    if cfg!(feature = "bench") {
        assert!(page.contains("oneloop bench"), "{page}");
    }
    assert!(!page.contains("tally"), "{page}");
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(&file, &page).unwrap();
    let Some(output) = run(Command::new("mandoc").arg("-Tlint").arg(file.path())) else {
        return;
    };
    assert_eq!(text(output.stdout), "");
}

/// `systemd-analyze security` rates the service from 0.0 (nothing is allowed) to 10.0.
#[test]
fn the_service_is_confined_and_systemd_has_no_warning() {
    let units = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/deploy");
    let service = fs::read_to_string(units.join("oneloop.service")).unwrap();
    assert!(
        service.contains("\nRestartPreventExitStatus=2\n"),
        "a wrong option is wrong after a restart, too"
    );
    // `verify` looks for the program, which is not installed in tests.
    let folder = tempfile::tempdir().unwrap();
    let installed = service.replace("/usr/local/bin/oneloop", ONELOOP);
    fs::write(folder.path().join("oneloop.service"), installed).unwrap();
    fs::copy(
        units.join("oneloop.socket"),
        folder.path().join("oneloop.socket"),
    )
    .unwrap();

    let analyze = |args: &[&str]| {
        let mut command = Command::new("systemd-analyze");
        run(command.args(args).current_dir(&folder))
    };
    let Some(output) = analyze(&[
        "verify",
        "--man=no",
        "./oneloop.service",
        "./oneloop.socket",
    ]) else {
        return;
    };
    let warnings = text(output.stderr);
    let ours = warnings.lines().filter(|line| line.contains("oneloop"));
    assert_eq!(ours.collect::<Vec<_>>(), [""; 0]);
    let threshold = [
        "security",
        "--offline=true",
        "--threshold=15",
        "./oneloop.service",
    ];
    if let Some(output) = analyze(&threshold) {
        assert!(output.status.success(), "{}", text(output.stdout));
    }
}
