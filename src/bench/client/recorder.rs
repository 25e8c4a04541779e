//! The statistics of a client group: counts and histograms. No I/O, no clock.
//!
//! Times are nanoseconds since the generator's start. A response counts if it was complete in the
//! measurement window. A response time counts if the request was due in the window, whenever the
//! response came: without the late ones the worst times would be missing. In a closed loop, where a
//! request is due when it is sent, it counts with its response, but not if it was due before the
//! window: the clock is paused then.

use super::parser::Response;
use crate::bench::types::{Behavior, Bucket, ClientStats, Fault, Group, Page, Totals};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Serializer, V2DeflateSerializer};
use std::ops::Range;

/// The longest time in a histogram, ns; longer ones are recorded as this.
const MAX_TIME: u64 = 600_000_000_000;
/// Width of a bucket of the time series, ns.
const BUCKET: u64 = 100_000_000;
/// The bytes of one body in this many are compared.
const CHECK_INTERVAL: u64 = 64;
/// Bodies up to this length are all compared: it costs less than receiving them.
const ALWAYS_CHECKED: u64 = 64;
/// Limit for the buckets of a time series: ten hours.
const MAX_BUCKETS: usize = 360_000;

/// A histogram of times, 1 ns to [`MAX_TIME`], with three significant digits.
pub struct Times(Option<Histogram<u64>>);

impl Times {
    /// An empty histogram.
    pub fn new() -> Self {
        Self(Histogram::new_with_bounds(1, MAX_TIME, 3).ok())
    }

    /// Adds a time.
    pub fn record(&mut self, time: u64) {
        if let Some(histogram) = &mut self.0 {
            histogram.saturating_record(time.clamp(1, MAX_TIME));
        }
    }

    /// The time at a quantile, ns.
    pub fn at(&self, quantile: f64) -> u64 {
        self.0
            .as_ref()
            .map_or(0, |times| times.value_at_quantile(quantile))
    }

    /// V2-deflate, base64.
    pub fn encode(&self) -> String {
        let mut bytes = Vec::new();
        if let Some(histogram) = &self.0 {
            // Writing to memory does not fail; a reader rejects a part, and the empty text.
            let _ = V2DeflateSerializer::new().serialize(histogram, &mut bytes);
        }
        STANDARD.encode(bytes)
    }
}

/// A request and its times.
#[derive(Clone, Copy, Debug, Default)]
pub struct Request {
    /// When it was due.
    pub due: u64,
    /// When it was sent.
    pub sent: u64,
    /// Whether a part of the response has come.
    pub has_response: bool,
}

/// Records the statistics of a group.
pub struct Recorder {
    stats: ClientStats,
    /// The expected response.
    page: Option<Page>,
    is_open_loop: bool,
    window: Range<u64>,
    response_times: Times,
    service_times: Times,
    /// When the last correct response came.
    last_response: u64,
    /// Responses that have begun.
    begun: u64,
}

impl Recorder {
    pub fn new(group: &Group) -> Self {
        Self {
            stats: ClientStats {
                name: group.name.clone(),
                connections: (group.connections, 0),
                shares: vec![0; group.connections as usize],
                ..ClientStats::default()
            },
            page: group.page.clone(),
            is_open_loop: matches!(group.behavior, Behavior::Open { .. }),
            window: u64::MAX..u64::MAX,
            response_times: Times::new(),
            service_times: Times::new(),
            last_response: 0,
            begun: 0,
        }
    }

    /// Sets the measurement window; `open` connections are open at its beginning.
    pub fn begin(&mut self, window: Range<u64>, open: u32) {
        self.last_response = window.start;
        self.window = window;
        self.stats.connections.1 = open;
    }

    /// Ends the measurement window now, if that is earlier.
    pub fn end(&mut self, now: u64) {
        self.window.end = self.window.end.min(now);
    }

    /// The counts of the whole run.
    pub fn totals(&mut self) -> &mut Totals {
        &mut self.stats.totals
    }

    /// Records a new connection.
    pub fn connected(&mut self, now: u64) {
        self.stats.totals.connections += 1;
        self.stats.connected += u64::from(self.window.contains(&now));
    }

    /// Whether this time is in the measurement window.
    pub fn is_in_window(&self, time: u64) -> bool {
        self.window.contains(&time)
    }

    /// Records a request of an open loop that is due at this time.
    pub fn due(&mut self, time: u64) {
        self.stats.due += u64::from(self.window.contains(&time));
    }

    /// Records a dropped request that was due at this time.
    pub fn dropped(&mut self, time: u64) {
        self.stats.dropped += u64::from(self.window.contains(&time));
    }

    /// Counts a response that begins. Returns whether the bytes of its body are compared.
    pub fn begin_response(&mut self) -> bool {
        self.begun += 1;
        // Hashing a body with nothing to compare it with would only delay the others.
        let page = self.page.as_ref().filter(|page| page.hash.is_some());
        let is_short = |page: &Page| page.length.is_some_and(|length| length <= ALWAYS_CHECKED);
        page.is_some_and(|page| self.begun % CHECK_INTERVAL == 1 || is_short(page))
    }

    /// Records a complete response on the connection with this number.
    pub fn response(&mut self, connection: usize, request: Request, response: Response, now: u64) {
        self.stats.totals.responses += 1;
        self.status(response.status, now);
        if let Some(fault) = self.page.as_ref().and_then(|page| fault_of(response, page)) {
            return self.fault(fault);
        }
        let response_time = now.saturating_sub(request.due);
        let counts = match self.is_open_loop {
            true => self.window.contains(&request.due),
            false => request.due >= self.window.start && self.window.contains(&now),
        };
        if counts {
            self.response_times.record(response_time);
            self.service_times.record(now.saturating_sub(request.sent));
        }
        if self.window.contains(&now) {
            self.stats.responses += 1;
            self.stats.body_bytes += response.length;
            if let Some(share) = self.stats.shares.get_mut(connection) {
                *share += 1;
            }
            self.end_silence(now);
            if let Some(bucket) = self.bucket_of(now) {
                bucket.responses += 1;
                bucket.longest = bucket.longest.max(response_time);
            }
        }
    }

