//! The transition table of docs/states.md, made from what the code does.
//!
//! Each row brings a connection into a state, makes one call that can happen there, and
//! records the next state, the next step and the deadline. After an intended change of the table:
//! `UPDATE_DOCS=1 cargo test --test states`, and read the difference.

#![allow(clippy::print_stdout, reason = "a test says what it measured")]

#[path = "support/scripted_body.rs"]
mod scripted_body;
#[path = "support/transitions.rs"]
mod transitions;

use oneloop::connection::{CloseReason, Connection, ResponseContext, Step, StepName};
use oneloop::event_loop::scheduler::slot_size;
use oneloop::http::fields::FieldLines;
use oneloop::http::payload::{FileRange, Multipart, Parts, Payload, Progress};
use oneloop::http::range::ByteRange;
use oneloop::http::response::Response;
use oneloop::http::status::Status;
use oneloop::limits::Limits;
use oneloop::site_handler::PeerState;
use oneloop::tls::PlainOrTls;
use oneloop::transport::Socket;
use scripted_body::ScriptedBody;
use std::fmt::Write;
use std::fs;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};
use transitions::{BEGIN, DOCUMENT, END, rows, split};

/// Bytes in the scheduler's timers for each connection (src/timers.rs has a test of it).
const TIMER_ENTRY: usize = 28;

/// A connection and its current time.
struct Subject {
    connection: Connection,
    now: Instant,
    limits: Arc<Limits>,
    /// When the response was given, for the deadline that depends on the send rate.
    answered: Instant,
}

/// One call, or more, on a connection.
type Action = fn(&mut Subject);

/// A state, the calls that lead to it, and the calls that can happen in it.
struct Case {
    state: &'static str,
    prepare: Action,
    calls: Vec<(&'static str, Action)>,
}

impl Subject {
    fn new() -> Self {
        let seconds = Duration::from_secs;
        let limits = Arc::new(Limits {
            max_head_bytes: 100,
            max_request_line_bytes: 40,
            // All different, so that each deadline shows its timeout.
            idle_timeout: seconds(1_000),
            header_timeout: seconds(2_000),
            handler_timeout: seconds(5_000),
            send_timeout: seconds(3_000),
            linger_timeout: seconds(4_000),
            max_linger_bytes: 10,
            min_send_rate: 1,
            ..Limits::default()
        });
        let now = oneloop::clock::Now::read().instant;
        Self {
            connection: Connection::new(limits.clone(), now),
            now,
            limits,
            answered: now,
        }
    }

    fn receive(&mut self, bytes: &str) {
        let Step::Receive(buffer) = self.connection.step() else {
            panic!("wants no bytes: {}", self.next_step());
        };
        buffer[..bytes.len()].copy_from_slice(bytes.as_bytes());
        self.connection.on_received(bytes.len(), self.now);
    }

    fn respond(&mut self, payload: Payload) {
        self.respond_on(payload, false, false);
    }

    fn respond_on(&mut self, payload: Payload, draining: bool, may_coalesce: bool) {
        let Step::Respond(_) = self.connection.step() else {
            panic!("expects no response: {}", self.next_step());
        };
        self.respond_now(payload, draining, may_coalesce);
    }

    fn respond_now(&mut self, payload: Payload, draining: bool, may_coalesce: bool) {
        let response = Response::new(Status::Ok, Arc::new(FieldLines::new())).with(payload);
        let context = ResponseContext {
            date: b"Sun, 06 Nov 1994 08:49:37 GMT",
            draining,
            may_coalesce,
        };
        self.connection.respond(response, context, self.now);
        self.answered = self.now;
    }

    fn send_all(&mut self) {
        let Step::Send { bytes, .. } = self.connection.step() else {
            panic!("wants nothing sent: {}", self.next_step());
        };
        let length = bytes.len();
        self.connection.on_sent(length, self.now);
    }

    /// Time passes until the deadline.
    fn expire(&mut self) {
        self.now = self.connection.deadline();
        self.connection.on_deadline(self.now);
    }

    fn state(&self) -> String {
        match self.connection.close_reason() {
            Some(CloseReason::SocketError(_)) => "Closed(SocketError)".into(),
            Some(ending) => format!("Closed({ending:?})"),
            None => format!("{:?}", self.connection.state_name()),
        }
    }

