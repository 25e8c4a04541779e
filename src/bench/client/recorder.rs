//! Room `bench`: what has a group seen? Counts and histograms; no I/O, no clock.
//!
//! Times are nanoseconds since the generator began. An answer counts if it was complete in the
//! window. A response time counts if the request was due in the window, whenever the answer came:
//! who would leave out those that came too late would leave out the worst. In a closed loop, where
//! a request is due when it is sent, it counts with its answer.

use super::parser::Answer;
use crate::bench::load::{Bucket, ClientStats, Fault, Page, Totals};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Serializer, V2DeflateSerializer};
use std::ops::Range;

/// The longest time that a histogram holds; longer ones count as that.
const LONGEST: u64 = 600_000_000_000;
/// Nanoseconds of a row of the course.
const SLICE: u64 = 100_000_000;
/// Rows of the course at most: ten hours.
const MOST_SLICES: usize = 360_000;

/// Times, 1 ns to [`LONGEST`], to three digits.
pub struct Times(Option<Histogram<u64>>);

impl Times {
    /// None so far.
    pub fn new() -> Self {
        Self(Histogram::new_with_bounds(1, LONGEST, 3).ok())
    }

    /// One more.
    pub fn record(&mut self, time: u64) {
        if let Some(histogram) = &mut self.0 {
            histogram.saturating_record(time.clamp(1, LONGEST));
        }
    }

    /// V2-deflate, base64.
    pub fn encode(&self) -> String {
        let mut bytes = Vec::new();
        let written = self.0.as_ref().map(|histogram| {
            let mut serializer = V2DeflateSerializer::new();
            serializer.serialize(histogram, &mut bytes)
        });
        match written {
            Some(Ok(_)) => STANDARD.encode(bytes),
            // Writing to memory does not fail; and an empty text is no histogram for anybody.
            _ => String::new(),
        }
    }
}

/// The times of one request.
#[derive(Clone, Copy, Debug, Default)]
pub struct Request {
    /// Which of the group's pages.
    pub page: usize,
    /// When it was to be sent.
    pub due: u64,
    /// When it was sent.
    pub sent: u64,
    /// When the first byte of the answer came.
    pub first: Option<u64>,
}

impl Request {
    /// One that was due, and never sent.
    pub fn due_at(due: u64) -> Self {
        Self {
            due,
            ..Self::default()
        }
    }
}

/// What a group has seen.
pub struct Tally {
    seen: ClientStats,
    window: Range<u64>,
    is_open: bool,
    response: Times,
    service: Times,
    first_byte: Times,
    /// Response times of the present slice.
    slice_times: Vec<u64>,
}

impl Tally {
    /// Of a group with so many connections. `is_open`: with a rate of its own.
    pub fn new(name: &str, connections: u32, is_open: bool) -> Self {
        Self {
            seen: ClientStats {
                name: name.to_owned(),
                connections: (connections, 0),
                shares: vec![0; connections as usize],
                ..ClientStats::default()
            },
            window: u64::MAX..u64::MAX,
            is_open,
            response: Times::new(),
            service: Times::new(),
            first_byte: Times::new(),
            slice_times: Vec::new(),
        }
    }

    /// The measurement is from here to there; `open` connections are there.
    pub fn begin(&mut self, window: Range<u64>, open: u32) {
        self.window = window;
        self.seen.connections.1 = open;
    }

    /// What is counted over the whole life.
    pub fn whole(&mut self) -> &mut Totals {
        &mut self.seen.whole
    }

    /// A connection was made.
    pub fn connected(&mut self, now: u64) {
        self.seen.whole.connections += 1;
        self.seen.connected += u64::from(self.window.contains(&now));
    }

    /// Whether that is a time of the measurement.
    pub fn is_in_window(&self, at: u64) -> bool {
        self.window.contains(&at)
    }

    /// A request of an open loop is due.
    pub fn due(&mut self, at: u64) {
        self.seen.due += u64::from(self.window.contains(&at));
    }

    /// It was dropped.
    pub fn dropped(&mut self, at: u64) {
        self.seen.dropped += u64::from(self.window.contains(&at));
    }

    /// A whole answer has come on the connection with that number.
    pub fn answered(
        &mut self,
        connection: usize,
        request: &Request,
        answer: Answer,
        page: &Page,
        now: u64,
    ) {
        self.seen.whole.answers += 1;
        if let Some(fault) = wrong(answer, page) {
            return self.fault(fault, now);
        }
        let (response, sent) = (now.saturating_sub(request.due), request.sent);
        let counts = match self.is_open {
            true => self.window.contains(&request.due),
            false => self.window.contains(&now),
        };
        if counts {
            self.response.record(response);
            self.service.record(now.saturating_sub(sent));
            let first = request.first.unwrap_or(now);
            self.first_byte.record(first.saturating_sub(sent));
        }
        if self.window.contains(&now) {
            self.seen.answers += 1;
            self.seen.body_bytes += answer.length;
            if let Some(share) = self.seen.shares.get_mut(connection) {
                *share += 1;
            }
            self.turn_to(now);
            self.slice_times.push(response);
        }
    }

    /// Something went wrong.
    pub fn fault(&mut self, fault: Fault, now: u64) {
        *self.seen.errors.entry(fault).or_default() += 1;
        if self.window.contains(&now) {
            self.turn_to(now);
            if let Some(slice) = self.seen.course.last_mut() {
                slice.errors += 1;
            }
        }
    }

    /// The end has come, and no answer: it took at least that long.
    pub fn missing(&mut self, request: &Request, now: u64) {
        self.fault(Fault::Missing, now);
        if self.window.contains(&request.due) {
            self.response.record(now.saturating_sub(request.due));
        }
    }

