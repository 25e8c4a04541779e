//! The words of a trace, and its text format: one aligned line for each record.

use super::record::{Place, Record, RecordKind};
use crate::connection::{StateName, StepName};
use crate::probe::{Cause, EventFlags, StepResult};
use std::fmt;
use std::io::ErrorKind;
use std::io::Write;
use std::time::Duration;

/// The first line: of a loop, and of a blocking model.
pub const HEADER: &str = "#  time us   iter   conn  state          call      result\n";
pub const THREADS_HEADER: &str = "#  time us thread   conn  state          call      result\n";

/// Appends the line of a record.
pub fn write(record: &Record, out: &mut Vec<u8>) {
    let microseconds = record.time.as_micros();
    let (Place::Iteration(place) | Place::Thread(place)) = record.place;
    let state = state_of(&record.what).map_or("-", state_name);
    let (call, result) = (call(&record.what), Detail(&record.what));
    // Writing to a vector does not fail.
    let _ = match record.connection {
        Some(id) => write!(out, "{microseconds:>10} {place:>6} {id:>6}"),
        None => write!(out, "{microseconds:>10} {place:>6}      -"),
    };
    let _ = write!(out, "  {state:<13}  {call:<8}  {result}");
    out.truncate(out.trim_ascii_end().len());
    out.push(b'\n');
}

/// The state in which the connection was before what the record is about.
fn state_of(what: &RecordKind) -> Option<StateName> {
    match what {
        RecordKind::Step { state, .. } | RecordKind::Wait { state, .. } => Some(*state),
        RecordKind::Transition { from, .. } => Some(*from),
        _ => None,
    }
}

/// The name of a state, as in docs/states.md.
pub fn state_name(state: StateName) -> &'static str {
    match state {
        StateName::Handshaking => "Handshaking",
        StateName::Reading => "Reading",
        StateName::Parsing => "Parsing",
        StateName::WritingHeader => "WritingHeader",
        StateName::WritingBody => "WritingBody",
        StateName::Closing => "Closing",
        StateName::Closed(_) => "Closed",
    }
}

/// The name of a step: that of its system call, if it makes one.
pub fn step_name(step: StepName) -> &'static str {
    match step {
        StepName::Handshake => "handshake",
        StepName::Receive => "recv",
        StepName::Respond => "respond",
        StepName::Send => "send",
        StepName::SendFile => "sendfile",
        StepName::Produce => "produce",
        StepName::Shutdown => "shutdown",
        StepName::Discard => "discard",
        StepName::End => "end",
    }
}

/// What was done.
pub fn call(what: &RecordKind) -> &'static str {
    match what {
        RecordKind::Poll { .. } => "poll",
        RecordKind::End { .. } => "end",
        RecordKind::Accept { .. } => "accept",
        RecordKind::Event { .. } => "event",
        RecordKind::Register => "register",
        RecordKind::Wait { .. } => "wait",
        RecordKind::Request { .. } => "request",
        RecordKind::Step { step, .. } => step_name(*step),
        RecordKind::Transition { .. } => "->",
        RecordKind::Close { .. } => "close",
        RecordKind::Dropped { .. } => "dropped",
    }
}

/// The last column: the result, and in parentheses what belongs to it.
pub struct Detail<'r>(pub &'r RecordKind);

impl fmt::Display for Detail<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            RecordKind::Poll {
                timeout,
                waited,
                events,
            } => {
                match events {
                    0 => out.write_str("no event")?,
                    1 => out.write_str("1 event")?,
                    count => write!(out, "{count} events")?,
                }
                write!(out, " after {} us", waited.as_micros())?;
                match timeout {
                    None => out.write_str(" (no timeout)"),
                    Some(Duration::ZERO) => out.write_str(" (did not wait)"),
                    Some(timeout) => write!(out, " (timeout {} us)", timeout.as_micros()),
                }
            }
            RecordKind::End { worked } => write!(out, "worked {} us", worked.as_micros()),
            RecordKind::Accept { origin, .. } => {
                match origin.peer {
                    Some(peer) => write!(out, "from {peer}")?,
                    None => out.write_str("from a unix socket")?,
                }
                write!(out, ", listener {}", origin.listener.id)
            }
            RecordKind::Event { flags } => out.write_str(&flag_names(*flags).join(", ")),
            RecordKind::Register => Ok(()),
            RecordKind::Request { line } => match line {
                Some(line) => out.write_str(line),
                None => out.write_str("refused"),
            },
            RecordKind::Wait {
                result: StepResult::Failed(ErrorKind::WouldBlock),
                took,
                ..
            } => write!(out, "timed out ({} us)", took.as_micros()),
            RecordKind::Step { result, took, .. } | RecordKind::Wait { result, took, .. } => {
                write!(out, "{} ({} us)", Outcome(*result), took.as_micros())
            }
            RecordKind::Transition { to, cause, .. } => {
                write!(out, "{} ({})", state_name(*to), cause_name(*cause))
            }
            RecordKind::Close { reason, counts } => {
                write!(out, "{reason:?}, {} body bytes", counts.body_bytes)
            }
            RecordKind::Dropped { count } => write!(out, "{count} records are missing here"),
        }
    }
}

