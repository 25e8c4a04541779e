//! What a diagram shows of a trace: rows in the order of time, and the times a thread waits.

use super::record::TraceLine;
use std::collections::{HashMap, HashSet};

/// A call that may sleep and takes at least this long, in microseconds, is shown as a wait with a
/// begin and an end.
const WAIT: f64 = 1000.0;

/// One row.
#[derive(Debug)]
pub struct Row {
    /// Microseconds since the server started.
    pub us: f64,
    /// The thread that did it.
    pub thread: Option<u64>,
    /// The connection that it concerns.
    pub connection: Option<u64>,
    /// What to draw.
    pub arrow: Arrow,
    /// What to write beside it.
    pub text: String,
    /// Whether the thread waits from this row on, or has waited up to this row.
    pub wait: Option<Wait>,
    iteration: u64,
}

/// Where bytes or a message go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrow {
    /// From the client to the server.
    In,
    /// From the server to the client.
    Out,
    /// The server calls its kernel, and the call fails.
    Failed,
    /// From the kernel to the server: events.
    Events,
    /// Nothing: the server works, or begins to wait.
    None,
}

/// One end of a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// The call begins.
    Begin,
    /// The call returns.
    End,
}

/// The rows of a trace, from the first connection to the end of the last one.
pub fn rows(records: &[TraceLine]) -> Vec<Row> {
    let mut rows = Vec::new();
    // The index of the latest row of each connection: transitions are written there.
    let mut latest = HashMap::new();
    let mut request = HashMap::new();
    for record in records {
        let key = (record.connection, record.thread);
        match record.call.as_str() {
            "->" => {
                let Some(to) = &record.to else { continue };
                if let Some(cause @ ("deadline" | "eviction" | "stop" | "abort" | "panic")) =
                    record.cause.as_deref()
                {
                    // No call is the cause.
                    push(&mut rows, record, Arrow::None, format!("{cause} → {to}"));
                } else if let Some(row) = latest
                    .get(&key)
                    .and_then(|index: &usize| rows.get_mut(*index))
                {
                    row.text += &format!(" → {to}");
                }
            }
            "request" => {
                request.insert(key, record.line.as_deref().unwrap_or("refused"));
            }
            _ => {
                let Some((arrow, text)) = shown(record, request.get(&key).copied()) else {
                    continue;
                };
                push(&mut rows, record, arrow, text);
                latest.insert(key, rows.len() - 1);
            }
        }
    }
    remove_idle_polls(&mut rows);
    // Stable: what has one time stays in the order of the trace.
    rows.sort_by(|a, b| a.us.total_cmp(&b.us));
    rows
}

/// The row of a record, and one for its begin if it waited.
fn push(rows: &mut Vec<Row>, record: &TraceLine, arrow: Arrow, text: String) {
    let took = record.waited_us.max(record.took_us);
    let row = |us, arrow, text, wait| Row {
        us,
        thread: record.thread,
        connection: record.connection,
        arrow,
        text,
        wait,
        iteration: record.iteration,
    };
    let may_wait = matches!(&*record.call, "poll" | "wait" | "send" | "sendfile");
    if took < WAIT || !may_wait {
        rows.push(row(record.us, arrow, text, None));
        return;
    }
    let begin = format!("{} …", record.call);
    let text = format!("{text} after {:.1} ms", took / 1000.0);
    rows.push(row(record.us - took, Arrow::None, begin, Some(Wait::Begin)));
    rows.push(row(record.us, arrow, text, Some(Wait::End)));
}

/// What is drawn and written for a record; `None` for one that a diagram leaves out.
fn shown(record: &TraceLine, request: Option<&str>) -> Option<(Arrow, String)> {
    let call = &record.call;
    // In a thread that blocks, `wait` has read the bytes that the step gets from memory.
    let is_from_memory = record.thread.is_some() && matches!(call.as_str(), "recv" | "discard");
    if record.called == Some(false) || is_from_memory {
        return None;
    }
    if let Some(error) = &record.error {
        return Some((Arrow::Failed, format!("{call}: {error}")));
    }
    let bytes = || match record.bytes {
        Some(1) => "1 byte".to_owned(),
        Some(count) => format!("{count} bytes"),
        None => "done".to_owned(),
    };
    Some(match call.as_str() {
        "poll" => {
            let plural = if record.events == 1 { "" } else { "s" };
            let text = format!("poll: {} event{plural}", record.events);
            (Arrow::Events, text)
        }
        "accept" => (Arrow::In, "accept".to_owned()),
        "recv" | "discard" | "wait" if record.bytes == Some(0) => {
            (Arrow::In, format!("{call}: end of stream"))
        }
        "recv" | "discard" | "wait" => (Arrow::In, format!("{call}: {}", bytes())),
        "send" | "sendfile" => (Arrow::Out, format!("{call}: {}", bytes())),
        "shutdown" => (Arrow::Out, "shutdown: no more bytes follow".to_owned()),
        "close" => {
            let reason = record.reason.as_deref().unwrap_or("?");
            (Arrow::Out, format!("close: {reason}"))
        }
        "respond" => {
            let status = record.status.map(|status| status.to_string());
            let status = status.unwrap_or_default();
            let text = format!("{} → {status}", request.unwrap_or("?"));
            (Arrow::None, text)
        }
        "produce" => (Arrow::None, format!("produce: {}", bytes())),
        "handshake" => (Arrow::None, format!("handshake: {}", bytes())),
        "dropped" => (Arrow::None, format!("{} records are missing", record.count)),
        _ => return None,
    })
}

/// Removes polls after which no connection did anything, and waits before the first connection and
/// after the last one.
fn remove_idle_polls(rows: &mut Vec<Row>) {
    let mut busy: Vec<_> = rows.iter().filter(|row| row.connection.is_some()).collect();
    busy.sort_by(|a, b| a.us.total_cmp(&b.us));
    let ends = (
        busy.first().map(|row| row.us),
        busy.last().map(|row| row.us),
    );
    let (Some(first), Some(last)) = ends else {
        return rows.clear();
    };
    let iterations: HashSet<_> = busy.iter().map(|row| (row.thread, row.iteration)).collect();
    rows.retain(|row| {
        row.connection.is_some()
            || iterations.contains(&(row.thread, row.iteration))
                && row.us <= last
                && (row.wait != Some(Wait::Begin) || row.us >= first)
    });
}
