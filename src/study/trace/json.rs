//! The formats for programs: JSON Lines, and the trace events of Chrome and Perfetto.

use super::record::{Place, Record, RecordKind};
use super::text::{Detail, call, cause_name, flag_names, state_name, why_not_called};
use crate::connection::StateName;
use crate::probe::StepResult;
use crate::text::json::put_json_utf8;
use crate::text::put;
use std::io::ErrorKind;
use std::time::Duration;

/// Appends a record as one line of JSON.
pub fn write(record: &Record, out: &mut Vec<u8>) {
    put(out, format_args!("{{\"us\":{}", micros(record.time)));
    match record.place {
        Place::Iteration(number) => put(out, format_args!(",\"iteration\":{number}")),
        Place::Thread(id) => put(out, format_args!(",\"thread\":{id}")),
    }
    if let Some(id) = record.connection {
        put(out, format_args!(",\"connection\":{id}"));
    }
    put_string(out, "call", call(&record.what));
    match &record.what {
        RecordKind::Poll {
            timeout,
            waited,
            events,
        } => {
            put(out, format_args!(",\"events\":{events}"));
            put(out, format_args!(",\"waited_us\":{}", micros(*waited)));
            if let Some(timeout) = timeout {
                put(out, format_args!(",\"timeout_us\":{}", micros(*timeout)));
            }
        }
        RecordKind::End { worked } => put(out, format_args!(",\"worked_us\":{}", micros(*worked))),
        RecordKind::Accept { origin, state } => {
            put(out, format_args!(",\"listener\":{}", origin.listener.id));
            if let Some(peer) = origin.peer {
                put_string(out, "peer", &peer.to_string());
            }
            put_string(out, "state", state_name(*state));
        }
        RecordKind::Event { flags } => {
            let names: Vec<_> = flag_names(*flags)
                .into_iter()
                .map(|name| format!("\"{name}\""))
                .collect();
            put(out, format_args!(",\"flags\":[{}]", names.join(",")));
        }
        RecordKind::Register => {}
        RecordKind::Request { line } => {
            if let Some(line) = line {
                put_string(out, "line", line);
            }
        }
        RecordKind::Step {
            state,
            result,
            took,
            ..
        }
        | RecordKind::Wait {
            state,
            result,
            took,
        } => {
            put_string(out, "state", state_name(*state));
            put_result(out, *result, *took);
        }
        RecordKind::Transition { from, to, cause } => {
            put_string(out, "from", state_name(*from));
            put_string(out, "to", state_name(*to));
            put_string(out, "cause", cause_name(*cause));
        }
        RecordKind::Close { reason, counts } => {
            put_string(out, "reason", &format!("{reason:?}"));
            put(out, format_args!(",\"body_bytes\":{}", counts.body_bytes));
        }
        RecordKind::Dropped { count } => put(out, format_args!(",\"count\":{count}")),
    }
    out.extend_from_slice(b"}\n");
}

/// What comes before the first event of a loop.
pub const PERFETTO_BEGIN: &str = "[\n\
    {\"ph\":\"M\",\"pid\":1,\"name\":\"process_name\",\"args\":{\"name\":\"oneloop\"}},\n\
    {\"ph\":\"M\",\"pid\":1,\"tid\":1,\"name\":\"thread_name\",\"args\":{\"name\":\"loop\"}}";
/// The same of a blocking model, which has no loop.
pub const PERFETTO_THREADS_BEGIN: &str = "[\n\
    {\"ph\":\"M\",\"pid\":1,\"name\":\"process_name\",\"args\":{\"name\":\"oneloop\"}}";
/// What follows the last one. Both viewers also take a file without it.
pub const PERFETTO_END: &str = "\n]\n";

/// The track of the loop. (Perfetto takes a `tid` of 0 for that of the main thread, the `pid`.)
const LOOP_TRACK: u64 = 1;

