//! The records of a trace, as read from `--trace-format json`.

use serde::Deserialize;

/// One line of a trace. Members that a diagram does not need are ignored.
#[derive(Debug, Deserialize)]
pub struct TraceLine {
    /// Microseconds since the server started.
    pub us: f64,
    /// The iteration of the loop.
    #[serde(default)]
    pub iteration: u64,
    /// The thread or process that did it, in models with several.
    pub thread: Option<u64>,
    /// The id of the connection; absent for what the loop does.
    pub connection: Option<u64>,
    /// What was done: `poll`, `accept`, `recv` ...
    pub call: String,
    /// The number of events that a poll returned.
    #[serde(default)]
    pub events: u64,
    /// How long a poll waited, in microseconds.
    #[serde(default)]
    pub waited_us: f64,
    /// How long a step took, in microseconds.
    #[serde(default)]
    pub took_us: f64,
    /// The bytes that a call received or sent.
    pub bytes: Option<u64>,
    /// The status of a response.
    pub status: Option<u16>,
    /// Why a call failed.
    pub error: Option<String>,
    /// `false`: the call was left out, because its result was known.
    pub called: Option<bool>,
    /// The line of a request.
    pub line: Option<String>,
    /// The state after a transition.
    pub to: Option<String>,
    /// Why a transition happened.
    pub cause: Option<String>,
    /// Why a connection ended.
    pub reason: Option<String>,
    /// The number of records that were dropped.
    #[serde(default)]
    pub count: u64,
}

/// Reads a trace, one JSON object per line.
///
/// # Errors
/// The first line that is no record, with its number.
pub fn read(text: &str) -> Result<Vec<TraceLine>, String> {
    let record = |(index, line): (usize, &str)| {
        serde_json::from_str(line).map_err(|error| {
            let number = index + 1;
            format!("line {number} is not a record of --trace-format json: {error}")
        })
    };
    text.lines().enumerate().map(record).collect()
}
