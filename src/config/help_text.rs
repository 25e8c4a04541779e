//! Config: what the help says beside the options. Read in a terminal, 80 columns wide.

/// The groups of options, as they are headed.
pub const LISTENING: &str = "Listening";
pub const SITE: &str = "Site";
pub const LIMITS: &str = "Limits";
pub const LOGGING: &str = "Logging";
pub const OTHER: &str = "Other";

macro_rules! examples {
    () => {
        "\
Examples:
  oneloop                      this directory, on http://127.0.0.1:7890/
  oneloop -b 0.0.0.0 -p 8080   for everyone on the network
  oneloop --spa dist           an app that routes itself
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
  Every option but the last four has a variable: --idle-timeout is
  ONELOOP_IDLE_TIMEOUT, ROOT is ONELOOP_ROOT. Switches take 1 or 0. An empty
  variable counts as not set.

  The command line wins, and --spa=false undoes ONELOOP_SPA=1. A list on the
  command line replaces the one of the environment; --header none empties it.

Signals:
  SIGINT (Ctrl-C), SIGTERM and SIGQUIT stop the server within --grace. SIGUSR1
  reopens the log file, and so does SIGHUP; without a log file SIGHUP stops the
  server, as when its terminal closes, but not under nohup."
);

/// What stands in the manual page only, in the same form.
pub const MANUAL: &str = "\
Exit status:
  0 for a clean stop (SIGTERM, SIGINT) and for what is printed instead of
  serving; 1 if the server cannot start or go on; 2 if the command line or a
  variable is wrong.

Files:
  ROOT/404.html, if it is there, is the body of every 404. Beside a file NAME,
  NAME.br, NAME.zst and NAME.gz are sent to clients that take the coding. Names
  that begin with a dot are not served (see --hidden), except ROOT/.well-known.

See also:
  curl(1), nginx(8), logrotate(8), systemd.service(5), systemd.socket(5)
";