    fn next_step(&mut self) -> String {
        match self.connection.step() {
            Step::Handshake => "Handshake".into(),
            Step::Receive(_) => "Receive".into(),
            Step::Respond(Ok(_)) => "Respond".into(),
            Step::Respond(Err(refusal)) => format!("Respond ({})", refusal.status.code()),
            Step::Send { more: true, .. } => "Send, more follows".into(),
            Step::Send { more: false, .. } => "Send".into(),
            Step::SendFile(_) => "SendFile".into(),
            Step::Produce => "Produce".into(),
            Step::Shutdown { may_skip: false } => "Shutdown".into(),
            Step::Shutdown { may_skip: true } => "Shutdown, may be skipped".into(),
            Step::Discard(_) => "Discard".into(),
            Step::End(ending) if ending.is_reset() => "End, with a reset".into(),
            Step::End(_) => "End".into(),
        }
    }

    /// Which timeout the deadline was computed from, if it was computed just now.
    fn new_deadline(&self, before: Instant) -> &'static str {
        let deadline = self.connection.deadline();
        let limits = &self.limits;
        let rate = self.answered + limits.send_timeout;
        match deadline.checked_duration_since(self.now) {
            _ if deadline == before => "",
            Some(rest) if rest == limits.idle_timeout => "idle",
            Some(rest) if rest == limits.header_timeout => "header",
            Some(rest) if rest == limits.handler_timeout => "handler",
            Some(rest) if rest == limits.send_timeout => "send",
            Some(rest) if rest == limits.linger_timeout => "linger",
            Some(rest) if rest == limits.min_idle_time => "min idle",
            Some(Duration::ZERO) => "now",
            _ if deadline > rate => "send rate",
            _ => panic!("a deadline of unknown origin"),
        }
    }
}

const REQUEST: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

fn small() -> Payload {
    Payload::Bytes(Arc::from(*b"small"), None)
}

fn file() -> Arc<fs::File> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    Arc::new(fs::File::open(path).unwrap())
}

fn large() -> Payload {
    Payload::File(FileRange::new(file(), 0, 10_000))
}

fn parts() -> Payload {
    let part = |first| ByteRange::new(first, first + 9, 10_000).unwrap();
    let multipart = Multipart::new("b", "t", 10_000);
    Payload::Parts(Box::new(Parts::new(
        file(),
        vec![part(0), part(100)],
        multipart,
    )))
}

