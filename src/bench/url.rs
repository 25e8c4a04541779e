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
    let summary = Summary::of(&load, &outcome, stats);
    let text = match asked.json {
        true => format!("{}\n", summary.json(text)),
        false => summary.text(text, asked.rate),
    };
    print_to_stdout(&text, stats.responses > 0 && stats.errors.is_empty())
}

/// The load of the options, on a target that is yet to be found; an error is one of the user.
fn prepare(text: &str, asked: &RunOptions) -> Result<(Url, Load), String> {
    check(asked)?;
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
    let (place, path) = rest
        .split_at_checked(at.unwrap_or(rest.len()))
        .unwrap_or_default();
    let path = path.strip_prefix(':').unwrap_or(path);
    let path = match path.starts_with('/') {
        true => path.to_owned(),
        false => format!("/{path}"),
    };
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

/// Whether the options are for one server, and the fields can be sent.
fn check(asked: &RunOptions) -> Result<(), String> {
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
    match asked.header.iter().find(|field| !is_field(field)) {
        Some(field) => Err(format!(
            "--header '{}': it must be NAME: VALUE",
            field.escape_debug()
        )),
        None => Ok(()),
    }
}

/// Whether this can be in a request: a token, a colon, and a value without control characters
/// (RFC 9110, 5.1 and 5.5), which in a Host field has no blanks.
fn is_field(field: &str) -> bool {
    let (name, value) = field.split_once(':').unwrap_or_default();
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    let is_text = |byte: u8| !byte.is_ascii_control() || byte == b'\t';
    let is_host = name.eq_ignore_ascii_case("host");
    !name.is_empty()
        && name.bytes().all(is_token)
        && value.bytes().all(is_text)
        && !(is_host && value.trim().contains([' ', '\t']))
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
    stats: &'o ClientStats,
    seconds: f64,
    metrics: Metrics,
    /// Connections that were made, and those beyond the number that was asked for.
    made: u64,
    reconnects: u64,
    /// Second half / first half, and whether that is more than chance.
    halves: Option<(f64, bool)>,
    /// What a reader should know, as sentences.
    notes: Vec<String>,
}

impl<'o> Summary<'o> {
    fn of(load: &Load, outcome: &Outcome, stats: &'o ClientStats) -> Self {
        let (asked, all) = (u64::from(stats.connections.0), stats.totals.connections);
        let mut summary = Self {
            stats,
            seconds: float(outcome.measured) / 1e9,
            metrics: metrics::of_outcome(load, outcome, 1),
            made: all.min(asked),
            reconnects: all.saturating_sub(asked),
            halves: halves(stats),
            notes: outcome.problems.clone(),
        };
        summary.add_notes(load);
        summary
    }

    fn add_notes(&mut self, load: &Load) {
        let mut add = |is_so: bool, note: String| self.notes.extend(is_so.then_some(note));
        let (stats, responses) = (self.stats, self.stats.totals.responses);
        let always = self.reconnects * 10 >= responses * 9 && self.reconnects > 0 && responses > 0;
        add(
            always,
            "the server closed the connection after each response".to_owned(),
        );
        // At a low rate no response is due for longer.
        let interval = match load.groups.first().map(|group| group.behavior) {
            Some(Behavior::Open { rate, .. }) => 1e9 / rate,
            _ => 0.0,
        };
        let silence = format!(
            "no correct response came for {} ms",
            stats.silence / 1_000_000
        );
        add(float(stats.silence) >= SILENCE + interval, silence);
        let starved = self.metrics.get("starved").copied().unwrap_or(0.0);
        add(
            starved > 0.0,
            format!("{starved} connections had no correct response"),
        );
        let dropped = format!(
            "{} requests were not sent: too many were waiting",
            stats.dropped
        );
        add(stats.dropped > 0, dropped);
        let (ratio, differ) = self.halves.unwrap_or_default();
        let halves = format!(
            "the second half had {ratio:.2} times the value of the first: server or machine was \
             not steady"
        );
        add(differ, halves);
        let is_redirect = |status: &u16| (300..400).contains(status) && *status != 304;
        let redirects = stats.statuses.keys().any(is_redirect);
        add(
            redirects,
            "redirects are counted, and not followed".to_owned(),
        );
    }

    /// A metric; 0 if it was not measured.
    fn metric(&self, name: &str) -> f64 {
        self.metrics.get(name).copied().unwrap_or(0.0)
    }

    fn text(&self, url: &str, rate: Option<f64>) -> String {
        let (stats, asked) = (self.stats, self.stats.connections.0);
        let how = match rate {
            Some(rate) => format!("{rate} requests per second are due"),
            None => "closed loop".to_owned(),
        };
        let requests = format!(
            "{:.0} per second, {} MB/s of bodies, {} responses",
            self.metric("throughput"),
            thousands(1e3 * self.metric("bandwidth")),
            stats.responses
        );
        let times = TIMES
            .iter()
            .filter_map(|name| Some((name, *self.metrics.get(*name)?)));
        let times = times.map(|(name, time)| format!("{name} {}", value("p50", time)));
        let statuses = stats.statuses.iter();
        let statuses = statuses.map(|(status, number)| format!("{number} of {status}"));
        let errors = Some(in_words(&stats.errors)).filter(|errors| !errors.is_empty());
        let (made, reconnects) = (self.made, self.reconnects);
        let halves = self.halves.map_or_else(String::new, |(ratio, differ)| {
            let word = if differ {
                "they differ"
            } else {
                "no difference shown"
            };
            format!("second / first {ratio:.3}: {word}")
        });
        let rows = [
            ("requests", requests),
            ("times", Vec::from_iter(times).join("  ")),
            ("statuses", Vec::from_iter(statuses).join(", ")),
            ("errors", errors.unwrap_or_else(|| "none".to_owned())),
            (
                "connections",
                format!("{made} of {asked} made, {reconnects} reconnects"),
            ),
            ("halves", halves),
        ];
        let mut text = format!(
            "{url}: {asked} connections, {:.1} seconds, {how}\n",
            self.seconds
        );
        for (name, row) in rows.iter().filter(|(_, row)| !row.is_empty()) {
            text += &format!("  {name:<13}{row}\n");
        }
        for note in &self.notes {
            text += &format!("  ! {note}\n");
        }
        text
    }

    fn json(&self, url: &str) -> serde_json::Value {
        let stats = self.stats;
        let time = |name: &str| (name.to_owned(), self.metrics.get(name).copied().into());
        let times: serde_json::Map<_, _> = TIMES.into_iter().map(time).collect();
        serde_json::json!({
            "url": url,
            "seconds": self.seconds,
            "responses": stats.responses,
            "requests_per_second": self.metric("throughput"),
            "body_bytes": stats.body_bytes,
            "response_time_us": times,
            "statuses": stats.statuses,
            "errors": stats.errors,
            "connections": self.made,
            "reconnects": self.reconnects,
            "silence_ms": stats.silence / 1_000_000,
            "totals": stats.totals,
            "due": stats.due,
            "dropped": stats.dropped,
            "second_half": self.halves.map(|(ratio, _)| ratio),
            "halves_differ": self.halves.map(|(_, differ)| differ),
            "notes": self.notes,
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
        for (milliseconds, rate, is_reported) in [
            (99, None, false),
            (100, None, true),
            (299, Some(5.0), false),
            (300, Some(5.0), true),
        ] {
            let stats = ClientStats {
                silence: milliseconds * 1_000_000,
                ..ClientStats::default()
            };
            let arguments = ["bench", "http://a"];
            let mut asked = <crate::bench::Arguments as clap::Parser>::parse_from(arguments).run;
            asked.rate = rate;
            let load = load(&parse("http://a").unwrap(), &asked);
            let summary = Summary::of(&load, &Outcome::default(), &stats);
            assert_eq!(!summary.notes.is_empty(), is_reported, "{milliseconds}");
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