    /// Goes on to the slice of `now`, with those between that have nothing.
    fn turn_to(&mut self, now: u64) {
        let slice = usize::try_from((now - self.window.start) / SLICE).unwrap_or(usize::MAX);
        let slice = slice.min(MOST_SLICES);
        while self.seen.course.len() <= slice {
            self.end_slice();
            self.seen.course.push(Bucket::default());
        }
    }

    fn end_slice(&mut self) {
        let times = &mut self.slice_times;
        if let Some(slice) = self.seen.course.last_mut()
            && let Some(longest) = times.iter().max()
        {
            (slice.answers, slice.longest) = (times.len() as u64, *longest);
            let middle = times.len() / 2;
            slice.median = *times.select_nth_unstable(middle).1;
        }
        times.clear();
    }

    /// All of it.
    pub fn finish(mut self) -> ClientStats {
        if !self.window.is_empty() {
            self.turn_to(self.window.end - 1);
        }
        self.end_slice();
        self.seen.response_time = self.response.encode();
        self.seen.service_time = self.service.encode();
        self.seen.first_byte = self.first_byte.encode();
        self.seen
    }
}

/// What is wrong with an answer.
fn wrong(answer: Answer, page: &Page) -> Option<Fault> {
    if answer.status != page.status {
        return Some(Fault::Status);
    }
    if page.length.is_some_and(|length| length != answer.length) {
        return Some(Fault::Length);
    }
    match (page.hash, answer.hash) {
        (Some(right), Some(found)) if right != found => Some(Fault::Content),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn page() -> Page {
        Page {
            path: "/".to_owned(),
            status: 200,
            length: Some(5),
            hash: Some(7),
        }
    }

    fn right() -> Answer {
        Answer {
            status: 200,
            length: 5,
            hash: None,
            closes: false,
        }
    }

    fn tally(is_open: bool) -> Tally {
        let mut tally = Tally::new("main", 2, is_open);
        tally.begin(1000 * MS..1300 * MS, 2);
        tally
    }

    fn times(text: &str) -> Histogram<u64> {
        let bytes = STANDARD.decode(text).unwrap();
        let mut deserializer = hdrhistogram::serialization::Deserializer::new();
        deserializer.deserialize(&mut &bytes[..]).unwrap()
    }

    fn request(due: u64, sent: u64) -> Request {
        Request {
            due,
            sent,
            ..Request::default()
        }
    }

    #[test]
    fn what_was_due_in_the_window_counts_whenever_it_was_answered() {
        let mut tally = tally(true);
        let asked = [(990, 1010), (1290, 1310), (1310, 1320)];
        for (due, answered) in asked.map(|(a, b)| (a * MS, b * MS)) {
            tally.answered(0, &request(due, due), right(), &page(), answered);
        }
        let seen = tally.finish();
        assert_eq!(seen.answers, 1, "one came in the window");
        let histogram = times(&seen.response_time);
        assert_eq!(histogram.len(), 1, "another was due in it");
        assert_eq!(histogram.max() / MS, 20);
    }

    #[test]
    fn the_two_clocks_begin_when_it_is_due_and_when_it_is_sent() {
        let mut tally = tally(true);
        let mut request = request(1000 * MS, 1080 * MS);
        request.first = Some(1090 * MS);
        tally.answered(1, &request, right(), &page(), 1100 * MS);
        let seen = tally.finish();
        let of = |text: &str| times(text).max() / MS;
        assert_eq!(of(&seen.response_time), 100);
        assert_eq!(of(&seen.service_time), 20);
        assert_eq!(of(&seen.first_byte), 10);
        assert_eq!(seen.shares, [0, 1]);
    }

    #[test]
    fn each_way_of_being_wrong_is_told_apart() {
        let answers = [
            Answer {
                status: 404,
                ..right()
            },
            Answer {
                length: 4,
                ..right()
            },
            Answer {
                hash: Some(8),
                ..right()
            },
        ];
        let mut tally = tally(false);
        for answer in answers {
            tally.answered(0, &request(0, 0), answer, &page(), 1000 * MS);
        }
        let seen = tally.finish();
        let wanted = [Fault::Status, Fault::Length, Fault::Content].map(|fault| (fault, 1));
        assert_eq!(seen.errors, wanted.into());
        assert_eq!((seen.answers, seen.whole.answers), (0, 3));
        assert_eq!(seen.course.iter().map(|slice| slice.errors).sum::<u64>(), 3);
    }

    #[test]
    fn a_missing_answer_took_at_least_until_the_end() {
        let mut tally = tally(true);
        tally.missing(&request(1100 * MS, 1100 * MS), 1900 * MS);
        let seen = tally.finish();
        assert_eq!(times(&seen.response_time).max() / (100 * MS), 8);
        assert_eq!(seen.errors, [(Fault::Missing, 1)].into());
    }

    #[test]
    fn the_course_has_a_row_for_each_tenth_of_a_second() {
        let mut tally = tally(false);
        for (sent, now) in [(1000, 1001), (1000, 1009), (1000, 1005), (1210, 1290)] {
            let request = request(sent * MS, sent * MS);
            tally.answered(0, &request, right(), &page(), now * MS);
        }
        let row = |answers, median, longest| Bucket {
            answers,
            longest: longest * MS,
            median: median * MS,
            errors: 0,
        };
        let wanted = [row(3, 5, 9), row(0, 0, 0), row(1, 80, 80)];
        assert_eq!(tally.finish().course, wanted);
    }
}
