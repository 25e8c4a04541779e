//! Reads what `oneloop --trace` writes in its format for programs, as system calls.

use super::call::{Call, Object};
use serde::Deserialize;

/// A line of the trace, with the members that are needed here.
#[derive(Debug, Deserialize)]
struct Record {
    /// Absent in a model with a loop.
    thread: Option<u64>,
    call: String,
    /// The number of events that a poll returned.
    #[serde(default)]
    events: u64,
    /// What an event says about its socket.
    #[serde(default)]
    flags: Vec<String>,
    bytes: Option<u64>,
    error: Option<String>,
    /// `false`: the call was left out, because its result was known.
    called: Option<bool>,
    #[serde(default)]
    waited_us: f64,
    #[serde(default)]
    took_us: f64,
}

/// The calls in these lines of a trace of `model`.
///
/// # Errors
/// A line is no record.
pub fn read(lines: &[&str], model: &str) -> Result<Vec<Call>, String> {
    let mut calls: Vec<Call> = Vec::new();
    for line in lines {
        let record: Record = serde_json::from_str(line)
            .map_err(|error| format!("this is no record of a trace: {line}: {error}"))?;
        match calls.last_mut() {
            Some(poll) if record.call == "event" => {
                if poll.result == "1" {
                    poll.arguments.clear();
                }
                poll.arguments += &flags(&record.flags);
            }
            _ => calls.extend(call(&record, model)),
        }
    }
    Ok(calls)
}

/// The call of a record. `None`: no call was made, or none that is known.
fn call(record: &Record, model: &str) -> Option<Call> {
    let is_in_loop = record.thread.is_none();
    let has_ring = model == "uring";
    let (name, object) = match &*record.call {
        "poll" => match model {
            "uring" => ("io_uring_enter", Object::Ring),
            "select" => ("pselect6", Object::Poll),
            "poll" => ("poll", Object::Poll),
            // The same call, with a mask of signals.
            "level" => ("epoll_pwait", Object::Poll),
            _ => ("epoll_wait", Object::Poll),
        },
        "accept" if has_ring => ("accept", Object::Listener),
        "recv" | "discard" if has_ring => ("recv", Object::Connection),
        "send" if has_ring => ("send", Object::Connection),
        "sendfile" if has_ring => ("splice", Object::Connection),
        "accept" => ("accept4", Object::Listener),
        // A change in an argument of the next wait.
        "register" if ["select", "poll", "uring"].contains(&model) => return None,
        "register" => ("epoll_ctl", Object::Connection),
        // A blocking thread takes what its `wait` has read: no call.
        "recv" | "discard" if is_in_loop => ("recvfrom", Object::Connection),
        "wait" => ("recvfrom", Object::Connection),
        "send" => ("sendto", Object::Connection),
        "sendfile" => ("sendfile", Object::Connection),
        "shutdown" => ("shutdown", Object::Connection),
        "close" => ("close", Object::Connection),
        _ => return None,
    };
    if record.called == Some(false) {
        return None;
    }
    let result = match (&record.error, record.bytes) {
        (Some(error), _) => match &**error {
            "would block" => "EAGAIN".to_owned(),
            "connection reset" => "ECONNRESET".to_owned(),
            "broken pipe" => "EPIPE".to_owned(),
            error => error.to_owned(),
        },
        (None, Some(bytes)) => bytes.to_string(),
        (None, None) if object == Object::Poll => record.events.to_string(),
        (None, None) if object == Object::Ring => "?".to_owned(),
        (None, None) if object == Object::Listener => "a descriptor".to_owned(),
        (None, None) => "0".to_owned(),
    };
    let arguments = match &object {
        // The event of a listener has no record of its own.
        Object::Poll => "EPOLLIN",
        _ if name == "epoll_ctl" && model != "level" => "EPOLLET",
        _ => "",
    };
    Some(Call {
        thread: record.thread.unwrap_or(0),
        name: name.to_owned(),
        object,
        arguments: arguments.to_owned(),
        result,
        took: (record.waited_us + record.took_us) / 1e6,
        is_operation: ["accept", "recv", "send", "splice"].contains(&name),
    })
}

/// The flags of an event in the words of epoll_ctl(2).
fn flags(words: &[String]) -> String {
    let has = |word: &str| words.iter().any(|one| one == word);
    let names = [
        ("EPOLLIN|", has("readable")),
        ("EPOLLOUT|", has("writable")),
        ("EPOLLRDHUP|", has("read closed")),
        ("EPOLLHUP|", has("read closed") && has("write closed")),
    ];
    let set = names.into_iter().filter(|(_, is_set)| *is_set);
    set.map(|(name, _)| name).collect()
}

