//! `oneloop bench URL`: one server that is already running, under the load of the generator.

use super::client;
use super::output::{thousands, value};
use super::runner::derive::in_words;
use super::runner::{USAGE, raise_descriptors, say};
use super::stats::{decode, float, mean, variance};
use super::types::{
    Arrivals, Behavior, ClientStats, Group, HttpOptions, Load, Outcome, Page, Target, TlsOptions,
};
use super::{RunOptions, print_to_stdout};
use std::error::Error;
use std::io::{self, IsTerminal, Write};
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
        load.target = Target::Tcp(reachable(&url.host, url.port)?);
    }
    raise_descriptors();
    let outcome = client::run(&load, io::stderr().is_terminal())?;
    let stats = outcome.groups.first().ok_or("the outcome has no group")?;
    let summary = Summary::of(&outcome, stats, asked.rate);
    print_to_stdout(|to| {
        match asked.json {
            true => writeln!(to, "{}", summary.json(text, stats))?,
            false => summary.print(to, text, &load, stats)?,
        }
        let is_good = stats.responses > 0 && stats.errors.is_empty();
        Ok(ExitCode::from(u8::from(!is_good)))
    })
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
    let (is_tls, rest) = match text.split_once("://") {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => (false, rest),
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => (true, rest),
        _ => match text.strip_prefix("unix:") {
            Some(rest) => (false, rest),
            None => return Err("it must begin with http://, https:// or unix:".to_owned()),
        },
    };
    let rest = rest.split_once('#').map_or(rest, |(before, _)| before);
    let is_socket = text.starts_with("unix:");
    let at = match is_socket {
        true => rest.rfind(":/").unwrap_or(rest.len()),
        false => rest.find(['/', '?']).unwrap_or(rest.len()),
    };
    let (place, path) = rest.split_at_checked(at).unwrap_or((rest, ""));
    let path = path.trim_start_matches(':');
    let path = if path.starts_with('/') {
        path.to_owned()
    } else {
        format!("/{path}")
    };
    let authority = if is_socket { "localhost" } else { place };
    let mut bytes = authority.bytes().chain(path.bytes());
    if !bytes.all(|byte| byte.is_ascii_graphic()) {
        return Err("blanks and characters outside ASCII must be percent-encoded".to_owned());
    }
    // A port may be empty (RFC 3986, 3.2.3).
    let authority = authority.strip_suffix(':').unwrap_or(authority);
    let socket = is_socket.then(|| PathBuf::from(place));
    let has_port = !authority.ends_with(']');
    let (host, port) = match authority.rsplit_once(':').filter(|_| has_port) {
        Some((_, port)) if port.starts_with('+') => return Err("the port has a sign".to_owned()),
        Some((host, port)) => (host, port.parse().map_err(|_| "the port is not a number")?),
        None => (authority, if is_tls { 443 } else { 80 }),
    };
    if place.is_empty() || host.is_empty() || host.contains('@') {
        return Err("it has no host, or a user name".to_owned());
    }
    let address = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    let is_address = address.is_some_and(|address| address.parse::<Ipv6Addr>().is_ok());
    if host.contains([':', '[', ']']) && !is_address {
        return Err("the host is no IPv6 address in brackets".to_owned());
    }
    let host = address.unwrap_or(host).to_owned();
    let authority = authority.to_owned();
    Ok(Url {
        is_tls,
        authority,
        host,
        port,
        path,
        socket,
    })
}

/// The first address of a name that accepts a connection.
fn reachable(host: &str, port: u16) -> Result<SocketAddr, String> {
    let found = (host, port).to_socket_addrs();
    let found = found.map_err(|error| format!("{host} is not found ({error})"))?;
    first_reachable(found).map_err(|why| format!("no address of {host} can be reached: {why}"))
}

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
        asked.quick || asked.full || asked.unpinned || asked.output.is_some(),
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
    let is_host = |header: &&String| header.to_ascii_lowercase().starts_with("host:");
    let tls = url.is_tls.then(|| TlsOptions {
        server_name: url.host.clone(),
        ca: asked.ca.clone(),
        insecure: asked.insecure,
    });
    let host = match asked
        .header
        .iter()
        .find(is_host)
        .and_then(|header| header.split_once(':'))
    {
        Some((_, host)) => host.trim().to_owned(),
        None => url.authority.clone(),
    };
    let headers = asked
        .header
        .iter()
        .filter(|header| !is_host(header))
        .cloned()
        .collect();
    let measure = asked.duration.map_or(10 * SECOND, |time| {
        u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
    });
    let behavior = match asked.rate {
        None => Behavior::Closed { depth: 1 },
        Some(rate) => Behavior::Open {
            rate,
            arrivals: Arrivals::Constant,
            max_waiting: 100_000,
        },
    };
    let page = Page {
        path: url.path.clone(),
        status: 0,
        length: None,
        hash: None,
    };
    let group = Group {
        name: "main".to_owned(),
        connections: asked.connections.unwrap_or(64),
        behavior,
        pages: vec![page],
    };
    Load {
        target: Target::Unix(url.socket.clone().unwrap_or_default()),
        source: None,
        server: None,
        cpu: None,
        seed: asked.seed.unwrap_or(1),
        warm_up: WARM_UP.0.min(measure / WARM_UP.1),
        measure,
        drain: DRAIN,
        stall: None,
        http: Some(HttpOptions { host, headers, tls }),
        groups: vec![group],
    }
}