/// Appends a record as trace events: a track for the loop with its polls and iterations, and one
/// for each connection with its states, and the steps in them.
pub fn write_perfetto(record: &Record, out: &mut Vec<u8>) {
    let track = record
        .connection
        .map_or(LOOP_TRACK, |id| LOOP_TRACK + 1 + id);
    let now = record.time;
    match &record.what {
        RecordKind::Poll { waited, .. } => {
            slice(
                out,
                track,
                "poll",
                now,
                *waited,
                &Detail(&record.what).to_string(),
            );
        }
        RecordKind::End { worked } => {
            if let Place::Iteration(number) = record.place {
                slice(out, track, &format!("iteration {number}"), now, *worked, "");
            }
        }
        RecordKind::Accept { state, .. } => {
            let name = format!("connection {}", record.connection.unwrap_or(0));
            let name = match record.place {
                Place::Iteration(_) => format!("{name} {}", Detail(&record.what)),
                Place::Thread(id) => format!("{name} {}, thread {id}", Detail(&record.what)),
            };
            begin_event(out, "M", track, "thread_name");
            put(out, format_args!(",\"args\":{{"));
            put_member(out, "name", &name);
            out.extend_from_slice(b"}}");
            edge(out, "B", track, now, state_name(*state));
        }
        RecordKind::Step { took, .. } | RecordKind::Wait { took, .. } => {
            let detail = Detail(&record.what).to_string();
            slice(out, track, call(&record.what), now, *took, &detail);
        }
        RecordKind::Transition { from, to, .. } => {
            edge(out, "E", track, now, state_name(*from));
            if !matches!(to, StateName::Closed(_)) {
                edge(out, "B", track, now, state_name(*to));
            }
        }
        RecordKind::Event { .. }
        | RecordKind::Register
        | RecordKind::Request { .. }
        | RecordKind::Close { .. }
        | RecordKind::Dropped { .. } => {
            let name = format!("{} {}", call(&record.what), Detail(&record.what));
            begin_event(out, "i", track, name.trim_end());
            put(out, format_args!(",\"ts\":{},\"s\":\"t\"}}", micros(now)));
        }
    }
}

/// An event that ends at `end` and took `time`.
fn slice(out: &mut Vec<u8>, track: u64, name: &str, end: Duration, time: Duration, detail: &str) {
    begin_event(out, "X", track, name);
    let (start, time) = (micros(end.saturating_sub(time)), micros(time));
    put(
        out,
        format_args!(",\"ts\":{start},\"dur\":{time},\"args\":{{"),
    );
    put_member(out, "result", detail);
    out.extend_from_slice(b"}}");
}

fn put_result(out: &mut Vec<u8>, result: StepResult, took: Duration) {
    match result {
        StepResult::Bytes(bytes) => put(out, format_args!(",\"bytes\":{bytes}")),
        StepResult::Answered(status) => put(out, format_args!(",\"status\":{}", status.code())),
        StepResult::Done => {}
        // Programs look for this one: the text of `ErrorKind` may change.
        StepResult::Failed(ErrorKind::WouldBlock) => put_string(out, "error", "would block"),
        StepResult::Failed(kind) => put_string(out, "error", &kind.to_string()),
        StepResult::Postponed
        | StepResult::Skipped
        | StepResult::NotReady
        | StepResult::OutOfBudget => {
            put(out, format_args!(",\"called\":false"));
            put_string(out, "why", why_not_called(result));
        }
    }
    put(out, format_args!(",\"took_us\":{}", micros(took)));
}

/// The begin or the end of a state.
fn edge(out: &mut Vec<u8>, phase: &str, track: u64, at: Duration, name: &str) {
    begin_event(out, phase, track, name);
    put(out, format_args!(",\"ts\":{}}}", micros(at)));
}

fn begin_event(out: &mut Vec<u8>, phase: &str, track: u64, name: &str) {
    put(
        out,
        format_args!(",\n{{\"ph\":\"{phase}\",\"pid\":1,\"tid\":{track},"),
    );
    put_member(out, "name", name);
}

fn put_string(out: &mut Vec<u8>, name: &str, value: &str) {
    out.push(b',');
    put_member(out, name, value);
}

fn put_member(out: &mut Vec<u8>, name: &str, value: &str) {
    put(out, format_args!("\"{name}\":\""));
    put_json_utf8(value.as_bytes(), out);
    out.push(b'"');
}

/// Microseconds with the nanoseconds behind the point.
fn micros(time: Duration) -> String {
    format!("{}.{:03}", time.as_micros(), time.subsec_nanos() % 1000)
}
