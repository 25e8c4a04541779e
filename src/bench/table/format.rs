//! Room `bench`: how is a number written so that it can be read at once, and a text broken?

use crate::bench::analysis::Estimate;
use crate::bench::metrics::metric_named;

/// A number of a metric, short: `84.1k`, `1.95ms`, `31.2`.
pub fn value(metric: &str, value: f64) -> String {
    match metric_named(metric).map_or("", |metric| metric.unit) {
        "us" if is_time(metric) => time(value),
        "/s" => thousands(value),
        "KiB" if !metric.ends_with("slope") => thousands(value / 1024.0) + "M",
        _ => thousands(value),
    }
}

/// Whether it is a time that somebody waits, and not one that is charged.
fn is_time(metric: &str) -> bool {
    !metric
        .rsplit('.')
        .next()
        .is_some_and(|name| name.starts_with("cpu"))
}

/// Microseconds.
fn time(value: f64) -> String {
    match value {
        short if short < 999.5 => format!("{}us", digits(short)),
        long if long < 999_500.0 => format!("{}ms", digits(long / 1e3)),
        longer => format!("{}s", digits(longer / 1e6)),
    }
}

/// With three digits, and a letter for thousands.
pub fn thousands(value: f64) -> String {
    match value.abs() {
        small if small < 1000.0 => digits(value),
        large if large < 999_500.0 => format!("{}k", digits(value / 1e3)),
        larger if larger < 999.5e6 => format!("{}M", digits(value / 1e6)),
        _ => format!("{value:.1e}"),
    }
}

/// Three digits, where there are not more before the point.
fn digits(value: f64) -> String {
    match value.abs() {
        size if size >= 99.95 => format!("{value:.0}"),
        size if size >= 9.995 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// `0.86 [0.83,0.89]`; the range of too few pairs is in round brackets.
pub fn estimate(ratio: &Estimate) -> String {
    let (middle, low, high) = (times(ratio.median), times(ratio.low), times(ratio.high));
    match (ratio.is_sure(), ratio.pairs) {
        (true, _) => format!("{middle} [{low},{high}]"),
        (false, 1) => middle,
        (false, _) => format!("{middle} ({low}-{high})"),
    }
}

/// The same with a digit more, for what should be 1.
pub fn finely(ratio: &Estimate) -> String {
    let Estimate {
        median, low, high, ..
    } = ratio;
    if !(0.5..2.0).contains(low) || !(0.5..2.0).contains(high) {
        return estimate(ratio);
    }
    match (ratio.is_sure(), ratio.pairs) {
        (true, _) => format!("{median:.3} [{low:.3},{high:.3}]"),
        (false, 1) => format!("{median:.3}"),
        (false, _) => format!("{median:.3} ({low:.3}-{high:.3})"),
    }
}

fn times(ratio: f64) -> String {
    match ratio {
        vast if vast >= 9999.5 => ">9999".to_owned(),
        nothing if nothing < 0.0005 => "0".to_owned(),
        small if small < 0.1 => format!("{small:.3}"),
        ratio => digits(ratio),
    }
}

/// A bar of at most `room` columns for a part of the whole, to an eighth of a column.
pub fn bar(part: f64, room: usize) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let part = if part.is_finite() {
        part.clamp(0.0, 1.0)
    } else {
        0.0
    };
    let room = u32::try_from(room).unwrap_or(0);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between 0 and eight times the room"
    )]
    let eighths = (part * f64::from(room * 8)).round() as usize;
    let rest = EIGHTHS.get(eighths % 8).copied().unwrap_or("");
    "█".repeat(eighths / 8) + rest
}

/// The text without what a terminal might obey.
pub fn plain(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect::<String>()
        .trim()
        .to_owned()
}

/// The text, cut to `room` columns.
pub fn cut(text: &str, room: usize) -> String {
    let text = plain(text);
    if text.chars().count() <= room {
        return text;
    }
    let kept: String = text.chars().take(room.saturating_sub(1)).collect();
    kept + "…"
}

