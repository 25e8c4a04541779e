//! `oneloop bench URL`: one server that is already running, under the load of the generator.

use super::client;
use super::metrics::{self, Metrics};
use super::output::{thousands, value};
use super::runner::judge::in_words;
use super::runner::{USAGE, raise_descriptors, say};
use super::stats::{count, float, mean, variance};
use super::types::{
    Arrivals, Behavior, ClientStats, Group, HttpOptions, Load, Outcome, Page, Target, TlsOptions,
};
use super::{RunOptions, print_to_stdout};
use httparse::Status;
use std::error::Error;
use std::io::{self, IsTerminal};
use std::net::{Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

const SECOND: u64 = 1_000_000_000;
/// The longest warm-up, and the part of the duration that it is otherwise.
const WARM_UP: (u64, u64) = (SECOND, 10);
/// Limit for the responses that are outstanding after the measurement.
const DRAIN: u64 = 2 * SECOND;
/// Limit for the attempt to reach one address of a name.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// A time without any response, although one was due, that is reported, ns.
const SILENCE: f64 = 1e8;
/// Tenths of a second for a comparison of the two halves of a measurement.
const MIN_BUCKETS: usize = 20;
/// The halves differ if they do so by this many standard errors, and by this share.
const DISTINCT: (f64, f64) = (3.0, 0.03);
/// The times that are printed.
const TIMES: [&str; 4] = ["p50", "p90", "p99", "max"];

/// The parts of a URL.
#[derive(Debug, PartialEq, Eq)]
struct Url {
    is_tls: bool,
    /// The value of the Host field (RFC 9110, 7.2).
    authority: String,
    /// The host without brackets.
    host: String,
    port: u16,
    /// The path and the query, as in the request line.
    path: String,
    socket: Option<PathBuf>,
}

/// Whether the argument is a URL, and not a workload.
pub fn is_url(text: &str) -> bool {
    text.contains("://") || text.starts_with("unix:")
}

/// Measures the server at a URL, and prints the result. The exit code is 1 if there is no response,
/// or an error.
pub fn run(text: &str, asked: &RunOptions) -> Result<ExitCode, Box<dyn Error>> {
    let (url, mut load) = match prepare(text, asked) {
        Ok(prepared) => prepared,
        Err(error) => {
            say(&format!("oneloop bench: {text}: {error}"));
            return Ok(ExitCode::from(USAGE));
        }
    };
    if url.socket.is_none() {
        let (host, port) = (url.host.as_str(), url.port);
        let addresses = (host, port).to_socket_addrs();
        let addresses = addresses.map_err(|error| format!("{host} is not found ({error})"))?;
        let reached = first_reachable(addresses);
        let reached = reached.map_err(|why| format!("no address of {host} can be reached: {why}"));
        load.target = Target::Tcp(reached?);
    }
    raise_descriptors();
    let outcome = client::run(&load, io::stderr().is_terminal())?;
    let stats = outcome.groups.first().ok_or("the outcome has no group")?;
    let summary = Summary {
        url: text,
        load: &load,
        outcome: &outcome,
        stats,
        metrics: metrics::of_outcome(&load, &outcome, 1),
    };
    let text = match asked.json {
        true => format!("{}\n", summary.json()),
        false => summary.text(),
    };
    print_to_stdout(&text, stats.responses > 0 && stats.errors.is_empty())
}

/// The load of the options, on a target that is yet to be found; an error is one of the user.
fn prepare(text: &str, asked: &RunOptions) -> Result<(Url, Load), String> {
    let compares = [
        asked.quick || asked.full || asked.output.is_some(),
        asked.rounds.is_some() || asked.seconds.is_some() || !asked.conns.is_empty(),
        !asked.models.is_empty() || !asked.server.is_empty(),
    ];
    if compares.contains(&true) {
        return Err("the options of a comparison have no meaning for one server".to_owned());
    }
    if asked.workloads.len() > 1 {
        return Err("a URL stands alone".to_owned());
    }
    if let Some(field) = asked.header.iter().find(|field| !is_field(field)) {
        let field = field.escape_debug();
        return Err(format!("--header '{field}': it must be NAME: VALUE"));
    }
    let url = parse(text)?;
    if !url.is_tls && (asked.insecure || asked.ca.is_some()) {
        return Err("--ca and --insecure are for https://".to_owned());
    }
    let load = load(&url, asked);
    client::check(&load)?;
    Ok((url, load))
}

/// Parses a URL: `http://`, `https://`, or `unix:PATH` with an optional `:/path`.
fn parse(text: &str) -> Result<Url, String> {
    let text = text.split_once('#').map_or(text, |(before, _)| before);
    let (scheme, rest) = text
        .split_once("://")
        .or_else(|| text.split_once(':').filter(|(scheme, _)| *scheme == "unix"))
        .unwrap_or_default();
    let is_tls = scheme.eq_ignore_ascii_case("https");
    let is_socket = scheme == "unix";
    if !is_tls && !is_socket && !scheme.eq_ignore_ascii_case("http") {
        return Err("it must begin with http://, https:// or unix:".to_owned());
    }
    let at = match is_socket {
        true => rest.rfind(":/"),
        false => rest.find(['/', '?']),
    };
    let (place, path) = rest.split_at(at.unwrap_or(rest.len()));
    let path = path.trim_start_matches(':');
    let slash = if path.starts_with('/') { "" } else { "/" };
    let path = format!("{slash}{path}");
    // A port may be empty (RFC 3986, 3.2.3).
    let authority = place.strip_suffix(':').unwrap_or(place);
    let authority = if is_socket { "localhost" } else { authority };
    let mut bytes = authority.bytes().chain(path.bytes());
    if !bytes.all(|byte| byte.is_ascii_graphic()) {
        return Err("blanks and characters outside ASCII must be percent-encoded".to_owned());
    }
    let (host, port) = match authority.rsplit_once(':') {
        Some((_, port)) if port.starts_with('+') => return Err("the port has a sign".to_owned()),
        Some((host, port)) if !authority.ends_with(']') => {
            (host, port.parse().map_err(|_| "the port is not a number")?)
        }
        _ => (authority, if is_tls { 443 } else { 80 }),
    };
    if place.is_empty() || host.is_empty() || host.contains('@') {
        return Err("it has no host, or a user name".to_owned());
    }
    let in_brackets = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    let address = in_brackets.filter(|address| address.parse::<Ipv6Addr>().is_ok());
    if host.contains([':', '[', ']']) && address.is_none() {
        return Err("the host is no IPv6 address in brackets".to_owned());
    }
    Ok(Url {
        is_tls,
        authority: authority.to_owned(),
        host: address.unwrap_or(host).to_owned(),
        port,
        path,
        socket: is_socket.then(|| PathBuf::from(place)),
    })
}

/// The first address that accepts a connection.
fn first_reachable(addresses: impl Iterator<Item = SocketAddr>) -> Result<SocketAddr, String> {
    let mut reasons = Vec::new();
    for address in addresses {
        match TcpStream::connect_timeout(&address, CONNECT_TIMEOUT) {
            Ok(_) => return Ok(address),
            Err(error) => reasons.push(format!("{address}: {error}")),
        }
    }
    Err(reasons.join("; "))
}

/// Whether this can be in a request: one field (RFC 9110, 5.1 and 5.5); that of Host has no blanks.
fn is_field(field: &str) -> bool {
    let (text, mut fields) = (format!("{field}\r\n\r\n"), [httparse::EMPTY_HEADER]);
    match httparse::parse_headers(text.as_bytes(), &mut fields) {
        Ok(Status::Complete((length, [field]))) if length == text.len() => {
            let is_host = field.name.eq_ignore_ascii_case("host");
            !(is_host && field.value.trim_ascii().iter().any(u8::is_ascii_whitespace))
        }
        _ => false,
    }
}

/// The load on the server at a URL; the address of a host is yet to be found.
fn load(url: &Url, asked: &RunOptions) -> Load {
    let mut http = HttpOptions {
        host: url.authority.clone(),
        headers: Vec::new(),
        tls: url.is_tls.then(|| TlsOptions {
            server_name: url.host.clone(),
            ca: asked.ca.clone(),
            insecure: asked.insecure,
        }),
    };
    for field in &asked.header {
        match field.split_once(':') {
            Some((name, host)) if name.eq_ignore_ascii_case("host") => {
                http.host = host.trim().to_owned();
            }
            _ => http.headers.push(field.clone()),
        }
    }
    let group = Group {
        name: "main".to_owned(),
        connections: asked.connections.unwrap_or(64),
        behavior: match asked.rate {
            None => Behavior::Closed,
            Some(rate) => Behavior::Open {
                rate,
                arrivals: Arrivals::Constant,
                max_waiting: 100_000,
            },
        },
        page: Some(Page {
            path: url.path.clone(),
            status: 0,
            length: None,
            hash: None,
        }),
    };
    let measure = asked.duration.unwrap_or(Duration::from_secs(10));
    let measure = u64::try_from(measure.as_nanos()).unwrap_or(u64::MAX);
    Load {
        seed: asked.seed.unwrap_or(1),
        warm_up: WARM_UP.0.min(measure / WARM_UP.1),
        drain: DRAIN,
        http: Some(http),
        groups: vec![group],
        ..Load::new(
            Target::Unix(url.socket.clone().unwrap_or_default()),
            measure,
        )
    }
}

/// What is printed of an outcome.
struct Summary<'o> {
    url: &'o str,
    load: &'o Load,
    outcome: &'o Outcome,
    stats: &'o ClientStats,
    metrics: Metrics,
}