fn stream(slice: io::Result<(&'static str, Progress)>) -> Payload {
    Payload::Stream(Box::new(ScriptedBody(vec![slice])))
}

/// Into `WritingBody` with this body, its header sent.
fn body(subject: &mut Subject, payload: Payload) {
    subject.receive(REQUEST);
    subject.respond(payload);
    subject.send_all();
}

/// Into `Closing`, before the half-close.
fn closing(subject: &mut Subject) {
    subject.receive(REQUEST);
    subject.respond_on(small(), true, false);
    subject.send_all();
}

/// The same after the last request of the peer: `close_requested` is set.
fn last_request(subject: &mut Subject) {
    subject.receive("GET / HTTP/1.0\r\n\r\n");
    subject.respond(small());
    subject.send_all();
}

const FAILED: (&str, Action) = ("on_error", |s| {
    s.connection.on_error(io::ErrorKind::ConnectionReset)
});
const EARLY: (&str, Action) = ("on_deadline, before the deadline", |s| {
    s.connection.on_deadline(s.now)
});
const EXPIRED: (&str, Action) = ("on_deadline", Subject::expire);
const DRAIN: (&str, Action) = ("drain", |s| {
    s.connection.drain(s.now);
});
const DRAIN_EVICTABLE: (&str, Action) = ("drain, idle for a second", |s| {
    s.now += Limits::default().min_idle_time;
    s.connection.drain(s.now);
});
const ABORT: (&str, Action) = ("abort", |s| {
    s.connection.abort();
});

fn cases() -> Vec<Case> {
    [handshaking(), reading(), parsing(), writing(), leaving()]
        .into_iter()
        .flatten()
        .collect()
}

/// Into `Handshaking`, as the accept does where the transport has a handshake.
fn before_handshake(subject: &mut Subject) {
    subject.connection = Connection::before_handshake(subject.limits.clone(), subject.now);
}

fn handshaking() -> Vec<Case> {
    vec![Case {
        state: "Handshaking",
        prepare: before_handshake,
        calls: vec![
            ("on_handshake", |s| s.connection.on_handshake(s.now)),
            FAILED,
            EARLY,
            EXPIRED,
            DRAIN,
            ABORT,
        ],
    }]
}

fn reading() -> Vec<Case> {
    vec![
        Case {
            state: "Reading, idle",
            prepare: |_| {},
            calls: vec![
                ("on_received, an empty line", |s| s.receive("\r\n")),
                ("on_received, part of a head", |s| s.receive("GET / H")),
                ("on_received, a head", |s| s.receive(REQUEST)),
                ("on_received, a head that is none", |s| {
                    s.receive("GET\r\n\r\n")
                }),
                ("on_received, what begins no head", |s| s.receive("\x16")),
                ("on_received, too long a line", |s| {
                    s.receive(&format!("GET /{}", "x".repeat(37)))
                }),
                ("on_received, too long a head", |s| {
                    s.receive(&("GET / HTTP/1.1\r\n".to_owned() + &"x".repeat(94)));
                }),
                ("on_peer_closed", |s| s.connection.on_peer_closed()),
                FAILED,
                EARLY,
                EXPIRED,
                DRAIN,
                DRAIN_EVICTABLE,
                ("end (Evicted)", |s| s.connection.end(CloseReason::Evicted)),
            ],
        },
        Case {
            state: "Reading, part of a head",
            prepare: |s| s.receive("GET / HTTP/1.1\r\n"),
            calls: vec![
                ("on_received, more of it", |s| s.receive("Host")),
                ("on_received, the rest", |s| s.receive("Host: a\r\n\r\n")),
                ("on_peer_closed", |s| s.connection.on_peer_closed()),
                FAILED,
                EXPIRED,
                DRAIN,
                ABORT,
            ],
        },
    ]
}

fn parsing() -> Vec<Case> {
    let responses: Vec<(&str, Action)> = vec![
        ("respond, nothing", |s| s.respond(Payload::Empty)),
        ("respond, bytes", |s| s.respond(small())),
        ("respond, a file", |s| s.respond(large())),
        ("respond, parts", |s| s.respond(parts())),
        ("respond, a stream", |s| {
            s.respond(stream(Ok(("", Progress::More))))
        }),
        ("postpone", |s| {
            assert!(!s.connection.postpone(s.now));
        }),
        FAILED,
        EXPIRED,
        DRAIN,
        ABORT,
    ];
    vec![
        Case {
            state: "Parsing",
            prepare: |s| s.receive(REQUEST),
            calls: responses,
        },
        Case {
            state: "Parsing, HEAD",
            prepare: |s| s.receive("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n"),
            calls: vec![("respond, a file", |s| s.respond(large()))],
        },
        Case {
            state: "Parsing, another request waits",
            prepare: |s| s.receive(&REQUEST.repeat(2)),
            calls: vec![
                ("respond, bytes, may coalesce", |s| {
                    s.respond_on(small(), false, true)
                }),
                ("respond, bytes, may not", |s| s.respond(small())),
                ("respond, a file, may coalesce", |s| {
                    s.respond_on(large(), false, true)
                }),
                ("respond, bytes, draining", |s| {
                    s.respond_on(small(), true, true)
                }),
            ],
        },
        Case {
            state: "Parsing, a response waits to be sent",
            prepare: |s| {
                s.receive(&REQUEST.repeat(2));
                s.respond_on(small(), false, true);
            },
            calls: vec![("postpone", |s| assert!(s.connection.postpone(s.now)))],
        },
    ]
}

fn writing() -> Vec<Case> {
    vec![
        Case {
            state: "WritingHeader, all is in the write buffer",
            prepare: |s| {
                s.receive(REQUEST);
                s.respond(small());
            },
            calls: vec![
                ("on_sent, a part", |s| s.connection.on_sent(10, s.now)),
                ("on_sent, a part, late", |s| {
                    s.now += Duration::from_secs(2_500);
                    s.connection.on_sent(10, s.now);
                }),
                ("on_sent, all", Subject::send_all),
                FAILED,
                EXPIRED,
                DRAIN,
                ABORT,
            ],
        },
        Case {
            state: "WritingHeader, half a head waits",
            prepare: |s| {
                s.receive(&(REQUEST.to_owned() + "GET"));
                s.respond(small());
            },
            calls: vec![("on_sent, all", Subject::send_all)],
        },
        Case {
            state: "WritingHeader, a head waits",
            prepare: |s| {
                s.receive(&REQUEST.repeat(2));
                s.respond(small());
            },
            calls: vec![("on_sent, all", Subject::send_all)],
        },
        Case {
            state: "WritingHeader, the last one",
            prepare: |s| {
                s.receive(&REQUEST.repeat(2));
                s.respond_on(small(), true, false);
            },
            calls: vec![("on_sent, all", Subject::send_all)],
        },
        Case {
            state: "WritingHeader, a file follows",
            prepare: |s| {
                s.receive(REQUEST);
                s.respond(large());
            },
            calls: vec![
                ("on_sent, a part", |s| s.connection.on_sent(10, s.now)),
                ("on_sent, all", Subject::send_all),
            ],
        },
        Case {
            state: "WritingHeader, a stream follows",
            prepare: |s| {
                s.receive(REQUEST);
                s.respond(stream(Ok(("", Progress::More))));
            },
            calls: vec![("on_sent, all", Subject::send_all)],
        },
        Case {
            state: "WritingBody, a file",
            prepare: |s| body(s, large()),
            calls: vec![
                ("on_file_sent, a part", |s| {
                    s.connection.on_file_sent(5_000, s.now)
                }),
                ("on_file_sent, all", |s| {
                    s.connection.on_file_sent(10_000, s.now)
                }),
                ("on_file_sent, 0: it has shrunk", |s| {
                    s.connection.on_file_sent(0, s.now)
                }),
                FAILED,
                EXPIRED,
                DRAIN,
                ABORT,
            ],
        },
        Case {
            state: "WritingBody, a file, and a head waits",
            prepare: |s| {
                s.receive(&REQUEST.repeat(2));
                s.respond(large());
                s.send_all();
            },
            calls: vec![("on_file_sent, all", |s| {
                s.connection.on_file_sent(10_000, s.now)
            })],
        },
        Case {
            state: "WritingBody, a file, the last one",
            prepare: |s| {
                s.receive(REQUEST);
                s.respond_on(large(), true, false);
                s.send_all();
            },
            calls: vec![("on_file_sent, all", |s| {
                s.connection.on_file_sent(10_000, s.now)
            })],
        },
        Case {
            state: "WritingBody, the first of two parts",
            prepare: |s| body(s, parts()),
            calls: vec![("on_file_sent, all of it", |s| {
                s.connection.on_file_sent(10, s.now)
            })],
        },
        Case {
            state: "WritingBody, what stands before a part",
            prepare: |s| {
                body(s, parts());
                s.connection.on_file_sent(10, s.now);
            },
            calls: vec![("on_sent, all", Subject::send_all)],
        },
        Case {
            state: "WritingBody, the last part",
            prepare: |s| {
                body(s, parts());
                s.connection.on_file_sent(10, s.now);
                s.send_all();
            },
            calls: vec![("on_file_sent, all of it", |s| {
                s.connection.on_file_sent(10, s.now)
            })],
        },
        Case {
            state: "WritingBody, a stream: a slice",
            prepare: |s| body(s, stream(Ok(("slice", Progress::More)))),
            calls: vec![
                ("produce", |s| s.connection.produce(s.now)),
                EXPIRED,
                DRAIN,
                ABORT,
            ],
        },
        Case {
            state: "WritingBody, a stream: a slice is rendered",
            prepare: |s| {
                body(s, stream(Ok(("slice", Progress::More))));
                s.connection.produce(s.now);
            },
            calls: vec![("on_sent, all", Subject::send_all)],
        },
        Case {
            state: "WritingBody, a stream: an empty slice",
            prepare: |s| body(s, stream(Ok(("", Progress::More)))),
            calls: vec![("produce", |s| s.connection.produce(s.now))],
        },
        Case {
            state: "WritingBody, a stream: the last slice",
            prepare: |s| body(s, stream(Ok(("slice", Progress::Done)))),
            calls: vec![("produce", |s| s.connection.produce(s.now))],
        },
        Case {
            state: "WritingBody, a stream: it fails",
            prepare: |s| body(s, stream(Err(io::ErrorKind::Other.into()))),
            calls: vec![("produce", |s| s.connection.produce(s.now))],
        },
        Case {
            state: "WritingBody, the last bytes",
            prepare: |s| {
                body(s, stream(Ok(("slice", Progress::Done))));
                s.connection.produce(s.now);
            },
            calls: vec![
                ("on_sent, a part", |s| s.connection.on_sent(1, s.now)),
                ("on_sent, all", Subject::send_all),
            ],
        },
        Case {
            state: "WritingBody, the last bytes, and a head waits",
            prepare: |s| {
                s.receive(&REQUEST.repeat(2));
                s.respond(stream(Ok(("slice", Progress::Done))));
                s.send_all();
                s.connection.produce(s.now);
            },
            calls: vec![("on_sent, all", Subject::send_all)],
        },
        Case {
            state: "WritingBody, the last bytes of the last one",
            prepare: |s| {
                s.receive(REQUEST);
                s.respond_on(stream(Ok(("slice", Progress::Done))), true, false);
                s.send_all();
                s.connection.produce(s.now);
            },
            calls: vec![("on_sent, all", Subject::send_all)],
        },
        Case {
            state: "WritingBody, to 1.0: the last slice is empty",
            prepare: |s| {
                s.receive("GET / HTTP/1.0\r\n\r\n");
                s.respond(stream(Ok(("", Progress::Done))));
                s.send_all();
            },
            calls: vec![("produce", |s| s.connection.produce(s.now))],
        },
    ]
}

fn leaving() -> Vec<Case> {
    vec![
        Case {
            state: "Closing, all is sent",
            prepare: closing,
            calls: vec![
                ("on_shutdown", |s| s.connection.on_shutdown()),
                FAILED,
                EXPIRED,
                DRAIN,
                ABORT,
            ],
        },
        Case {
            state: "Closing, after the last request",
            prepare: last_request,
            calls: vec![
                ("on_shutdown_skipped", |s| {
                    s.connection.on_shutdown_skipped()
                }),
                ("on_shutdown", |s| s.connection.on_shutdown()),
                FAILED,
                EXPIRED,
                ABORT,
            ],
        },
        Case {
            state: "Closing, our side is shut",
            prepare: |s| {
                closing(s);
                s.connection.on_shutdown();
            },
            calls: vec![
                ("on_discarded", |s| s.connection.on_discarded(10)),
                ("on_discarded, over the limit", |s| {
                    s.connection.on_discarded(11)
                }),
                ("on_peer_closed", |s| s.connection.on_peer_closed()),
                FAILED,
                EXPIRED,
                DRAIN,
                ABORT,
            ],
        },
        Case {
            state: "Closed(PeerClosed)",
            prepare: |s| s.connection.on_peer_closed(),
            calls: vec![EXPIRED, DRAIN],
        },
    ]
}

/// The most differing rows that a failure shows.
const MOST_ROWS: usize = 10;

fn table() -> String {
    let mut table = String::from(
        "| State | Call | Next state | Next step | New deadline |\n\
         |---|---|---|---|---|\n",
    );
    for scene in cases() {
        let mut name = scene.state;
        for (call, tell) in scene.calls {
            let mut subject = Subject::new();
            (scene.prepare)(&mut subject);
            assert!(
                scene.state.starts_with(&subject.state()),
                "{} was prepared as {}",
                scene.state,
                subject.state()
            );
            // Less than `min_idle_time`: "drain" alone is that of a new connection.
            subject.now += Duration::from_millis(500);
            let before = subject.connection.deadline();
            tell(&mut subject);
            let (state, step) = (subject.state(), subject.next_step());
            assert_eq!(step, subject.next_step(), "a second call");
            let deadline = subject.new_deadline(before);
            writeln!(table, "| {name} | {call} | {state} | {step} | {deadline} |").unwrap();
            name = "";
        }
    }
    table
}

#[test]
fn the_table_in_the_documentation_is_what_the_code_does() {
    let document = fs::read_to_string(DOCUMENT).unwrap();
    let (before, documented, after) = split(&document);
    let table = table();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(DOCUMENT, [before, BEGIN, &table, END, after].concat()).unwrap();
        return;
    }
    let only_in = |these: &str, others: &str| -> String {
        let only = these
            .lines()
            .filter(|row| !others.lines().any(|other| other == *row));
        only.take(MOST_ROWS)
            .map(|row| format!("  {row}\n"))
            .collect()
    };
    let mut rows = documented.lines().zip(table.lines());
    let first = rows.find(|(documented, row)| documented != row);
    assert!(
        documented == table,
        "the table in docs/states.md is not what the code does.\nThe first row that differs:\n  \
         document: {}\n  code:     {}\nRows only in the document:\n{}Rows only in the code:\n{}\
         If the code is right: UPDATE_DOCS=1 cargo test --test states",
        first.map_or("-", |(documented, _)| documented),
        first.map_or("-", |(_, row)| row),
        only_in(documented, &table),
        only_in(&table, documented),
    );
}

