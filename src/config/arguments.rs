//! Config: what can be written on the command line? The text here is the help and the manual page,
//! but for what stands round the options (`help_text`) and the values that have names (`choices`).
//! Imports the parsers of single values and the defaults in limits.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::{OsStringValueParser, TypedValueParser};
use clap::{ArgAction, Parser, ValueHint};

use super::bind::BindArgument;
use super::choices::Model;
use super::help_text::{AFTER_HELP, AFTER_LONG_HELP, LIMITS, LISTENING, LOGGING, OTHER, SITE};
use super::types::{Charset, TypeRules};
use super::values::{self, Cors, Headers, Seconds, Verbosity};
use crate::access_log::LogFormat;
use crate::limits::Limits;

/// Serve a directory over HTTP/1.1: one thread, one loop, every connection
// These doc comments are read in a terminal: no brackets are a link there, and no URL needs any.
#[allow(rustdoc::bare_urls, rustdoc::broken_intra_doc_links)]
#[derive(Debug, Parser)]
#[command(
    name = "oneloop",
    version,
    max_term_width = 80,
    disable_help_flag = true,
    disable_version_flag = true,
    after_help = AFTER_HELP,
    after_long_help = AFTER_LONG_HELP,
)]
pub struct Arguments {
    /// The directory to serve, or a single file
    #[arg(default_value = ".", env = "ONELOOP_ROOT", value_hint = ValueHint::AnyPath)]
    pub root: PathBuf,