/// What an event says about its socket, in words.
pub fn flag_names(flags: EventFlags) -> Vec<&'static str> {
    let all = [
        (flags.is_readable, "readable"),
        (flags.is_writable, "writable"),
        (flags.is_read_closed, "read closed"),
        (flags.is_write_closed, "write closed"),
        (flags.is_urgent, "urgent"),
        (flags.is_error, "error"),
    ];
    let set = all.into_iter().filter(|(is_set, _)| *is_set);
    set.map(|(_, name)| name).collect()
}

/// The result of a step.
pub struct Outcome(pub StepResult);

impl fmt::Display for Outcome {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            StepResult::Bytes(1) => out.write_str("1 byte"),
            StepResult::Bytes(count) => write!(out, "{count} bytes"),
            StepResult::Answered(status) => write!(out, "{}", status.code()),
            StepResult::Done => out.write_str("done"),
            StepResult::OutOfBudget
            | StepResult::Skipped
            | StepResult::NotReady
            | StepResult::Postponed => {
                write!(out, "not called: {}", why_not_called(self.0))
            }
            StepResult::Failed(ErrorKind::WouldBlock) => out.write_str("would block"),
            StepResult::Failed(kind) => write!(out, "failed: {kind}"),
        }
    }
}

/// Why a step made no system call; empty if it made one.
pub fn why_not_called(result: StepResult) -> &'static str {
    match result {
        StepResult::OutOfBudget => "the budget is used up",
        StepResult::Skipped => "closing at once",
        StepResult::NotReady => "known to block",
        StepResult::Postponed => "the handler is not ready",
        _ => "",
    }
}

/// Why a state changed.
pub fn cause_name(cause: Cause) -> &'static str {
    match cause {
        Cause::Step(step) => step_name(step),
        Cause::Deadline => "deadline",
        Cause::Eviction => "eviction",
        Cause::Stop => "stop",
        Cause::Abort => "abort",
        Cause::Panic => "panic",
        Cause::Registration => "registration failed",
    }
}

#[cfg(test)]
mod tests {
    use super::super::json;
    use super::super::record::samples;
    use super::*;

    #[test]
    fn every_record_is_an_aligned_line() {
        let mut out = HEADER.as_bytes().to_vec();
        samples().iter().for_each(|record| write(record, &mut out));
        let expected = "\
#  time us   iter   conn  state          call      result
      1500      7      -  -              poll      2 events after 900 us (timeout 20000000 us)
      1500      7      3  -              event     readable, read closed
      1500      7      3  -              register
      1500      7      4  -              accept    from 192.0.2.1:4000, listener 1
      1500      7      4  -              request   GET /a\"b HTTP/1.1
      1500      7      4  -              request   refused
      1500      7      4  Reading        wait      18 bytes (300000 us)
      1500      7      4  Reading        recv      18 bytes (25 us)
      1500      7      4  Parsing        respond   404 (25 us)
      1500      7      4  WritingBody    sendfile  would block (25 us)
      1500      7      4  Reading        ->        Closed (deadline)
      1500      7      4  -              close     IdleTimeout, 10 body bytes
      1500      7      -  -              end       worked 600 us
      1500      7      -  -              dropped   9 records are missing here
";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn every_record_is_an_object_with_the_same_words() {
        let mut out = Vec::new();
        samples()
            .iter()
            .for_each(|record| json::write(record, &mut out));
        let text = String::from_utf8(out).unwrap();
        let begin = r#"{"us":1500.000,"iteration":7,"#;
        let expected = [
            r#""call":"poll","events":2,"waited_us":900.000,"timeout_us":20000000.000}"#,
            r#""connection":3,"call":"event","flags":["readable","read closed"]}"#,
            r#""connection":3,"call":"register"}"#,
            r#""connection":4,"call":"accept","listener":1,PEER,"state":"Reading"}"#,
            r#""connection":4,"call":"request","line":"GET /a\"b HTTP/1.1"}"#,
            r#""connection":4,"call":"request"}"#,
            r#""connection":4,"call":"wait","state":"Reading","bytes":18,"took_us":300000.000}"#,
            r#""connection":4,"call":"recv","state":"Reading","bytes":18,TOOK}"#,
            r#""connection":4,"call":"respond","state":"Parsing","status":404,TOOK}"#,
            r#""connection":4,"call":"sendfile","state":"WritingBody",BLOCKED,TOOK}"#,
            r#""connection":4,"call":"->","from":"Reading","to":"Closed","cause":"deadline"}"#,
            r#""connection":4,"call":"close","reason":"IdleTimeout","body_bytes":10}"#,
            r#""call":"end","worked_us":600.000}"#,
            r#""call":"dropped","count":9}"#,
        ];
        let whole = |line: &str| {
            let line = line.replace("TOOK", r#""took_us":25.000"#);
            let line = line.replace("PEER", r#""peer":"192.0.2.1:4000""#);
            let line = line.replace("BLOCKED", r#""error":"would block""#);
            format!("{begin}{line}")
        };
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines, expected.map(whole));
    }
}