impl Summary<'_> {
    /// A metric; 0 if it was not measured.
    fn metric(&self, name: &str) -> f64 {
        self.metrics.get(name).copied().unwrap_or(0.0)
    }

    /// Connections that were made, and those beyond the number that was asked for.
    fn connections(&self) -> (u64, u64) {
        let all = self.stats.totals.connections;
        let asked = u64::from(self.stats.connections.0);
        (all.min(asked), all.saturating_sub(asked))
    }

    /// The requests per second that are due; `None` in a closed loop.
    fn rate(&self) -> Option<f64> {
        match self.load.groups.first()?.behavior {
            Behavior::Open { rate, .. } => Some(rate),
            _ => None,
        }
    }

    /// What a reader should know, as sentences.
    fn notes(&self) -> Vec<String> {
        let stats = self.stats;
        let mut notes = self.outcome.problems.clone();
        let ((_, reconnects), responses) = (self.connections(), stats.totals.responses);
        if reconnects * 10 >= responses * 9 && reconnects > 0 && responses > 0 {
            notes.push("the server closed the connection after each response".to_owned());
        }
        // At a low rate no response is due for longer.
        let interval = self.rate().map_or(0.0, |rate| 1e9 / rate);
        if float(stats.silence) >= SILENCE + interval {
            let silence = stats.silence / 1_000_000;
            notes.push(format!("no correct response came for {silence} ms"));
        }
        if let Some(starved @ 1.0..) = self.metrics.get("starved") {
            notes.push(format!("{starved} connections had no correct response"));
        }
        if let dropped @ 1.. = stats.dropped {
            let note = "requests were not sent: too many were waiting";
            notes.push(format!("{dropped} {note}"));
        }
        if let Some((ratio, true)) = halves(stats) {
            notes.push(format!(
                "the second half had {ratio:.2} times the value of the first: server or machine \
                 was not steady"
            ));
        }
        let is_redirect = |status: &u16| (300..400).contains(status) && *status != 304;
        if stats.statuses.keys().any(is_redirect) {
            notes.push("redirects are counted, and not followed".to_owned());
        }
        notes
    }

    fn text(&self) -> String {
        let (stats, asked) = (self.stats, self.stats.connections.0);
        let how = match self.rate() {
            Some(rate) => format!("{rate} requests per second are due"),
            None => "closed loop".to_owned(),
        };
        let requests = format!(
            "{:.0} per second, {} MB/s of bodies, {} responses",
            self.metric("throughput"),
            thousands(1e3 * self.metric("bandwidth")),
            stats.responses
        );
        let mut times = Vec::new();
        for name in TIMES {
            let time = self.metrics.get(name);
            times.extend(time.map(|time| format!("{name} {}", value("p50", *time))));
        }
        let statuses = stats.statuses.iter();
        let statuses = statuses.map(|(status, number)| format!("{number} of {status}"));
        let errors = Some(in_words(&stats.errors)).filter(|errors| !errors.is_empty());
        let (made, reconnects) = self.connections();
        let connections = format!("{made} of {asked} made, {reconnects} reconnects");
        let halves = match halves(stats) {
            None => String::new(),
            Some((ratio, true)) => format!("second / first {ratio:.3}: they differ"),
            Some((ratio, _)) => format!("second / first {ratio:.3}: no difference shown"),
        };
        let (url, seconds) = (self.url, float(self.outcome.measured) / 1e9);
        let mut text = format!("{url}: {asked} connections, {seconds:.1} seconds, {how}\n");
        for (name, row) in [
            ("requests", requests),
            ("times", times.join("  ")),
            ("statuses", Vec::from_iter(statuses).join(", ")),
            ("errors", errors.unwrap_or_else(|| "none".to_owned())),
            ("connections", connections),
            ("halves", halves),
        ] {
            if !row.is_empty() {
                text += &format!("  {name:<13}{row}\n");
            }
        }
        for note in self.notes() {
            text += &format!("  ! {note}\n");
        }
        text
    }

    fn json(&self) -> serde_json::Value {
        let (stats, (made, reconnects)) = (self.stats, self.connections());
        let mut times = self.metrics.clone();
        times.retain(|name, _| TIMES.contains(&name.as_str()));
        serde_json::json!({
            "url": self.url,
            "seconds": float(self.outcome.measured) / 1e9,
            "responses": stats.responses,
            "requests_per_second": self.metric("throughput"),
            "body_bytes": stats.body_bytes,
            "response_time_us": times,
            "statuses": stats.statuses,
            "errors": stats.errors,
            "connections": made,
            "reconnects": reconnects,
            "silence_ms": stats.silence / 1_000_000,
            "totals": stats.totals,
            "due": stats.due,
            "dropped": stats.dropped,
            "second_half": halves(stats).map(|(ratio, _)| ratio),
            "halves_differ": halves(stats).map(|(_, differ)| differ),
            "notes": self.notes(),
        })
    }
}

