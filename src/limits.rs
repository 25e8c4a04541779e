//! The limits of the server, with their reasons. Everything that a peer can make grow has one.
//! Limits that belong to one module and never change are constants there.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::time::Duration;

/// What one connection, one iteration of the loop and one server may use. `max_…` bounds an amount,
/// `…_timeout` a time, and `…_per_iteration` what the loop or one connection does in an iteration.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Longest request head, from its first byte to the empty line. A longer one gets 431. Browsers
    /// send 0.5-2 KiB; the cookies of a whole domain can reach 16 KiB.
    pub max_head_bytes: usize,
    /// Longest request line. A longer one gets 414. RFC 9112 3 recommends at least 8,000.
    pub max_request_line_bytes: usize,
    /// Most empty lines before a request (RFC 9112 2.2: old clients send one after a body). More
    /// get 400, because they cost work and are not logged.
    pub max_empty_lines: u16,
    /// Most header lines in a head. Browsers send about 20.
    pub max_fields: usize,

    /// Most open connections. The server replaces it with what [`connections_within`] returns for
    /// the descriptor limit.
    pub max_connections: usize,
    /// Most open connections of the operator, at the listener of `--admin`. They do not count as
    /// `max_connections`: many clients cannot lock the operator out. A browser opens six.
    pub max_admin_connections: usize,
    /// Most connections in the model with a thread for each. A thread that has worked takes about
    /// 60 KiB of stacks and buffers, so these take 120 MiB.
    pub max_threads: usize,
    /// Most connections in the model with a process for each. A process takes about 100 KiB of
    /// kernel memory and a thread for its log. A small machine can run this many.
    pub max_processes: usize,
    /// Threads or processes in the models with a fixed number of them, as many as Tomcat has. Each
    /// serves one connection, busy or idle. The model with several loops has its own default: the
    /// number of processors.
    pub workers: usize,
    /// Connections accepted in one iteration, so that a burst of new connections does not hold up
    /// the open ones.
    pub accepts_per_iteration: usize,
    /// Expired deadlines handled in one iteration: ten thousand connections may expire at the same
    /// time. Also the most connections that are looked at for eviction.
    pub expiries_per_iteration: usize,
    /// How long accepting pauses at the limit of connections, for want of descriptors or memory, or
    /// when accept(2) keeps failing, if no idle connection can be closed. A connection that closes
    /// ends the pause.
    pub accept_pause: Duration,
    /// How long the kernel holds a connection that sends nothing (TCP_DEFER_ACCEPT): until the
    /// first retransmission of SYN-ACK, which is after a second and the delay of its timer. A
    /// stopping server accepts for this long if there are such connections.
    pub defer_accept_timeout: Duration,
    /// Connections that the kernel queues before they are accepted. It is cut to
    /// net.core.somaxconn. A client whose SYN does not fit sends it again after a second.
    pub backlog: i32,
    /// Events taken from one poll. With fewer, busy sockets displace quiet ones.
    pub events_per_poll: usize,

    /// Bytes read from one connection in one iteration.
    pub read_bytes_per_iteration: usize,
    /// Bytes written to one connection in one iteration. A fast reader of a large file never makes
    /// a write block, and would occupy the loop.
    pub written_bytes_per_iteration: usize,
    /// Send calls on one connection in one iteration. The parts of a multipart body may be one byte
    /// each and take two calls each, so a limit on bytes would allow thousands.
    pub sends_per_iteration: usize,
    /// Requests answered on one connection in one iteration. Pipelined requests are tiny, so a
    /// limit on bytes would allow thousands.
    pub requests_per_iteration: usize,
    /// Bytes of finished responses that wait for further ones, to leave in one write.
    pub max_coalesced_bytes: usize,
    /// Largest body that is copied behind its header and leaves in the same write. For a larger
    /// one, a second system call costs less than the copy.
    pub max_inline_body_bytes: usize,

    /// Longest time from the first byte of a head to its last. Progress does not extend it, so a
    /// client that sends a byte a second gets 408, too. A handshake of the transport has as long,
    /// from the accept to its end.
    pub header_timeout: Duration,
    /// How long a request may wait for a handler that is not ready: for the check of its password
    /// behind those of others. Then it gets 503. A slow hash takes two seconds, and 64 may wait;
    /// browsers and proxies wait for a minute.
    pub handler_timeout: Duration,
    /// How long a connection may be idle between requests, and before its first.
    pub idle_timeout: Duration,
    /// How long a connection must have been idle before it may be closed early, to make space for a
    /// new one or because the server stops. By then most likely no bytes are in flight in either
    /// direction. When the server stops, a connection that was idle for less has this long for
    /// another request.
    pub min_idle_time: Duration,
    /// How long sending a response may make no progress.
    pub send_timeout: Duration,
    /// Bytes per second that the peer must take on average once `send_timeout` has passed, so that
    /// a byte a minute does not occupy a file and a slot. Low, because a phone in a tunnel is slow,
    /// too.
    pub min_send_rate: u32,
    /// How long a closing connection may go on sending. The bytes are read and dropped. Progress
    /// does not extend it.
    pub linger_timeout: Duration,
    /// Bytes that a closing connection may send.
    pub max_linger_bytes: u64,
    /// How long responses in flight may take after SIGTERM. Together with the flush of the logs it
    /// must end before the SIGKILL that `docker stop` sends after 10 s.
    pub grace_period: Duration,

    /// Entries shown in one directory listing. The others are only counted.
    pub max_listing_entries: usize,
    /// Memory that the listings of large directories take together until their clients have
    /// received them: about 130 bytes for an entry, and 384 KiB for a listing that is compressed.
    /// Above it, a new listing gets 503. Listings that have begun may grow to twice the limit;
    /// above that they end with a reset. A directory of fewer than `listing_slice_entries` entries
    /// is always listed.
    pub max_listing_bytes: usize,
    /// Directory entries read, or rows rendered, before a listing yields to other connections.
    pub listing_slice_entries: usize,
    /// Bytes of a file that are read and compressed before the response yields to other
    /// connections. Brotli, the slowest coding, takes about a millisecond for them.
    pub compression_slice_bytes: usize,
    /// Size of the smallest file that is compressed. Below it, header fields are most of a
    /// response.
    pub min_compressed_file_bytes: u64,
    /// Size of the largest file that is compressed. A larger one would take seconds of processor
    /// time for each request, and cannot be resumed.
    pub max_compressed_file_bytes: u64,
    /// Memory that the files which are being compressed take together: up to 4 MiB for an encoder,
    /// and the output so far; with the compressed files that are being sent and are no longer
    /// cached. Above it, files are sent as they are.
    pub max_compression_bytes: usize,
    /// Bytes of compressed files that are cached.
    pub max_compressed_cache_bytes: u32,
    /// Small files whose bytes are cached. They are checked again in each iteration.
    pub max_file_cache_entries: usize,
    /// Bytes of cached files.
    pub max_file_cache_bytes: usize,
    /// Larger files that are kept open, so that the next request does not open them. They are
    /// checked again in each iteration.
    pub max_open_file_cache_entries: usize,
    /// Size of the largest file that is kept open. A removed file occupies the disk until it is
    /// closed. For a larger one, opening costs little beside sending.
    pub max_open_file_cache_file_bytes: u64,
    /// How long bytes stay cached, or a file open, before it is read or opened again. Not every
    /// change shows in a file's times (mmap(2): not for half a minute), and a volume with an open
    /// file cannot be unmounted.
    pub file_cache_lifetime: Duration,
    /// Open files, and names that do not exist, that the requests of one iteration share. Above it,
    /// each request looks for itself.
    pub max_iteration_cache_entries: usize,
    /// Bytes of access log that wait for a slow reader. Above it, lines are dropped and counted: a
    /// full pipe must not stop the server.
    pub max_log_buffer_bytes: usize,
    /// Bytes of one part of a log line (request line, Host, Referer, User-Agent). A longer part is
    /// cut and ends in "...". Escaping makes up to six bytes of one, so `max_head_bytes` alone
    /// would allow lines of 192 KiB.
    pub max_log_field_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_head_bytes: 32 * 1024,
            max_request_line_bytes: 8 * 1024,
            max_empty_lines: 100,
            max_fields: 100,
            max_connections: 16_000,
            max_admin_connections: 16,
            max_threads: 2048,
            max_processes: 512,
            workers: 200,
            accepts_per_iteration: 64,
            expiries_per_iteration: 256,
            accept_pause: Duration::from_millis(100),
            defer_accept_timeout: Duration::from_millis(1250),
            backlog: 4096,
            events_per_poll: 1024,
            read_bytes_per_iteration: 64 * 1024,
            written_bytes_per_iteration: 256 * 1024,
            sends_per_iteration: 64,
            requests_per_iteration: 32,
            max_coalesced_bytes: 32 * 1024,
            max_inline_body_bytes: 16 * 1024,
            header_timeout: Duration::from_secs(20),
            handler_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(60),
            min_idle_time: Duration::from_secs(1),
            send_timeout: Duration::from_secs(60),
            min_send_rate: 256,
            linger_timeout: Duration::from_secs(10),
            max_linger_bytes: 64 * 1024 * 1024,
            grace_period: Duration::from_secs(7),
            max_listing_entries: 100_000,
            max_listing_bytes: 128 * 1024 * 1024,
            listing_slice_entries: 256,
            compression_slice_bytes: 16 * 1024,
            min_compressed_file_bytes: 256,
            max_compressed_file_bytes: 64 * 1024 * 1024,
            max_compression_bytes: 128 * 1024 * 1024,
            max_compressed_cache_bytes: 64 * 1024 * 1024,
            max_file_cache_entries: 16 * 1024,
            max_file_cache_bytes: 64 * 1024 * 1024,
            max_open_file_cache_entries: 64,
            max_open_file_cache_file_bytes: 1024 * 1024,
            file_cache_lifetime: Duration::from_secs(5),
            max_iteration_cache_entries: 256,
            max_log_buffer_bytes: 1024 * 1024,
            max_log_field_bytes: 2 * 1024,
        }
    }
}

