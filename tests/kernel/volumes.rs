//! A mounted file system below the root, which is unmounted while the server runs.

use crate::client::Client;
use crate::process::{Launch, available, eventually, site, skipped};
use rustix::process::Signal;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime};

/// All models that have a site.
const MODELS: [&str; 13] = [
    "reactor",
    "reactors",
    "uring",
    "level",
    "poll",
    "select",
    "coroutine",
    "sequential",
    "process",
    "prefork",
    "thread",
    "thread-reuse",
    "pool",
];

/// How long a server keeps a file open (`Limits::file_cache_lifetime`).
const KEPT: Duration = Duration::from_secs(5);

/// A file system in memory, until it is dropped.
struct Volume(PathBuf);

impl Volume {
    /// `None`, with a visible line, where mounting is not permitted.
    fn mount(directory: PathBuf) -> Option<Self> {
        fs::create_dir(&directory).unwrap();
        if !succeeds(
            Command::new("mount")
                .args(["-t", "tmpfs", "none"])
                .arg(&directory),
        ) {
            skipped("mounting is not permitted");
            return None;
        }
        Some(Self(directory))
    }

    /// Two files: too large to be cached with their bytes, and old enough to be kept open.
    fn fill(&self) {
        for name in ["large", "whole-seconds"] {
            let path = self.0.join(name);
            fs::write(&path, [b'v'; 50_000]).unwrap();
            let time = match name {
                "large" => SystemTime::now() - Duration::from_secs(60),
                _ => SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000),
            };
            let file = File::options().append(true).open(&path).unwrap();
            file.set_modified(time).unwrap();
        }
        // Their inodes must have changed some time ago, too.
        sleep(Duration::from_millis(50));
    }

    fn is_unmounted(&self) -> bool {
        succeeds(Command::new("umount").arg(&self.0))
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        let _ = succeeds(Command::new("umount").arg("-l").arg(&self.0));
    }
}

fn succeeds(command: &mut Command) -> bool {
    let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

fn fetch_both(client: &mut Client) {
    for name in ["large", "whole-seconds"] {
        assert_eq!(
            client.fetch(&format!("/volume/{name}")).body,
            [b'v'; 50_000]
        );
    }
}

/// The blocking models have a thread that closes files, or keep none open; otherwise no event would
/// wake them. Fails if the poll does not wait for `next_due`, and if there is no thread
/// that closes files.
#[test]
fn a_volume_can_be_unmounted_when_its_files_were_not_requested_for_some_seconds() {
    let models = available(&MODELS).into_iter();
    let trees: Vec<_> = models.map(|model| (model, site(&[]))).collect();
    let directory = |root: &Path| root.join("volume");
    for is_open in [true, false] {
        let mut all = Vec::new();
        for (model, root) in &trees {
            let _ = fs::remove_dir(directory(root.path()));
            let Some(volume) = Volume::mount(directory(root.path())) else {
                return;
            };
            volume.fill();
            let server = Launch::of(root).with(&format!("--model {model}")).start();
            let mut client = Client::of(&server);
            fetch_both(&mut client);
            all.push((model, volume, server, is_open.then_some(client)));
        }
        for (model, volume, ..) in &all {
            eventually(&format!("unmounted: {model}"), || volume.is_unmounted());
        }
    }
}

/// Then a volume can be unmounted at once. Fails if SIGHUP and SIGUSR1 only reopen the logs.
#[test]
fn the_signals_that_reopen_the_logs_close_the_files_that_are_kept_open() {
    let is_quick = |model, signal| {
        let (root, logs) = (site(&[]), site(&[]));
        let volume = Volume::mount(root.path().join("volume"))?;
        volume.fill();
        // Without a log file SIGHUP stops the server.
        let server = Launch::of(&root)
            .with(&format!("--model {model} --log-file"))
            .arg(logs.path().join("log"))
            .start();
        let mut client = Client::of(&server);
        let begun = Instant::now();
        fetch_both(&mut client);
        server.signal(signal);
        eventually(&format!("unmounted: {model}"), || volume.is_unmounted());
        Some(begun.elapsed() < KEPT)
    };
    for (nth, model) in available(&MODELS).into_iter().enumerate() {
        let signal = [Signal::HUP, Signal::USR1][nth % 2];
        // Again, if it took so long that they may have been closed for their age.
        let is_closed = (0..3).any(|_| is_quick(model, signal) != Some(false));
        assert!(
            is_closed,
            "{model}: not before they are closed for their age"
        );
    }
}
