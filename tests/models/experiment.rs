//! What experiments want of each model: its counts, and a handler that computes.

use super::client::{Client, get};
use super::process::{Launch, site};
use super::served;
use rustix::process::Signal;
use std::collections::BTreeMap;

const ALL: [&str; 6] = [
    "sequential",
    "thread",
    "process",
    "coroutine",
    "pool",
    "reactor",
];

/// The sums of the lines of a tally.
fn sums(text: &str) -> BTreeMap<String, u64> {
    let mut sums = BTreeMap::new();
    for line in text.lines() {
        let counts: BTreeMap<String, u64> = serde_json::from_str(line).unwrap();
        for (name, count) in counts {
            *sums.entry(name).or_default() += count;
        }
    }
    sums
}

/// Small answers, an error, one that is sent by file, and two that come together. Red with a
/// tally that forgets `delivered`.
#[test]
fn the_tally_has_every_connection_response_and_byte() {
    let large = vec![b'x'; 3_000_000];
    let root = site(&[("small", b"small"), ("large", &large)]);
    for model in ALL {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tally");
        let options = format!("--model {model} --tally {}", path.display());
        let mut server = Launch::of(&root).with(&options).start();
        for _ in 0..3 {
            let mut client = Client::of(&server);
            served(&mut client);
            assert_eq!(client.ask("/large").body.len(), large.len(), "{model}");
            client.send([get("/small"), get("/small")].concat());
            assert_eq!(client.answer().body, b"small", "{model}");
            assert_eq!(client.answer().body, b"small", "{model}");
        }
        let missing = Client::of(&server).ask("/missing");
        assert_eq!(missing.status(), 404, "{model}");
        server.signal(Signal::TERM);
        assert_eq!(server.wait().code(), Some(0), "{model}");
        let bytes = 3 * (3_000_000 + 15) + missing.body.len() as u64;
        let wanted = [("connections", 4), ("responses", 13), ("body_bytes", bytes)];
        let wanted = wanted.map(|(name, count)| (name.to_owned(), count));
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(sums(&text), BTreeMap::from(wanted), "{model}: {text}");
    }
}

/// Red without the option, and with a handler for every path.
#[test]
fn a_handler_that_computes_answers_and_the_site_is_as_it_was() {
    let root = site(&[("small", b"small"), ("burn", b"a file")]);
    for model in ALL {
        let options = format!("--model {model} --burn 5");
        let server = Launch::of(&root).with(&options).start();
        let mut client = Client::of(&server);
        assert_eq!(client.ask("/burn?now").body, b"burnt 5 ms\n", "{model}");
        served(&mut client);
        drop(server);
        let server = Launch::of(&root).with(&format!("--model {model}")).start();
        assert_eq!(Client::of(&server).ask("/burn").body, b"a file", "{model}");
    }
}