    /// Records the status of a final or an interim response.
    pub fn status(&mut self, status: u16, now: u64) {
        if self.window.contains(&now) {
            *self.stats.statuses.entry(status).or_default() += 1;
        }
    }

    /// What is shown while the load runs: responses and errors so far, and the histogram.
    pub fn live(&self) -> (u64, u64, &Times) {
        let errors = self.stats.errors.values().sum();
        (self.stats.totals.responses, errors, &self.response_times)
    }

    /// Records an error.
    pub fn fault(&mut self, fault: Fault) {
        *self.stats.errors.entry(fault).or_default() += 1;
    }

    /// Records a request without a response, with the time that it has waited by the end of the
    /// run.
    pub fn missing(&mut self, due: u64, now: u64) {
        self.fault(Fault::Missing);
        if self.window.contains(&due) || !self.is_open_loop && due < self.window.end {
            self.response_times.record(now.saturating_sub(due));
        }
    }

    /// The bucket of a time in the window.
    fn bucket_of(&mut self, now: u64) -> Option<&mut Bucket> {
        let bucket = usize::try_from((now - self.window.start) / BUCKET).ok()?;
        let bucket = bucket.min(MAX_BUCKETS);
        if self.stats.time_series.len() <= bucket {
            self.stats.time_series.resize(bucket + 1, Bucket::default());
        }
        self.stats.time_series.get_mut(bucket)
    }

    /// The time since the last response ends.
    fn end_silence(&mut self, now: u64) {
        let silence = now.saturating_sub(self.last_response);
        self.stats.silence = self.stats.silence.max(silence);
        self.last_response = now;
    }

    /// The statistics.
    pub fn finish(mut self) -> ClientStats {
        if !self.window.is_empty() {
            self.bucket_of(self.window.end - 1);
            self.end_silence(self.window.end);
        }
        self.stats.response_time = self.response_times.encode();
        self.stats.service_time = self.service_times.encode();
        self.stats
    }
}

/// How a response differs from the expected one.
fn fault_of(response: Response, page: &Page) -> Option<Fault> {
    let is_expected = match page.status {
        // An invalid status is an error of the server (RFC 9110, 15), and no request asks for 101.
        0 => (200..400).contains(&response.status),
        status => response.status == status,
    };
    if !is_expected {
        return Some(Fault::Status);
    }
    if page.length.is_some_and(|length| length != response.length) {
        return Some(Fault::Length);
    }
    (response.hash.is_some() && response.hash != page.hash).then_some(Fault::Content)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::metrics::tests::{OPEN, load};
    use crate::bench::stats::decode;

    const MS: u64 = 1_000_000;

    /// The statistics after correct responses to requests: when they were due, and when the
    /// responses came, in ms. The window is from 1000 to 1300 ms.
    fn after(behavior: Behavior, responses: &[(u64, u64)], missing: &[u64]) -> ClientStats {
        let mut recorder = Recorder::new(&load(behavior).groups[0]);
        recorder.begin(1000 * MS..1300 * MS, 1);
        for (due, done) in responses {
            let (due, done) = (due * MS, done * MS);
            let request = Request {
                due,
                sent: due,
                ..Request::default()
            };
            let response = Response {
                status: 200,
                ..Response::default()
            };
            recorder.response(0, request, response, done);
        }
        for due in missing {
            recorder.missing(due * MS, 1500 * MS);
        }
        recorder.finish()
    }

    /// The number of response times, and the longest, ms.
    fn times(stats: &ClientStats) -> (u64, u64) {
        let times = decode(&stats.response_time).unwrap();
        (times.len(), times.max() / MS)
    }

    #[test]
    fn a_request_that_was_due_in_the_window_counts_whenever_its_response_came() {
        let stats = after(OPEN, &[(990, 1010), (1290, 1310), (1310, 1320)], &[]);
        assert_eq!(stats.responses, 1, "one response came in the window");
        assert_eq!(times(&stats), (1, 20), "another request was due in it");
    }

    /// Its time includes a pause of the clock, so it would be too short.
    #[test]
    fn a_request_that_was_sent_before_the_window_of_a_closed_loop_has_no_time() {
        let stats = after(Behavior::Closed, &[(999, 1047), (1000, 1047)], &[]);
        assert_eq!((stats.responses, times(&stats)), (2, (1, 47)));
    }

    /// A connection that never gets a response has the longest time of all.
    #[test]
    fn a_request_that_is_still_outstanding_in_a_closed_loop_has_the_time_that_it_has_waited() {
        let stats = after(Behavior::Closed, &[], &[900, 1310]);
        assert_eq!(times(&stats), (1, 600));
    }

    #[test]
    fn the_time_series_has_a_bucket_for_each_tenth_of_a_second() {
        let responses = [(1000, 1001), (1000, 1009), (1000, 1005), (1210, 1290)];
        let stats = after(Behavior::Closed, &responses, &[]);
        let bucket = |(responses, longest)| Bucket {
            responses,
            longest: longest * MS,
        };
        assert_eq!(stats.time_series, [(3, 9), (0, 0), (1, 80)].map(bucket));
        assert_eq!(stats.silence, 285 * MS);
    }
}