#[test]
fn every_state_and_every_ending_of_the_machine_is_in_the_table() {
    let table = table();
    let rows = rows(&table);
    let states = [
        "Handshaking",
        "Reading",
        "Parsing",
        "WritingHeader",
        "WritingBody",
        "Closing",
        "Closed(Completed)",
        "Closed(PeerClosed)",
        "Closed(SocketError)",
        "Closed(SendError(ConnectionReset))",
        "Closed(HandshakeTimeout)",
        "Closed(IdleTimeout)",
        "Closed(Evicted)",
        "Closed(Stopping)",
        "Closed(Aborted)",
        "Closed(SendTimeout)",
        "Closed(LingerTimeout)",
        "Closed(LingerLimit)",
        "Closed(Truncated)",
    ];
    for state in states {
        assert!(
            rows.iter().any(|row| row[2] == state),
            "no scene in tests/states.rs leads to {state}"
        );
    }
}

/// The calls that report the result of a step, and the steps that they belong to.
const REPORTS: [(&[StepName], Action); 10] = [
    (&[StepName::Handshake], |s| s.connection.on_handshake(s.now)),
    (&[StepName::Receive], |s| s.connection.on_received(1, s.now)),
    (&[StepName::Receive, StepName::Discard], |s| {
        s.connection.on_peer_closed()
    }),
    (&[StepName::Respond], |s| {
        s.respond_now(small(), false, false)
    }),
    (&[StepName::Send], |s| s.connection.on_sent(1, s.now)),
    (&[StepName::SendFile], |s| {
        s.connection.on_file_sent(1, s.now)
    }),
    (&[StepName::Produce], |s| s.connection.produce(s.now)),
    (&[StepName::Shutdown], |s| s.connection.on_shutdown()),
    (&[StepName::Discard], |s| s.connection.on_discarded(1)),
    (ALL_BUT_END, |s| {
        s.connection.on_error(io::ErrorKind::ConnectionReset)
    }),
];