/// A/A of one measurement: the second half, compared with the first. Of a closed loop the rates, of
/// an open loop, whose rate is given, the longest times of each tenth of a second.
fn halves(stats: &ClientStats) -> Option<(f64, bool)> {
    let values = stats.time_series.iter().map(|bucket| match stats.due {
        0 => float(bucket.responses),
        _ => float(bucket.longest),
    });
    let values: Vec<f64> = values.collect();
    let (first, second) = values.split_at_checked(values.len() / 2)?;
    let (a, b) = (mean(first)?, mean(second)?);
    let error = |half: &[f64]| Some(variance(half)? / count(half));
    let distance = (b - a).abs() / (error(first)? + error(second)?).sqrt();
    let differ = distance > DISTINCT.0 && (b / a - 1.0).abs() > DISTINCT.1;
    (values.len() >= MIN_BUCKETS && a > 0.0).then_some((b / a, differ))
}

/// Parses `10s`, `500ms`, `2m` or `10`, which is in seconds.
pub fn duration(text: &str) -> Result<Duration, String> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.');
    let (number, unit) = text
        .split_at_checked(end.unwrap_or(text.len()))
        .unwrap_or_default();
    let scale = match unit {
        "" | "s" => 1.0,
        "ms" => 1e-3,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err("the unit is none of ms, s, m and h".to_owned()),
    };
    let number: f64 = number.parse().map_err(|_| "it is no number".to_owned())?;
    match number * scale {
        seconds @ 0.05..=86_400.0 => Ok(Duration::from_secs_f64(seconds)),
        _ => Err("from 50 ms to a day are possible".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::types::Bucket;

    #[test]
    fn a_url_is_parsed() {
        for (text, parts) in [
            ("http://127.0.0.1:8080", "127.0.0.1:8080 127.0.0.1 8080 /"),
            (
                "http://example.com/a/b?c=d#e",
                "example.com example.com 80 /a/b?c=d",
            ),
            ("https://[::1]:81/x", "[::1]:81 ::1 81 /x"),
            ("https://[::1]", "[::1] ::1 443 /"),
            ("http://a:8080?q", "a:8080 a 8080 /?q"),
            ("HTTPS://a:/", "a a 443 /"),
            ("http://a//b", "a a 80 //b"),
            ("unix:b:/x?y", "localhost localhost 80 /x?y"),
        ] {
            let url = parse(text).unwrap();
            let found = format!("{} {} {} {}", url.authority, url.host, url.port, url.path);
            assert_eq!(found, parts, "{text}");
        }
        let socket = |text| parse(text).unwrap().socket;
        assert_eq!(socket("unix:/a/b"), Some(PathBuf::from("/a/b")));
        assert_eq!(socket("unix:b:/x?y"), Some(PathBuf::from("b")));
        for text in [
            "ftp://a",
            "a:80",
            "http://a/b c",
            "http:///x",
            "http://a@b",
            "http://a:x/",
            "http://a:+80/",
            "http://:80/",
            "http://[::1",
            "http://[a]/",
            "http://::1/",
            "http://a b/",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_field_is_a_token_and_a_value_without_control_characters() {
        let good = ["X-One:1", "x: a\tb", "Empty:", "Host: a:80", "x: \u{e9}"];
        assert!(good.into_iter().all(is_field));
        let names = ["x", ": x", "a(b: c", "a b: c"];
        let values = ["x: a\u{1}b", "x: a\r\nb: c", "Host: a b"];
        assert!(!names.into_iter().chain(values).any(is_field));
    }

    #[test]
    fn a_time_without_responses_is_reported_if_one_was_due() {
        let arguments = ["bench", "http://a"];
        let mut asked = <crate::bench::Arguments as clap::Parser>::parse_from(arguments).run;
        for (milliseconds, rate, notes) in [
            (99, None, 0),
            (100, None, 1),
            (299, Some(5.0), 0),
            (300, Some(5.0), 1),
        ] {
            asked.rate = rate;
            let stats = ClientStats {
                silence: milliseconds * 1_000_000,
                ..ClientStats::default()
            };
            let summary = Summary {
                url: "http://a",
                load: &load(&parse("http://a").unwrap(), &asked),
                outcome: &Outcome::default(),
                stats: &stats,
                metrics: Metrics::default(),
            };
            assert_eq!(summary.notes().len(), notes, "{milliseconds}");
        }
    }

    #[test]
    fn all_addresses_of_a_name_are_tried() {
        let bind = || std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let listener = bind();
        let (closed, open) = (bind().local_addr().unwrap(), listener.local_addr().unwrap());
        assert_eq!(first_reachable([closed, open].into_iter()), Ok(open));
        let error = first_reachable([closed].into_iter()).unwrap_err();
        assert!(error.contains("refused"), "{error}");
    }

    #[test]
    fn a_duration_has_a_unit_or_is_in_seconds() {
        let of = |text: &str| duration(text).map(|time| time.as_millis());
        let found = ["10s", "500ms", "2m", "1.5"].map(of);
        assert_eq!(found, [Ok(10_000), Ok(500), Ok(120_000), Ok(1500)]);
        assert!(
            ["", "10x", "0", "s", "25h"]
                .iter()
                .all(|text| of(text).is_err())
        );
    }

    #[test]
    fn the_halves_differ_only_by_more_than_their_noise() {
        let with = |second: u64| {
            let responses = (0..40).map(|n| 1000 + n % 7 * 10 + if n < 20 { 0 } else { second });
            let bucket = |responses| Bucket {
                responses,
                longest: 1,
            };
            halves(&ClientStats {
                time_series: responses.map(bucket).collect(),
                ..ClientStats::default()
            })
        };
        let (same, faster) = (with(5).unwrap(), with(100).unwrap());
        assert!(!same.1 && faster.1 && (faster.0 - 1.1).abs() < 0.01);
        assert_eq!(halves(&ClientStats::default()), None);
    }
}
