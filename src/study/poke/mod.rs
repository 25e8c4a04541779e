//! `oneloop poke`: sends a script of bytes to a server, and prints what comes and when.

mod client;
mod script;
mod stream;
mod tls;
mod transcript;

use clap::{ArgAction, Parser};
use client::Plan;
use script::{Piece, Script, duration};
use std::error::Error;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::process::ExitCode;
use std::time::Duration;
use transcript::Transcript;

/// Send bytes to a server, and print what comes back and when
///
/// Each PIECE is text to send, or a pause such as 500ms. The escapes \r \n \t \0
/// \\ \xNN stand for bytes. Afterwards the connection stays open until the
/// server closes it, or sends nothing for a second.
///
///   oneloop poke 'GET / HT' 500ms 'TP/1.1\r\nHost: test\r\n\r\n'
///   oneloop poke --split 1 'GET / HTTP/1.1\r\nHost: test\r\n\r\n'
///   oneloop poke --connections 1000 --hold 60s
#[derive(Debug, Parser)]
#[command(
    name = "poke",
    verbatim_doc_comment,
    disable_help_flag = true,
    max_term_width = 80
)]
pub struct Arguments {
    /// Text to send, or a pause (us, ms, s)
    #[arg(value_name = "PIECE")]
    pieces: Vec<Piece>,

    /// The server
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:7890")]
    to: String,

    /// Speak TLS, with the name of --to or this one (SNI); the certificate is not checked
    #[arg(long, value_name = "NAME", num_args = 0..=1, require_equals = true)]
    tls: Option<Option<String>>,

    /// Cut the text into writes of at most N bytes, a millisecond apart
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    split: Option<u32>,

    /// The connection's receive buffer (SO_RCVBUF); the kernel doubles the value
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u32).range(1..))]
    rcvbuf: Option<u32>,

    /// Read no faster than this, per second
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u32).range(1..))]
    read_rate: Option<u32>,

    /// Close our direction after the last piece
    #[arg(long, conflicts_with = "rst")]
    half_close: bool,

    /// Reset the connection after the last piece
    #[arg(long, conflicts_with = "hold")]
    rst: bool,

    /// How many connections do the same at once
    #[arg(long, visible_alias = "conns", value_name = "N", default_value_t = 1,
        value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    connections: u32,

    /// Stay open for so long after the last piece, even if something comes
    #[arg(long, value_name = "TIME", value_parser = duration)]
    hold: Option<Duration>,

    /// Print at most this many bytes of each read and write; 0 counts the reads
    #[arg(long, value_name = "BYTES", default_value_t = 2000)]
    show: usize,

    /// Print help; -h is the short one
    #[arg(short, long, action = ArgAction::Help)]
    help: Option<bool>,
}

/// Runs the script. The exit code is 1 if a connection failed.
///
/// # Errors
/// `--to` is not an address, or a socket cannot be created.
pub fn run(arguments: &Arguments) -> Result<ExitCode, Box<dyn Error>> {
    let address = resolve(&arguments.to)?;
    let connections = arguments.connections as usize;
    let plan = Plan {
        address,
        tls: connector(arguments)?,
        connections,
        script: Script::new(
            &arguments.pieces,
            arguments.split.map(|bytes| bytes as usize),
        ),
        receive_buffer: arguments.rcvbuf.map(|bytes| bytes as usize),
        read_rate: arguments.read_rate.map(|bytes| bytes as usize),
        half_close: arguments.half_close,
        reset: arguments.rst,
        hold: arguments.hold,
    };
    let mut transcript = Transcript::new(io::stdout().lock(), connections, arguments.show);
    client::run(&plan, &mut transcript)?;
    Ok(match transcript.totals.failed {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    })
}

/// What `--tls` asks for.
fn connector(arguments: &Arguments) -> Result<Option<tls::Connector>, String> {
    let Some(name) = &arguments.tls else {
        return Ok(None);
    };
    let host = arguments.to.rsplit_once(':').map_or("", |(host, _)| host);
    let host = host.trim_matches(['[', ']']);
    tls::Connector::new(name.as_deref().unwrap_or(host)).map(Some)
}

/// The first address of a name with a port.
fn resolve(to: &str) -> Result<SocketAddr, String> {
    let found = to.to_socket_addrs();
    let found = found.map_err(|error| format!("--to {to}: {error}; write HOST:PORT"))?;
    let first = found.into_iter().next();
    first.ok_or_else(|| format!("--to {to}: the name has no address"))
}