    /// Listen on this port; 0 is any free one
    ///
    /// It is the port of every --bind that names none itself. The port that 0 led to is printed.
    #[arg(
        short,
        long,
        default_value_t = 7890,
        value_parser = values::port,
        env = "ONELOOP_PORT",
        help_heading = LISTENING
    )]
    pub port: u16,

    /// Listen on this address; may be repeated
    ///
    /// An IP address (127.0.0.1, ::1, [::1], [fe80::1%eth0]) or a host name (localhost, with every
    /// address it has), each with or without a :PORT; unix:PATH for a unix socket; fd:N for a
    /// listening socket that systemd or another parent has passed as descriptor N. 0.0.0.0 is
    /// every interface; [::] is every interface for IPv4, too. Several may stand in one value, with
    /// commas between them.
    #[arg(
        short,
        long,
        value_name = "ADDR",
        default_value = "127.0.0.1",
        value_delimiter = ',',
        env = "ONELOOP_BIND",
        help_heading = LISTENING
    )]
    pub bind: Vec<BindArgument>,

    /// Accept a connection before it has sent anything
    ///
    /// Without it, Linux keeps a new TCP connection until its first bytes arrive, or for about a
    /// second; that makes short connections cheaper. For clients that connect early and are to be
    /// counted, or that measure how long it takes.
    #[arg(
        long,
        env = "ONELOOP_NO_DEFER_ACCEPT",
        help_heading = LISTENING
    )]
    pub no_defer_accept: bool,

    /// How to wait for many clients at once
    ///
    /// All serve the same site with the same bytes; only the waiting differs.
    #[arg(
        long,
        value_enum,
        value_name = "MODEL",
        default_value = "reactor",
        env = "ONELOOP_MODEL",
        help_heading = LISTENING
    )]
    pub model: Model,

    /// Serve this file for a directory, if it has it; may be repeated
    ///
    /// The first that exists is served. Several may stand in one value, with commas between them.
    #[arg(
        long,
        value_name = "NAME",
        default_value = "index.html",
        value_delimiter = ',',
        value_parser = OsStringValueParser::new().try_map(values::index_name),
        env = "ONELOOP_INDEX",
        help_heading = SITE
    )]
    pub index: Vec<OsString>,

    /// Do not list directories that have no index
    #[arg(
        long,
        env = "ONELOOP_NO_LISTING",
        help_heading = SITE
    )]
    pub no_listing: bool,

    /// Serve and list names that begin with a dot, too
    ///
    /// Without it they do not exist for clients; only /.well-known/ always does.
    #[arg(
        long,
        env = "ONELOOP_HIDDEN",
        help_heading = SITE
    )]
    pub hidden: bool,

    /// Follow symbolic links that lead out of ROOT
    ///
    /// Links that end inside ROOT work without it, also absolute ones. ROOT itself may be a link,
    /// to a directory or to a single file, wherever it leads.
    #[arg(
        long,
        env = "ONELOOP_FOLLOW_SYMLINKS",
        help_heading = SITE
    )]
    pub follow_symlinks: bool,

    /// Answer unknown paths with ROOT's index, for an app that routes itself
    ///
    /// A browser that navigates gets it, whatever the name looks like. So does a client that
    /// accepts anything, unless the last part of the path has a dot, as the name of a file has. A
    /// missing script, image or API stays a 404.
    #[arg(
        long,
        env = "ONELOOP_SPA",
        help_heading = SITE
    )]
    pub spa: bool,

    /// Give files with this extension this media type; may be repeated
    ///
    /// EXT is with or without its dot, TYPE as in Content-Type: ts=text/javascript, or
    /// 'txt=text/plain; charset=windows-1252'. It counts before the types that are known, the
    /// longest extension first (tar.gz before gz). For a file without an extension, write its name.
    /// Several may stand in one value, with commas or line ends between them.
    #[arg(
        long,
        value_name = "EXT=TYPE",
        env = "ONELOOP_TYPE",
        help_heading = SITE
    )]
    pub r#type: Vec<TypeRules>,

    /// Say that text is in this encoding; none says nothing
    ///
    /// A page, a style sheet or an XML file that declares another encoding in its first 1,024 bytes
    /// is sent without a charset, as that would override what it declares.
    #[arg(
        long,
        value_name = "NAME",
        default_value = "utf-8",
        env = "ONELOOP_CHARSET",
        help_heading = SITE
    )]
    pub charset: Charset,

    /// Add this field to responses; may be repeated
    ///
    /// A field about content, such as Cache-Control, Expires or Content-Disposition, is on 200, 206
    /// and 304 only: no cache shall keep an error for a year. Every other one, such as
    /// X-Frame-Options, is on all responses. It replaces a field of the same name that the server
    /// sets (Vary is joined); fields that the server computes, such as Content-Length, cannot be
    /// set. In the environment, write one field per line.
    #[arg(
        long,
        value_name = "NAME: VALUE",
        env = "ONELOOP_HEADER",
        help_heading = SITE
    )]
    pub header: Vec<Headers>,

    /// Do not name the server in responses
    #[arg(
        long,
        env = "ONELOOP_NO_SERVER_HEADER",
        help_heading = SITE
    )]
    pub no_server_header: bool,

    /// Let pages of any origin, or this one, read files
    ///
    /// An origin needs the equals sign: --cors=ORIGIN. --cors=false sends nothing.
    #[arg(
        long,
        value_name = "ORIGIN",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "*",
        env = "ONELOOP_CORS",
        help_heading = SITE
    )]
    pub cors: Option<Cors>,

    /// Send this file to everybody, in the model fixed
    ///
    /// Without it, that is ROOT or its index.
    #[arg(
        long,
        value_name = "FILE",
        env = "ONELOOP_PAGE",
        value_hint = ValueHint::FilePath,
        help_heading = SITE
    )]
    pub page: Option<PathBuf>,

    /// Hold this many connections at most
    ///
    /// auto is as many as the system's limit of descriptors allows.
    #[arg(
        long,
        value_name = "N",
        default_value = "auto",
        value_parser = values::count_or_auto,
        env = "ONELOOP_MAX_CONNECTIONS",
        help_heading = LIMITS
    )]
    pub max_connections: values::Count,

    /// Have this many threads, in the model pool
    #[arg(
        long,
        value_name = "N",
        value_parser = values::count,
        env = "ONELOOP_WORKERS",
        help_heading = LIMITS
    )]
    pub workers: Option<u32>,

    /// How long a request's head may take, from its first byte to its last
    ///
    /// Steady trickling does not extend it.
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = Seconds(Limits::default().header_timeout),
        allow_negative_numbers = true,
        env = "ONELOOP_HEADER_TIMEOUT",
        help_heading = LIMITS
    )]
    pub header_timeout: Seconds,

    /// How long a connection may stay open without a request
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = Seconds(Limits::default().idle_timeout),
        allow_negative_numbers = true,
        env = "ONELOOP_IDLE_TIMEOUT",
        help_heading = LIMITS
    )]
    pub idle_timeout: Seconds,

    /// How long a client may take nothing of a response
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = Seconds(Limits::default().send_timeout),
        allow_negative_numbers = true,
        env = "ONELOOP_SEND_TIMEOUT",
        help_heading = LIMITS
    )]
    pub send_timeout: Seconds,

    /// Bytes a second a client must take on average; 0 is any
    ///
    /// It counts once a response has taken longer than --send-timeout.
    #[arg(
        long,
        value_name = "BYTES",
        default_value_t = Limits::default().min_send_rate,
        value_parser = values::whole,
        env = "ONELOOP_MIN_SEND_RATE",
        help_heading = LIMITS
    )]
    pub min_send_rate: u32,

    /// How long a closing connection may still send what nobody reads
    ///
    /// Closing at once could cost a client that is still sending its last response.
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = Seconds(Limits::default().linger_timeout),
        allow_negative_numbers = true,
        env = "ONELOOP_LINGER_TIMEOUT",
        help_heading = LIMITS
    )]
    pub linger_timeout: Seconds,

    /// How long responses may take to finish after Ctrl-C; 0 is not at all
    ///
    /// SIGTERM means the same as Ctrl-C. A second one ends the server at once.
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = Seconds(Limits::default().grace),
        value_parser = Seconds::or_none,
        allow_negative_numbers = true,
        env = "ONELOOP_GRACE",
        help_heading = LIMITS
    )]
    pub grace: Seconds,

    /// What a line of the access log looks like
    #[arg(
        long,
        value_enum,
        value_name = "FORMAT",
        default_value = "combined",
        env = "ONELOOP_LOG_FORMAT",
        help_heading = LOGGING
    )]
    pub log_format: LogFormat,

    /// Append the access log to this file or FIFO, not to standard output
    ///
    /// The name - is standard output, with --quiet, too. SIGUSR1 and SIGHUP reopen the file, for
    /// log rotation.
    #[arg(
        long,
        value_name = "PATH",
        env = "ONELOOP_LOG_FILE",
        value_hint = ValueHint::FilePath,
        help_heading = LOGGING
    )]
    pub log_file: Option<PathBuf>,

    /// Print nothing at the start, and no access log on standard output
    #[arg(
        short,
        long,
        env = "ONELOOP_QUIET",
        help_heading = LOGGING
    )]
    pub quiet: bool,

    /// Say what the server is doing, on standard error; -vv adds what mio does
    ///
    /// In the environment, 1 or 2. --verbose=0 undoes that.
    #[arg(
        short,
        long,
        value_name = "LEVEL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "more",
        env = "ONELOOP_VERBOSE",
        help_heading = LOGGING
    )]
    pub verbose: Vec<Verbosity>,

    // For measurements: not in the help, as nobody needs them who serves files.
    /// Append one line with the number of connections, responses and bytes of bodies, at the end
    #[arg(long, value_name = "PATH", hide = true, help_heading = OTHER)]
    pub tally: Option<PathBuf>,

    /// Compute for so long before answering a request for /burn
    #[arg(
        long,
        value_name = "MILLISECONDS",
        value_parser = clap::value_parser!(u32).range(1..=60_000),
        hide = true,
        help_heading = OTHER
    )]
    pub burn: Option<u32>,

    /// Print completions for this shell
    #[arg(long, value_name = "SHELL", help_heading = OTHER)]
    pub completions: Option<clap_complete::Shell>,

    /// Print the manual page (oneloop --man | man -l -)
    #[arg(long, help_heading = OTHER)]
    pub man: bool,

    /// Print help; -h is the short one
    #[arg(short, long, action = ArgAction::Help, help_heading = OTHER)]
    pub help: Option<bool>,

    /// Print the version
    #[arg(short = 'V', long, action = ArgAction::Version, help_heading = OTHER)]
    pub version: Option<bool>,
}