/// What is printed of an outcome.
struct Summary {
    seconds: f64,
    /// The percentiles of the response time, by name, microseconds.
    times: [(&'static str, Option<f64>); 4],
    /// Connections that were made, and those beyond the number that was asked for.
    made: u64,
    reconnects: u64,
    /// Second half / first half, and whether that is more than chance.
    halves: Option<(f64, bool)>,
    /// What a reader should know, as sentences.
    notes: Vec<String>,
}

impl Summary {
    /// `rate`: requests per second that were due, in an open loop.
    fn of(outcome: &Outcome, stats: &ClientStats, rate: Option<f64>) -> Self {
        let times = decode(&stats.response_time)
            .ok()
            .filter(|times| !times.is_empty());
        let at = |part: f64| Some(float(times.as_ref()?.value_at_quantile(part)) / 1e3);
        let times = [
            ("p50", at(0.5)),
            ("p90", at(0.9)),
            ("p99", at(0.99)),
            ("max", at(1.0)),
        ];
        let (asked, all) = (u64::from(stats.connections.0), stats.totals.connections);
        let (made, reconnects) = (all.min(asked), all.saturating_sub(asked));
        let halves = halves(stats);
        let mut notes = outcome.problems.clone();
        let responses = stats.totals.responses;
        if reconnects * 10 >= responses * 9 && reconnects > 0 && responses > 0 {
            notes.push("the server closed the connection after each response".to_owned());
        }
        // At a low rate no response is due for longer.
        let interval = rate.map_or(0.0, |rate| 1e9 / rate);
        if float(stats.silence) >= SILENCE + interval {
            notes.push(format!(
                "no correct response came for {} ms",
                stats.silence / 1_000_000
            ));
        }
        let starved = stats.shares.iter().filter(|share| **share == 0).count();
        if starved > 0 && stats.due == 0 {
            notes.push(format!("{starved} connections had no correct response"));
        }
        if stats.dropped > 0 {
            notes.push(format!(
                "{} requests were not sent: too many were waiting",
                stats.dropped
            ));
        }
        if let Some((ratio, true)) = halves {
            notes.push(format!(
                "the second half had {ratio:.2} times the value of the first: server or machine \
                 was not steady"
            ));
        }
        if stats
            .statuses
            .keys()
            .any(|status| (300..400).contains(status) && *status != 304)
        {
            notes.push("redirects are counted, and not followed".to_owned());
        }
        Self {
            seconds: float(outcome.measured) / 1e9,
            times,
            made,
            reconnects,
            halves,
            notes,
        }
    }

    fn print(
        &self,
        to: &mut dyn Write,
        url: &str,
        load: &Load,
        stats: &ClientStats,
    ) -> io::Result<()> {
        let per_second = |number: u64| float(number) / self.seconds.max(1e-9);
        let (asked, made) = (stats.connections.0, self.made);
        let how = match load.groups.first().map(|group| group.behavior) {
            Some(Behavior::Open { rate, .. }) => format!("{rate} requests per second are due"),
            _ => "closed loop".to_owned(),
        };
        writeln!(
            to,
            "{url}: {asked} connections, {:.1} seconds, {how}",
            self.seconds
        )?;
        writeln!(
            to,
            "  requests     {:.0} per second, {} MB/s of bodies, {} responses",
            per_second(stats.responses),
            thousands(per_second(stats.body_bytes) / 1e6),
            stats.responses
        )?;
        let time =
            |(name, time): &(&str, Option<f64>)| Some(format!("{name} {}", value("p50", (*time)?)));
        let times: Vec<String> = self.times.iter().filter_map(time).collect();
        writeln!(to, "  times        {}", times.join("  "))?;
        let statuses = stats
            .statuses
            .iter()
            .map(|(status, number)| format!("{number} of {status}"));
        writeln!(
            to,
            "  statuses     {}",
            statuses.collect::<Vec<_>>().join(", ")
        )?;
        let errors = stats
            .errors
            .iter()
            .map(|(fault, number)| in_words(*fault, *number));
        let errors: Vec<String> = errors.collect();
        let errors = if errors.is_empty() {
            "none".to_owned()
        } else {
            errors.join(", ")
        };
        writeln!(to, "  errors       {errors}")?;
        writeln!(
            to,
            "  connections  {made} of {asked} made, {} reconnects",
            self.reconnects
        )?;
        if let Some((ratio, differ)) = self.halves {
            let word = if differ {
                "they differ"
            } else {
                "no difference shown"
            };
            writeln!(to, "  halves       second / first {ratio:.3}: {word}")?;
        }
        for note in &self.notes {
            writeln!(to, "  ! {note}")?;
        }
        Ok(())
    }

    fn json(&self, url: &str, stats: &ClientStats) -> serde_json::Value {
        let times: serde_json::Map<String, serde_json::Value> = self
            .times
            .iter()
            .map(|(name, time)| ((*name).to_owned(), (*time).into()))
            .collect();
        serde_json::json!({
            "url": url,
            "seconds": self.seconds,
            "responses": stats.responses,
            "requests_per_second": float(stats.responses) / self.seconds.max(1e-9),
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
    let error = |half: &[f64]| Some(variance(half)? / float(half.len() as u64));
    let distance = (b - a).abs() / (error(first)? + error(second)?).sqrt();
    let differ = distance > DISTINCT.0 && (b / a - 1.0).abs() > DISTINCT.1;
    (values.len() >= MIN_BUCKETS && a > 0.0).then_some((b / a, differ))
}

/// Parses `10s`, `500ms`, `2m` or `10`, which is in seconds.
pub fn duration(text: &str) -> Result<Duration, String> {
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(end).unwrap_or((text, ""));
    let scale = match unit {
        "" | "s" => 1.0,
        "ms" => 1e-3,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err("the unit is none of ms, s, m and h".to_owned()),
    };
    let seconds = number
        .parse::<f64>()
        .map_err(|_| "it is no number".to_owned())?
        * scale;
    match (0.05..=86_400.0).contains(&seconds) {
        true => Ok(Duration::from_secs_f64(seconds)),
        false => Err("from 50 ms to a day are possible".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::types::Bucket;

    #[test]
    fn a_url_is_parsed() {
        let table = [
            (
                "http://127.0.0.1:8080",
                ("127.0.0.1", 8080),
                "/",
                "127.0.0.1:8080",
            ),
            (
                "http://example.com/a/b?c=d#e",
                ("example.com", 80),
                "/a/b?c=d",
                "example.com",
            ),
            ("https://[::1]:81/x", ("::1", 81), "/x", "[::1]:81"),
            ("https://[::1]", ("::1", 443), "/", "[::1]"),
            ("http://a:8080?q", ("a", 8080), "/?q", "a:8080"),
            ("HTTPS://a:/", ("a", 443), "/", "a"),
        ];
        for (text, place, path, authority) in table {
            let url = parse(text).unwrap();
            let found = (
                (url.host.as_str(), url.port),
                url.path.as_str(),
                url.authority.as_str(),
            );
            assert_eq!(found, (place, path, authority), "{text}");
        }
        for (text, file, path) in [("unix:/a/b", "/a/b", "/"), ("unix:b:/x?y", "b", "/x?y")] {
            let url = parse(text).unwrap();
            let found = (url.socket, url.path.as_str());
            assert_eq!(found, (Some(PathBuf::from(file)), path));
        }
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
        for bad in [
            "x",
            ": x",
            "a(b: c",
            "a b: c",
            "x: a\u{1}b",
            "x: a\r\nb: c",
            "Host: a b",
        ] {
            assert!(!is_field(bad), "{bad:?}");
        }
    }

    #[test]
    fn a_time_without_responses_is_reported_if_one_was_due() {
        let is_reported = |silence: u64, rate| {
            let stats = ClientStats {
                silence: silence * 1_000_000,
                ..ClientStats::default()
            };
            let outcome = Outcome::default();
            !Summary::of(&outcome, &stats, rate).notes.is_empty()
        };
        assert!(is_reported(100, None) && is_reported(300, Some(5.0)));
        assert!(!is_reported(99, None) && !is_reported(299, Some(5.0)));
    }

    #[test]
    fn all_addresses_of_a_name_are_tried() {
        let bind = || std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let open = bind();
        let (closed, open) = (
            bind().local_addr().unwrap(),
            open.local_addr().map(|at| (at, open)),
        );
        let (address, _listener) = open.unwrap();
        assert_eq!(first_reachable([closed, address].into_iter()), Ok(address));
        assert!(
            first_reachable([closed].into_iter())
                .unwrap_err()
                .contains("refused")
        );
    }

    #[test]
    fn a_duration_has_a_unit_or_is_in_seconds() {
        let of = |text: &str| duration(text).map(|time| time.as_millis());
        assert_eq!(
            ["10s", "500ms", "2m", "1.5"].map(of),
            [Ok(10_000), Ok(500), Ok(120_000), Ok(1500)]
        );
        assert!(
            ["", "10x", "0", "s", "25h"]
                .into_iter()
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
            let time_series = responses.map(bucket).collect();
            halves(&ClientStats {
                time_series,
                ..ClientStats::default()
            })
            .unwrap()
        };
        assert!(!with(5).1 && with(100).1);
        assert!((with(100).0 - 1.1).abs() < 0.01);
        assert_eq!(halves(&ClientStats::default()), None);
    }
}
