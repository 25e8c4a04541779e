//! The text of the help around the options, at most 80 columns wide.

/// The headings of the groups of options.
pub const LISTENING: &str = "Listening";
pub const SITE: &str = "Site";
#[cfg(feature = "tls")]
pub const HTTPS: &str = "HTTPS";
pub const LIMITS: &str = "Limits";
pub const LOGGING: &str = "Logging";
pub const OTHER: &str = "Other";

macro_rules! examples {
    () => {
        "\
Examples:
  oneloop                      this directory, on http://127.0.0.1:7890/
  oneloop -b 0.0.0.0 -p 8080   open to the network
  oneloop --spa dist           a single-page app
  oneloop -b unix:/run/oneloop.sock --no-listing /srv/www
                               behind a proxy on the same machine

"
    };
}

pub const AFTER_HELP: &str = concat!(examples!(), "More about each option: oneloop --help");

pub const AFTER_LONG_HELP: &str = concat!(
    examples!(),
    "\
Environment:
  Each option except the last five has a variable: --idle-timeout is
  ONELOOP_IDLE_TIMEOUT, ROOT is ONELOOP_ROOT. Switches take 1 or 0. An empty
  variable counts as unset. The file of --config has the same options as keys:
  idle-timeout = 30.

  The command line overrides the environment, which overrides the file:
  --spa=false overrides ONELOOP_SPA=1. A list on the command line replaces the
  list from the others; --header none is an empty list.

Signals:
  SIGINT (Ctrl-C), SIGTERM and SIGQUIT stop the server within --grace, and up to
  1.5 s more for the rest of the logs. SIGUSR1 reopens the log file. So does
  SIGHUP, which also reads the file of --config, certificates and users again.
  Without any of these SIGHUP stops the server, as when its terminal is closed,
  but not under nohup."
);

/// The text that only the manual page has, in the same form.
pub const MANUAL: &str = "\
Exit status:
  0 if the server was stopped (SIGTERM, SIGINT), or after --help and the like;
  1 if the server cannot start or go on; 2 if the command line, a variable or
  the file of --config is wrong.

Files:
  ROOT/404.html, if it exists, is the body of every 404. NAME.br, NAME.zst and
  NAME.gz beside a file NAME are sent to clients that accept the coding. Names
  that begin with a dot are not served (see --hidden), except ROOT/.well-known.

See also:
  curl(1), nginx(8), logrotate(8), systemd.service(5), systemd.socket(5)
";
