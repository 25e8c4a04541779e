//! The text format of Prometheus, version 0.0.4:
//! <https://prometheus.io/docs/instrumenting/exposition_formats/>.

use std::fmt::Display;
use std::time::Duration;

/// The media type of the format.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The upper bounds of the buckets of a [`Histogram`], in microseconds.
const BOUNDS: [u64; 10] = [
    30, 100, 300, 1_000, 3_000, 10_000, 30_000, 100_000, 300_000, 1_000_000,
];

/// Metrics as text.
#[derive(Debug, Default)]
pub struct Exposition(String);

impl Exposition {
    /// All of the text.
    pub fn into_text(self) -> String {
        self.0
    }

    /// Adds a metric without labels.
    pub fn metric(&mut self, name: &str, kind: &str, help: &str, value: impl Display) {
        self.head(name, kind, help);
        self.sample(name, "", value);
    }

    /// Adds a metric that has a sample for each value of a label.
    pub fn family<L: Display, V: Display>(
        &mut self,
        [name, label]: [&str; 2],
        kind: &str,
        help: &str,
        samples: impl IntoIterator<Item = (L, V)>,
    ) {
        self.head(name, kind, help);
        for (text, value) in samples {
            self.sample(name, &labels(label, &text.to_string()), value);
        }
    }

    /// Adds a histogram. Each bucket also counts what is in those before it.
    pub fn histogram(&mut self, name: &str, help: &str, histogram: &Histogram) {
        self.head(name, "histogram", help);
        let bucket = format!("{name}_bucket");
        let mut count = 0;
        let bounds = BOUNDS.map(|bound| Duration::from_micros(bound).as_secs_f64().to_string());
        let bounds = bounds.into_iter().chain(["+Inf".to_owned()]);
        for (bound, in_bucket) in bounds.zip(histogram.buckets) {
            count += in_bucket;
            self.sample(&bucket, &labels("le", &bound), count);
        }
        self.sample(&format!("{name}_sum"), "", histogram.sum.as_secs_f64());
        self.sample(&format!("{name}_count"), "", count);
    }

    fn head(&mut self, name: &str, kind: &str, help: &str) {
        let lines = format!("# HELP {name} {help}\n# TYPE {name} {kind}\n");
        self.0.push_str(&lines);
    }

    fn sample(&mut self, name: &str, labels: &str, value: impl Display) {
        self.0.push_str(&format!("{name}{labels} {value}\n"));
    }
}

/// A label with its value, in which three characters are escaped.
fn labels(label: &str, value: &str) -> String {
    let value = value.replace('\\', "\\\\").replace('"', "\\\"");
    format!("{{{label}=\"{}\"}}", value.replace('\n', "\\n"))
}

/// How often something took how long.
#[derive(Debug, Default)]
pub struct Histogram {
    /// Each counts the times up to its bound and above the bound before; the last one has no bound.
    buckets: [u64; BOUNDS.len() + 1],
    sum: Duration,
}

impl Histogram {
    /// It took `time`.
    pub fn record(&mut self, time: Duration) {
        let index = BOUNDS.partition_point(|bound| Duration::from_micros(*bound) < time);
        if let Some(bucket) = self.buckets.get_mut(index) {
            *bucket += 1;
        }
        self.sum += time;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_value_of_a_label_is_escaped() {
        let mut text = Exposition::default();
        text.family(["a_b", "path"], "gauge", "Of a.", [("C:\\\n\"", 1)]);
        let expected = "# HELP a_b Of a.\n# TYPE a_b gauge\na_b{path=\"C:\\\\\\n\\\"\"} 1\n";
        assert_eq!(text.into_text(), expected);
    }

    #[test]
    fn a_bucket_has_what_is_at_most_its_bound() {
        let mut histogram = Histogram::default();
        for micros in [0, 30, 31, 100, 2_000_000] {
            histogram.record(Duration::from_micros(micros));
        }
        let mut text = Exposition::default();
        text.histogram("a_seconds", "Of a.", &histogram);
        let expected = "# HELP a_seconds Of a.\n# TYPE a_seconds histogram\n\
            a_seconds_bucket{le=\"0.00003\"} 2\na_seconds_bucket{le=\"0.0001\"} 4\n\
            a_seconds_bucket{le=\"0.0003\"} 4\na_seconds_bucket{le=\"0.001\"} 4\n\
            a_seconds_bucket{le=\"0.003\"} 4\na_seconds_bucket{le=\"0.01\"} 4\n\
            a_seconds_bucket{le=\"0.03\"} 4\na_seconds_bucket{le=\"0.1\"} 4\n\
            a_seconds_bucket{le=\"0.3\"} 4\na_seconds_bucket{le=\"1\"} 4\n\
            a_seconds_bucket{le=\"+Inf\"} 5\na_seconds_sum 2.000161\na_seconds_count 5\n";
        assert_eq!(text.into_text(), expected);
    }
}
