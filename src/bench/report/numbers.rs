//! Room `bench`: how is a number written on a page? As on the terminal, but with room for its unit.

use crate::bench::metrics::{Better, metric_named};
use crate::bench::table::format;

/// A number of a metric with its unit: `1.95 ms`, `84.1k`, `9.55 MiB`.
pub fn value(metric: &str, value: f64) -> String {
    let text = format::value(metric, value);
    let end = text.rfind(|c: char| c.is_ascii_digit());
    let (number, unit) = text.split_at(end.map_or(text.len(), |end| end + 1));
    match unit {
        "us" => format!("{number} µs"),
        "ms" | "s" => format!("{number} {unit}"),
        "M" | "kM" if is_size(metric) => {
            let thousand = unit.trim_end_matches('M');
            format!("{number}{thousand} MiB")
        }
        _ => text,
    }
}

/// A round value, for an axis: `10 ms`, not `10.0 ms`.
pub fn round(metric: &str, number: f64) -> String {
    let text = value(metric, number);
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.');
    let (number, unit) = text.split_at(end.unwrap_or(text.len()));
    let number = match number.contains('.') {
        true => number.trim_end_matches('0').trim_end_matches('.'),
        false => number,
    };
    format!("{number}{unit}")
}

/// A ratio on an axis.
pub fn times(ratio: f64) -> String {
    format!("{}", (ratio * 1e6).round() / 1e6)
}

/// What such values are divided by before they are plotted, so that ticks are round in the unit
/// that is written: KiB are written as MiB.
pub fn divisor(metric: &str) -> f64 {
    if is_size(metric) { 1024.0 } else { 1.0 }
}

fn is_size(metric: &str) -> bool {
    let unit = metric_named(metric).map_or("", |metric| metric.unit);
    unit == "KiB" && !metric.ends_with("slope")
}

/// The name of a metric for people: `mice p99`.
pub fn title(metric: &str) -> String {
    let title = metric_named(metric).map_or(metric, |metric| metric.title);
    match metric.rsplit_once('.') {
        Some((group, _)) if metric_named(metric).is_some() => format!("{group} {title}"),
        _ => title.to_owned(),
    }
}

/// The unit that its values do not carry with them.
pub fn unit(metric: &str) -> &'static str {
    match metric_named(metric) {
        Some(known) if known.name.starts_with("cpu") && known.unit == "us" => "µs",
        Some(known) if known.unit == "%" => "%",
        Some(known) if known.name == "cpu_gigabyte" => "s",
        _ => "",
    }
}

/// Which direction is good.
pub fn better(metric: &str) -> Better {
    metric_named(metric).map_or(Better::Neither, |metric| metric.better)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_room_for_their_unit() {
        let told = [
            value("throughput", 84_123.0),
            value("p99", 1950.0),
            value("canary.p99", 85.3),
            value("max", 2_100_000.0),
            value("cpu", 11.23),
            value("memory", 2048.0),
            value("virtual", 20.0 * 1024.0 * 1024.0),
            value("memory_slope", 31.24),
            value("p50", f64::NAN),
        ];
        let wanted = [
            "84.1k",
            "1.95 ms",
            "85.3 µs",
            "2.10 s",
            "11.2",
            "2.00 MiB",
            "20.5k MiB",
            "31.2",
        ];
        assert_eq!(told[..8], wanted);
    }

    #[test]
    fn what_is_round_is_written_so() {
        let texts = [10_000.0, 1_500.0, 100.0].map(|time| round("p99", time));
        assert_eq!(texts, ["10 ms", "1.5 ms", "100 µs"]);
        assert_eq!(round("throughput", 50_000.0), "50k");
        assert_eq!(round("cpu", 0.25), "0.25");
        assert_eq!(times(0.1 + 0.2), "0.3");
    }

    #[test]
    fn a_metric_has_its_group_before_it_and_its_unit_where_values_have_none() {
        assert_eq!(title("mice.p99"), "mice p99");
        assert_eq!(title("cpu"), "CPU/req");
        assert_eq!(title("what.ever"), "what.ever");
        let units = ["cpu", "cpu_gigabyte", "achieved", "p99", "memory_slope"].map(unit);
        assert_eq!(units, ["µs", "s", "%", "", ""]);
    }
}
