//! What a trace consists of.

use crate::connection::{CloseReason, Counts, StateName, StepName};
use crate::probe::{Cause, EventFlags, Origin, StepResult};
use std::time::Duration;

/// One observation.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// When, since the trace began.
    pub time: Duration,
    /// In which iteration or thread.
    pub place: Place,
    /// The id of the connection; `None` for what the loop does.
    pub connection: Option<u64>,
    /// What was observed.
    pub what: RecordKind,
}

/// Where something happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In a loop: the number of the iteration, from 1. What happens before the first poll returns
    /// is in 0.
    Iteration(u64),
    /// In a blocking model: the number that the system has for the thread. The main thread has that
    /// of its process. 0: the system has no /proc.
    Thread(u64),
}

/// What was observed.
#[derive(Clone, Debug, PartialEq)]
pub enum RecordKind {
    /// The poll returned, and an iteration begins. The poll took `waited`.
    Poll {
        /// The longest time that it was to wait.
        timeout: Option<Duration>,
        /// How long it waited.
        waited: Duration,
        /// How many events it returned.
        events: usize,
    },
    /// The iteration is over. It took `worked`.
    End {
        /// From the end of its poll to the beginning of the next one.
        worked: Duration,
    },
    /// The connection was accepted.
    Accept {
        /// Where it came from.
        origin: Origin,
        /// The state in which it begins.
        state: StateName,
    },
    /// An event arrived for the connection.
    Event {
        /// What it says.
        flags: EventFlags,
    },
    /// The socket of the connection was registered with the poll.
    Register,
    /// The thread of the connection has read from its socket.
    Wait {
        /// The state before it.
        state: StateName,
        /// The result of the read.
        result: StepResult,
        /// How long it took, mostly asleep.
        took: Duration,
    },
    /// A request head was parsed, or refused; it is answered next.
    Request {
        /// The request line as text, or its beginning; `None` if the head was refused.
        line: Option<Box<str>>,
    },
    /// A step was taken.
    Step {
        /// The state before it.
        state: StateName,
        /// Which step.
        step: StepName,
        /// Its result.
        result: StepResult,
        /// How long it took.
        took: Duration,
    },
    /// The state changed.
    Transition {
        /// The state before.
        from: StateName,
        /// The state after.
        to: StateName,
        /// Why.
        cause: Cause,
    },
    /// The connection ended. Its socket is closed after this record.
    Close {
        /// Why.
        reason: CloseReason,
        /// What it counted.
        counts: Counts,
    },
    /// The trace has lost records here, because its reader was too slow.
    Dropped {
        /// How many.
        count: u64,
    },
}

/// A record of nearly every kind.
#[cfg(test)]
pub fn samples() -> Vec<Record> {
    use crate::handler::{ListenerInfo, Role};
    use crate::http::status::Status;
    use std::io::ErrorKind;
    use std::net::SocketAddr;

    let origin = Origin {
        listener: ListenerInfo {
            id: 1,
            role: Role::Public,
            is_tls: false,
        },
        peer: Some(SocketAddr::from(([192, 0, 2, 1], 4000))),
    };
    let step = |state, step, result| RecordKind::Step {
        state,
        step,
        result,
        took: Duration::from_micros(25),
    };
    let would_block = StepResult::Failed(ErrorKind::WouldBlock);
    let reason = CloseReason::IdleTimeout;
    let all = [
        (
            None,
            RecordKind::Poll {
                timeout: Some(Duration::from_secs(20)),
                waited: Duration::from_micros(900),
                events: 2,
            },
        ),
        (
            Some(3),
            RecordKind::Event {
                flags: EventFlags {
                    is_readable: true,
                    is_read_closed: true,
                    ..EventFlags::default()
                },
            },
        ),
        (Some(3), RecordKind::Register),
        (
            Some(4),
            RecordKind::Accept {
                origin,
                state: StateName::Reading,
            },
        ),
        (
            Some(4),
            RecordKind::Request {
                line: Some("GET /a\"b HTTP/1.1".into()),
            },
        ),
        (Some(4), RecordKind::Request { line: None }),
        (
            Some(4),
            RecordKind::Wait {
                state: StateName::Reading,
                result: StepResult::Bytes(18),
                took: Duration::from_millis(300),
            },
        ),
        (
            Some(4),
            step(StateName::Reading, StepName::Receive, StepResult::Bytes(18)),
        ),
        (
            Some(4),
            step(
                StateName::Parsing,
                StepName::Respond,
                StepResult::Answered(Status::NotFound),
            ),
        ),
        (
            Some(4),
            step(StateName::WritingBody, StepName::SendFile, would_block),
        ),
        (
            Some(4),
            RecordKind::Transition {
                from: StateName::Reading,
                to: StateName::Closed(reason),
                cause: Cause::Deadline,
            },
        ),
        (
            Some(4),
            RecordKind::Close {
                reason,
                counts: Counts {
                    body_bytes: 10,
                    latest_body: 10,
                },
            },
        ),
        (
            None,
            RecordKind::End {
                worked: Duration::from_micros(600),
            },
        ),
        (None, RecordKind::Dropped { count: 9 }),
    ];
    let record = |(connection, what)| Record {
        time: Duration::from_micros(1500),
        place: Place::Iteration(7),
        connection,
        what,
    };
    all.map(record).into()
}