impl Limits {
    /// The longest time away from its sockets that a loop counts against its peers: a quarter of
    /// the shortest timeout, more than a busy machine is late by. See
    /// [`deadline_clock`](crate::deadline_clock).
    pub fn stall_threshold(&self) -> Duration {
        let shortest = (self.header_timeout.min(self.idle_timeout))
            .min(self.send_timeout.min(self.linger_timeout));
        (shortest / 4).max(Duration::from_millis(100))
    }
}

/// Sets the soft limit of open descriptors to the hard one, or to `most` if that is less
/// (setrlimit(2)), and returns the limit. The number of a new descriptor is always below it.
pub fn set_descriptors(most: Option<usize>) -> usize {
    let limit = getrlimit(Resource::Nofile);
    let most = most.map(|most| most as u64);
    let wanted = [most, limit.maximum].into_iter().flatten().min();
    if limit.current != wanted {
        let changed = Rlimit {
            current: wanted,
            ..limit
        };
        // Fails where the hard limit is above what the kernel allows.
        let _ = setrlimit(Resource::Nofile, changed);
    }
    descriptors()
}

/// The limit of open descriptors (getrlimit(2)).
fn descriptors() -> usize {
    let limit = getrlimit(Resource::Nofile).current;
    limit.map_or(usize::MAX, |limit| {
        usize::try_from(limit).unwrap_or(usize::MAX)
    })
}