const ALL_BUT_END: &[StepName] = &[
    StepName::Handshake,
    StepName::Receive,
    StepName::Respond,
    StepName::Send,
    StepName::SendFile,
    StepName::Produce,
    StepName::Shutdown,
    StepName::Discard,
];

#[test]
fn a_report_that_the_step_does_not_lead_to_panics() {
    for case in cases() {
        for (index, (steps, report)) in REPORTS.into_iter().enumerate() {
            let mut subject = Subject::new();
            (case.prepare)(&mut subject);
            let step = subject.connection.step().name();
            let reported = catch_unwind(AssertUnwindSafe(|| report(&mut subject)));
            let state = case.state;
            assert_eq!(
                reported.is_ok(),
                steps.contains(&step),
                "{state}: report {index}"
            );
        }
    }
}

#[test]
fn an_idle_connection_costs_what_the_documentation_says() {
    let slot = slot_size::<PlainOrTls<Socket>, PeerState>();
    let sum = slot + TIMER_ENTRY;
    println!("a slot takes {slot} bytes, its timer entry {TIMER_ENTRY}: {sum} in all");
    if cfg!(mio_unsupported_force_poll_poll) {
        // There mio keeps more of each socket.
        return;
    }
    assert!(sum <= 300);
    let document = fs::read_to_string(DOCUMENT).unwrap();
    let sentence = format!("{slot} bytes of slot and {TIMER_ENTRY} of timers, {sum} in all");
    assert!(
        document.contains(&sentence),
        "docs/states.md, What an idle connection costs, should say: {sentence}"
    );
}