/// The text in lines of at most `room` columns, broken between words where it can be.
pub fn wrapped(text: &str, room: usize) -> Vec<String> {
    let room = room.max(1);
    let mut lines: Vec<String> = Vec::new();
    let mut line = String::new();
    for word in text.split_whitespace() {
        let mut word: Vec<char> = word.chars().collect();
        let used = line.chars().count();
        if used > 0 && used + 1 + word.len() > room {
            lines.push(std::mem::take(&mut line));
        }
        while word.len() > room {
            let rest = word.split_off(room);
            lines.push(word.into_iter().collect());
            word = rest;
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.extend(word);
    }
    if !line.is_empty() {
        lines.push(line);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_are_short_and_have_their_unit() {
        let told = [
            value("throughput", 84_123.0),
            value("p99", 1950.0),
            value("canary.p99", 85.3),
            value("max", 2_100_000.0),
            value("cpu", 11.23),
            value("cpu_connection", 1500.0),
            value("switches", 0.113),
            value("memory", 2048.0),
            value("memory_slope", 31.24),
            value("nonsense", 5.0),
            value("throughput", 2.5e12),
        ];
        let expected = [
            "84.1k", "1.95ms", "85.3us", "2.10s", "11.2", "1.50k", "0.11", "2.00M", "31.2", "5.00",
            "2.5e12",
        ];
        assert_eq!(told, expected);
    }

    #[test]
    fn an_interval_is_in_square_brackets_and_a_range_in_round_ones() {
        let ratio = |median, low, high, pairs| {
            estimate(&Estimate {
                median,
                low,
                high,
                pairs,
            })
        };
        assert_eq!(ratio(0.86, 0.83, 0.894, 8), "0.86 [0.83,0.89]");
        assert_eq!(ratio(0.86, 0.83, 0.89, 3), "0.86 (0.83-0.89)");
        assert_eq!(ratio(0.86, 0.86, 0.86, 1), "0.86");
        assert_eq!(ratio(1e6, 120.0, 1e6, 8), ">9999 [120,>9999]");
        assert_eq!(ratio(0.0123, 1e-6, 0.05, 8), "0.012 [0,0.050]");
    }

    #[test]
    fn what_should_be_one_has_a_digit_more() {
        let ratio = |median, low, high, pairs| {
            finely(&Estimate {
                median,
                low,
                high,
                pairs,
            })
        };
        assert_eq!(ratio(1.0041, 0.991, 1.0174, 8), "1.004 [0.991,1.017]");
        assert_eq!(ratio(1.0041, 0.991, 1.0174, 3), "1.004 (0.991-1.017)");
        assert_eq!(ratio(1.0041, 1.0041, 1.0041, 1), "1.004");
        assert_eq!(ratio(4.0, 3.0, 5.0, 8), "4.00 [3.00,5.00]");
    }

    #[test]
    fn a_bar_is_as_long_as_its_part() {
        assert_eq!(bar(1.0, 4), "████");
        assert_eq!(bar(0.53, 4), "██▏");
        assert_eq!(bar(0.0, 4), "");
        assert_eq!(bar(f64::NAN, 4), "");
        assert_eq!(bar(7.0, 2), "██");
    }

    #[test]
    fn lines_are_broken_between_words() {
        assert_eq!(wrapped("one two three", 8), ["one two", "three"]);
        assert_eq!(wrapped("abcdefghij kl", 4), ["abcd", "efgh", "ij", "kl"]);
        assert_eq!(wrapped("  ", 4), [""; 0]);
    }

    #[test]
    fn what_is_too_long_is_cut_and_says_so() {
        assert_eq!(cut("sequential", 10), "sequential");
        assert_eq!(cut("sequential!", 10), "sequentia…");
    }

    proptest! {
        #[test]
        fn no_line_is_too_long(text in "\\PC{0,200}", room in 1_usize..40) {
            for line in wrapped(&text, room) {
                prop_assert!(line.chars().count() <= room, "{line}");
            }
        }

        #[test]
        fn any_number_can_be_written(number in any::<f64>()) {
            for metric in ["throughput", "p99", "memory", "cpu", "x"] {
                prop_assert!(!value(metric, number).is_empty());
            }
            bar(number, 9);
        }
    }
}