/// How many connections may be open with this many descriptors. A fifth of them, and at least 24,
/// are left for files: a connection that sends a large file needs a second descriptor.
pub fn connections_within(descriptors: usize) -> usize {
    descriptors.saturating_sub((descriptors / 5).max(24)).max(1)
}

/// How to get more descriptors, in parentheses. The soft limit is below the hard one for select(2).
pub fn advice_on_descriptors() -> &'static str {
    let limit = getrlimit(Resource::Nofile);
    match limit.current.is_some() && limit.current < limit.maximum.or(Some(u64::MAX)) {
        true => " (select(2) can watch no more; try: --model poll)",
        false => " (raise the limit: ulimit -n)",
    }
}

/// What sets a limit of this many connections for each of `loops`, and how to raise it, in
/// parentheses.
pub fn advice_on_connections(connections: usize, loops: usize) -> &'static str {
    let within = connections_within(descriptors());
    match (within / loops..=within.div_ceil(loops)).contains(&connections) {
        true => advice_on_descriptors(),
        false => " (--max-connections)",
    }
}

/// How many files may be kept open with this many descriptors: a small part of those that are not
/// for connections, because the others are needed to open files.
pub fn open_files_within(descriptors: usize) -> usize {
    (descriptors / 16).min(Limits::default().max_open_file_cache_entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fifth_of_the_descriptors_is_left_for_files() {
        assert_eq!(connections_within(20_000), 16_000);
        assert_eq!(connections_within(1024), 820);
        assert_eq!(connections_within(64), 40);
        assert_eq!(connections_within(10), 1);
    }

    #[test]
    fn what_limits_the_connections_of_a_loop_is_what_limits_those_of_all() {
        let within = connections_within(descriptors());
        for (connections, loops, is_limited_by_descriptors) in [
            (within, 1, true),
            (within / 3, 3, true),
            (within.div_ceil(3), 3, true),
            (within - 1, 1, false),
            (within, 3, false),
        ] {
            let advice = advice_on_connections(connections, loops);
            let is_limited = advice != " (--max-connections)";
            assert_eq!(
                is_limited, is_limited_by_descriptors,
                "{connections} {loops}"
            );
        }
    }

    /// `docker stop` sends SIGKILL after 10 s; flushing the logs takes up to 1.5 s.
    #[test]
    fn the_server_ends_before_it_is_killed() {
        assert!(Limits::default().grace_period <= Duration::from_secs(8));
    }

    #[test]
    fn fewer_files_are_kept_open_where_descriptors_are_few() {
        assert_eq!(open_files_within(20_000), 64);
        assert_eq!(open_files_within(512), 32);
        assert_eq!(open_files_within(10), 0);
    }
}
