//! The options. The comments here are the help and the manual page, without the text around the
//! options (`help_text`) and that of the named values (`choices`).

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::{OsStringValueParser, TypedValueParser};
use clap::{ArgAction, Parser, ValueHint};

use super::bind::BindArgument;
use super::choices::Model;
use super::help_text::{AFTER_HELP, AFTER_LONG_HELP, LIMITS, LISTENING, LOGGING, OTHER, SITE};
#[cfg(feature = "passwords")]
use super::passwords::PasswordArguments;
use super::proxy::ProxyArguments;
use super::rules::{Base, Cache, ErrorPage};
#[cfg(feature = "tls")]
use super::tls::TlsArguments;
use super::types::{Charset, TypeRules};
use super::values::{self, Cors, Headers, Seconds, Verbosity};
use crate::access_log::LogFormat;
use crate::limits::Limits;
#[cfg(feature = "admin")]
use crate::listen::address::Bind;
use crate::site::rules::Pattern;
#[cfg(feature = "study")]
use crate::study::trace;

/// Serve a directory over HTTP/1.1: one thread, one loop, every connection
// These comments are printed in a terminal: brackets are no links there.
#[allow(rustdoc::bare_urls, rustdoc::broken_intra_doc_links)]
#[derive(Clone, Debug, Parser)]
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

    /// The port; 0 picks a free one
    ///
    /// It is used for every --bind without a port. The port that 0 picked is printed at the start.
    #[arg(
        short,
        long,
        default_value_t = 7890,
        value_parser = values::port,
        env = "ONELOOP_PORT",
        help_heading = LISTENING
    )]
    pub port: u16,

    /// Listen here; may be repeated
    ///
    /// An IP address (127.0.0.1, ::1, [::1], [fe80::1%eth0]) or a host name (localhost, with every
    /// address it has), each with or without a :PORT; unix:PATH for a unix socket; fd:N for a
    /// listening socket that systemd or another parent has passed as descriptor N. 0.0.0.0 is
    /// every interface; [::] is every interface, for IPv4, too. Commas separate several addresses
    /// in one value.
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
    /// Without this option, Linux holds a new TCP connection until its first bytes arrive, or for
    /// about a second, which makes short connections cheaper. Use it for clients that connect early
    /// and must be counted, or that measure how long connecting takes.
    #[arg(
        long,
        env = "ONELOOP_NO_DEFER_ACCEPT",
        help_heading = LISTENING
    )]
    pub no_defer_accept: bool,

    /// How to wait for many connections
    ///
    /// All models but fixed serve the same site with the same bytes.
    #[arg(
        long,
        value_enum,
        value_name = "MODEL",
        default_value = "reactor",
        env = "ONELOOP_MODEL",
        help_heading = LISTENING
    )]
    pub model: Model,

    /// Serve this file for a directory that has it; may be repeated
    ///
    /// The first that exists is served. Commas separate several names in one value.
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

    /// Do not list directories without an index
    #[arg(
        long,
        env = "ONELOOP_NO_LISTING",
        help_heading = SITE
    )]
    pub no_listing: bool,

    /// Serve and list names that begin with a dot, too
    ///
    /// Without this option they are 404, except /.well-known/.
    #[arg(
        long,
        env = "ONELOOP_HIDDEN",
        help_heading = SITE
    )]
    pub hidden: bool,

    /// Follow symbolic links that lead out of ROOT
    ///
    /// Links that end inside ROOT work without this option, absolute ones, too. ROOT itself may be
    /// a link to any directory or file.
    #[arg(
        long,
        env = "ONELOOP_FOLLOW_SYMLINKS",
        help_heading = SITE
    )]
    pub follow_symlinks: bool,

    /// ROOT's index for unknown paths: a single-page app
    ///
    /// A browser that navigates gets the index for any path. A client that accepts any type gets
    /// it, too, unless the last part of the path has a dot, like the name of a file. A missing
    /// script, image or API call stays a 404.
    #[arg(
        long,
        env = "ONELOOP_SPA",
        help_heading = SITE
    )]
    pub spa: bool,

    /// Serve about.html at /about, too
    ///
    /// A page comes before a directory of the same name. /about.html stays an address of the page.
    #[arg(
        long,
        env = "ONELOOP_CLEAN_URLS",
        help_heading = SITE
    )]
    pub clean_urls: bool,

    /// Serve ROOT beneath this path: /app
    ///
    /// For a proxy that passes the path on as it is. Other paths are 404. / is the whole host.
    #[arg(
        long,
        value_name = "PATH",
        env = "ONELOOP_BASE",
        help_heading = SITE
    )]
    pub base: Option<Base>,

    /// Compress files that have no compressed sibling
    ///
    /// Text, scripts and fonts are sent with br, zstd or gzip, as the client prefers, to clients of
    /// HTTP/1.1; listings, too. The result is cached. Images, video and archives are sent as they
    /// are.
    #[cfg(feature = "compress")]
    #[arg(
        long,
        env = "ONELOOP_COMPRESS",
        help_heading = SITE
    )]
    pub compress: bool,

    /// Tell caches how long they may store files
    ///
    /// auto lets them store files whose names contain a hash (app.3f2a9c1b.js) for a year, and
    /// makes them ask for all others each time. immutable is a year for all files. Everything else
    /// is a value of Cache-Control: no-cache, no-store, max-age=3600. Errors and listings have none
    /// of it. A rule in the file of --config comes first. none overrides the environment.
    #[arg(
        long,
        value_name = "POLICY",
        env = "ONELOOP_CACHE",
        help_heading = SITE
    )]
    pub cache: Option<Cache>,

    /// Send this file for an error; may be repeated
    ///
    /// 404=errors/404.html names a file of ROOT. It is sent with the status of the error. Without
    /// this option, 404.html is the page of 404 if it exists.
    #[arg(
        long,
        value_name = "N=FILE",
        env = "ONELOOP_ERROR_PAGE",
        help_heading = SITE
    )]
    pub error_page: Vec<ErrorPage>,

    /// The media type of an extension; may be repeated
    ///
    /// EXT is with or without its dot, TYPE as in Content-Type: ts=text/javascript, or
    /// 'txt=text/plain; charset=windows-1252'. It comes before the built-in types, and a longer
    /// extension before a shorter one (tar.gz before gz). For a file without an extension, write
    /// its name. Commas or line ends separate several in one value.
    #[arg(
        long,
        value_name = "EXT=TYPE",
        env = "ONELOOP_TYPE",
        help_heading = SITE
    )]
    pub r#type: Vec<TypeRules>,

    /// The charset of text, or none
    ///
    /// A page, a style sheet or an XML file that declares another encoding in its first 1,024 bytes
    /// is sent without a charset, because a charset would override the declaration.
    #[arg(
        long,
        value_name = "NAME",
        default_value = "utf-8",
        env = "ONELOOP_CHARSET",
        help_heading = SITE
    )]
    pub charset: Charset,

    /// Add this header to responses; may be repeated
    ///
    /// A header about content, such as Cache-Control, Expires or Content-Disposition, is sent with
    /// 200, 206 and 304 only, so that no cache keeps an error for a year. Every other one, such as
    /// X-Frame-Options, is sent with all responses. It replaces a header of the same name that the
    /// server sets (Vary is joined). Headers that the server computes, such as Content-Length,
    /// cannot be set. In the environment, write one header per line.
    #[arg(
        long,
        value_name = "NAME: VALUE",
        env = "ONELOOP_HEADER",
        help_heading = SITE
    )]
    pub header: Vec<Headers>,

    /// Do not send the Server header
    #[arg(
        long,
        env = "ONELOOP_NO_SERVER_HEADER",
        help_heading = SITE
    )]
    pub no_server_header: bool,

    /// Allow pages of any or of this origin to read files
    ///
    /// An origin needs the equals sign: --cors=ORIGIN. --cors=false allows none.
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

    /// Passwords.
    #[cfg(feature = "passwords")]
    #[command(flatten)]
    pub passwords: PasswordArguments,

    /// Model fixed: send this file in every response
    ///
    /// Without this option, it is ROOT or its index.
    #[arg(
        long,
        value_name = "FILE",
        env = "ONELOOP_PAGE",
        value_hint = ValueHint::FilePath,
        help_heading = SITE
    )]
    pub page: Option<PathBuf>,

    /// Most open connections
    ///
    /// auto is as many as the limit of descriptors allows.
    #[arg(
        long,
        value_name = "N",
        default_value = "auto",
        value_parser = values::count_or_auto,
        env = "ONELOOP_MAX_CONNECTIONS",
        help_heading = LIMITS
    )]
    pub max_connections: values::Count,

    /// Models pool, prefork (200), reactors: how many
    ///
    /// Threads, processes or loops. The default of reactors is the number of processors.
    #[arg(
        long,
        value_name = "N",
        value_parser = values::count,
        env = "ONELOOP_WORKERS",
        help_heading = LIMITS
    )]
    pub workers: Option<u32>,

    /// Most bytes of files kept compressed
    ///
    /// For --compress. A file that is not kept is compressed for each request.
    #[cfg(feature = "compress")]
    #[arg(
        long,
        value_name = "BYTES",
        default_value_t = Limits::default().max_compressed_cache_bytes,
        value_parser = values::whole,
        env = "ONELOOP_COMPRESS_CACHE",
        help_heading = LIMITS
    )]
    pub compress_cache: u32,

    /// Longest time for a request's head
    ///
    /// From its first byte to its last. Progress does not extend it.
    #[arg(
        long,
        value_name = "TIME",
        default_value_t = Seconds(Limits::default().header_timeout),
        allow_negative_numbers = true,
        env = "ONELOOP_HEADER_TIMEOUT",
        help_heading = LIMITS
    )]
    pub header_timeout: Seconds,

    /// Longest time without a request
    #[arg(
        long,
        value_name = "TIME",
        default_value_t = Seconds(Limits::default().idle_timeout),
        allow_negative_numbers = true,
        env = "ONELOOP_IDLE_TIMEOUT",
        help_heading = LIMITS
    )]
    pub idle_timeout: Seconds,

    /// Longest time without a byte taken
    ///
    /// By the client of a response.
    #[arg(
        long,
        value_name = "TIME",
        default_value_t = Seconds(Limits::default().send_timeout),
        allow_negative_numbers = true,
        env = "ONELOOP_SEND_TIMEOUT",
        help_heading = LIMITS
    )]
    pub send_timeout: Seconds,

    /// Least bytes per second taken
    ///
    /// By the client of a response, on average. Responses that are sent within --send-timeout have
    /// no minimum, and with 0 none has.
    #[arg(
        long,
        value_name = "BYTES",
        default_value_t = Limits::default().min_send_rate,
        value_parser = values::whole,
        env = "ONELOOP_MIN_SEND_RATE",
        help_heading = LIMITS
    )]
    pub min_send_rate: u32,

    /// Longest time to linger at a close
    ///
    /// How long the client may go on sending, in seconds. What it sends is dropped. If the server
    /// closed at once, a client that is still sending could lose the last response.
    #[arg(
        long,
        value_name = "TIME",
        default_value_t = Seconds(Limits::default().linger_timeout),
        allow_negative_numbers = true,
        env = "ONELOOP_LINGER_TIMEOUT",
        help_heading = LIMITS
    )]
    pub linger_timeout: Seconds,

    /// Longest time to finish after Ctrl-C
    ///
    /// 0 is no time. SIGTERM does the same as Ctrl-C. A second one stops the server at once.
    #[arg(
        long,
        value_name = "TIME",
        default_value_t = Seconds(Limits::default().grace_period),
        value_parser = Seconds::or_none,
        allow_negative_numbers = true,
        env = "ONELOOP_GRACE",
        help_heading = LIMITS
    )]
    pub grace: Seconds,

    /// The format of the access log
    #[arg(
        long,
        value_enum,
        value_name = "FORMAT",
        default_value = "combined",
        env = "ONELOOP_LOG_FORMAT",
        help_heading = LOGGING
    )]
    pub log_format: LogFormat,

    /// Append the access log to this file or FIFO
    ///
    /// Without it, the log goes to standard output. The name - is standard output, even with
    /// --quiet. SIGUSR1 and SIGHUP reopen the file, for log rotation.
    #[arg(
        long,
        value_name = "PATH",
        env = "ONELOOP_LOG_FILE",
        value_hint = ValueHint::FilePath,
        help_heading = LOGGING
    )]
    pub log_file: Option<PathBuf>,

    /// Keep this path out of the log; may be repeated
    ///
    /// For health checks: /health, /checks/**, *.probe, as in the path of a rule. Requests that
    /// fail are logged all the same.
    #[arg(
        long,
        value_name = "PATTERN",
        env = "ONELOOP_LOG_SKIP",
        help_heading = LOGGING
    )]
    pub log_skip: Vec<Pattern>,

    /// No start-up message; no log on standard output
    #[arg(
        short,
        long,
        env = "ONELOOP_QUIET",
        help_heading = LOGGING
    )]
    pub quiet: bool,

    /// Log more; -vv adds mio's messages
    ///
    /// To standard error. In the environment, write 1 or 2. --verbose=0 overrides it.
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

    /// Serve metrics, health checks and a live view here
    ///
    /// A loopback address (127.0.0.1:7891, [::1]:7891, localhost:7891) or unix:PATH; without a
    /// port, 7891. /metrics is for Prometheus, /health and /ready are for what starts the server
    /// and sends clients to it, / shows the loop and its connections (not in the model
    /// coroutine). That shows what clients send, so it is never open to the network. Only for the
    /// models with a loop: reactor, level, poll, select, uring and coroutine.
    #[cfg(feature = "admin")]
    #[arg(
        long,
        value_name = "ADDR",
        value_parser = super::bind::admin,
        env = "ONELOOP_ADMIN",
        help_heading = LISTENING
    )]
    pub admin: Option<Bind>,

    /// Proxies.
    #[command(flatten)]
    pub proxy: ProxyArguments,

    /// The trace.
    #[cfg(feature = "study")]
    #[command(flatten)]
    pub trace: trace::Options,

    /// HTTPS.
    #[cfg(feature = "tls")]
    #[command(flatten)]
    pub tls: TlsArguments,

    // The help does not show these two: they are for benchmarks.
    /// At the end, append a line with the number of connections, responses and body bytes
    #[arg(long, value_name = "PATH", hide = true, help_heading = OTHER)]
    pub tally: Option<PathBuf>,

    /// Use this much processor time before answering a request for /burn
    #[arg(
        long,
        value_name = "MILLISECONDS",
        value_parser = clap::value_parser!(u32).range(1..=60_000),
        hide = true,
        help_heading = OTHER
    )]
    pub burn: Option<u32>,

    /// Read options from this TOML file
    ///
    /// A key is the long name of an option (port = 8080, header = ["X-Frame-Options: DENY"]), and
    /// root for ROOT. A switch is true or false. A relative path begins at the directory of the
    /// file. The command line and the environment override the file.
    #[cfg(feature = "config-file")]
    #[arg(
        short,
        long,
        value_name = "FILE",
        env = "ONELOOP_CONFIG",
        value_hint = ValueHint::FilePath,
        help_heading = OTHER
    )]
    pub config: Option<PathBuf>,

    /// Check the configuration, and start nothing
    #[arg(short = 't', long, help_heading = OTHER)]
    pub check: bool,

    /// Print the completions for this shell
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