#[cfg(test)]
mod tests {
    use super::super::reason::reason;
    use super::*;

    fn lines(trace: &[&str]) -> Vec<String> {
        lines_of("reactor", trace)
    }

    fn lines_of(model: &str, trace: &[&str]) -> Vec<String> {
        let calls = read(trace, model).unwrap();
        let line = |call: &Call| {
            let (name, object, result) = (&call.name, call.object.name(), &call.result);
            format!("{name} {object} {result}: {}", reason(call).unwrap())
        };
        calls.iter().map(line).collect()
    }

    #[test]
    fn records_of_a_loop_are_calls_with_reasons() {
        let calls = lines(&[
            r#"{"us":1.0,"iteration":1,"call":"poll","events":1,"waited_us":5.0}"#,
            r#"{"us":2.0,"iteration":1,"connection":0,"call":"accept","listener":0}"#,
            r#"{"us":2.0,"connection":0,"call":"recv","error":"would block"}"#,
            r#"{"us":2.0,"iteration":1,"connection":0,"call":"register"}"#,
            r#"{"us":3.0,"iteration":1,"call":"end","worked_us":600.0}"#,
            r#"{"us":4.0,"iteration":2,"call":"poll","events":1,"waited_us":5.0}"#,
            r#"{"us":4.0,"iteration":2,"connection":0,"call":"event","flags":["writable"]}"#,
            r#"{"us":4.0,"iteration":2,"connection":0,"call":"recv","called":false}"#,
            r#"{"us":5.0,"iteration":3,"call":"poll","events":1,"waited_us":5.0}"#,
            r#"{"us":6.0,"connection":0,"call":"event","flags":["readable","read closed"]}"#,
            r#"{"us":7.0,"iteration":3,"connection":0,"call":"recv","bytes":0}"#,
        ]);
        let expected = [
            "epoll_wait poll 1: woken: there is something to read or to accept",
            "accept4 listener a descriptor: take a connection from the accept queue",
            "recvfrom connection EAGAIN: nothing has arrived yet",
            "epoll_ctl connection 0: register the socket with the poll, edge-triggered",
            "epoll_wait poll 1: woken: a socket can be written, and there is nothing to write",
            "epoll_wait poll 1: woken: the client has closed its direction",
            "recvfrom connection 0: the client has closed its direction",
        ];
        assert_eq!(calls, expected);
    }

    #[test]
    fn a_record_of_the_poll_is_the_call_that_the_model_makes() {
        let records = [
            r#"{"us":1.0,"iteration":1,"call":"poll","events":1,"waited_us":5.0}"#,
            r#"{"us":2.0,"iteration":1,"connection":0,"call":"register"}"#,
        ];
        let woken = "poll 1: woken: there is something to read or to accept";
        let watch = "epoll_ctl connection 0: tell the poll what the connection waits for now";
        let level = [format!("epoll_pwait {woken}"), watch.to_owned()];
        assert_eq!(lines_of("level", &records), level);
        assert_eq!(lines_of("poll", &records), [format!("poll {woken}")]);
        assert_eq!(lines_of("select", &records), [format!("pselect6 {woken}")]);
    }

    #[test]
    fn a_blocking_thread_reads_once_for_each_wait() {
        let calls = lines(&[
            r#"{"us":1.0,"thread":7,"connection":0,"call":"wait","bytes":37,"took_us":2000.0}"#,
            r#"{"us":1.0,"thread":7,"connection":0,"call":"recv","bytes":37}"#,
            r#"{"us":1.0,"thread":7,"connection":0,"call":"respond","status":200}"#,
            r#"{"us":1.0,"thread":7,"connection":0,"call":"send","bytes":293}"#,
            r#"{"us":1.0,"thread":7,"connection":0,"call":"close","reason":"PeerClosed"}"#,
        ]);
        let expected = [
            "recvfrom connection 37: read what the client has sent",
            "sendto connection 293: send header and body in one call",
            "close connection 0: close the connection, or a copy of it in another process",
        ];
        assert_eq!(calls, expected);
    }

    #[test]
    fn a_line_that_is_no_record_is_an_error() {
        assert!(read(&["epoll_wait(5) = 1"], "reactor").is_err());
    }
}
