//! Every bound in the server, in one struct, each with its reason.
//!
//! Nothing that a peer can make grow is without a limit, and no limit stands anywhere
//! else. A leaf of the house: it imports nothing of ours.

use std::time::Duration;

/// What one connection, one turn and one server may use. Sizes are in bytes.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Longest request head, from its first byte to the empty line. Browsers send 0.5-2 KiB;
    /// cookies of a whole domain can reach 16 KiB. Longer heads get 431.
    pub head: usize,
    /// Longest request line, the part of the head that gets 414 instead. RFC 9112 3 asks for
    /// at least 8,000.
    pub request_line: usize,
    /// Most empty lines before a request, which are skipped (RFC 9112 2.2). Old clients send one
    /// after a body; more are 400, for they cost work and leave no line in the log.
    pub empty_lines: u16,
    /// Most field lines in one head. A parser's table has a size; browsers send about 20.
    pub fields: usize,

    /// Connections open at once: as many as [`connections_within`] the descriptors that the system
    /// grants.
    pub connections: usize,
    /// Connections at once in the model with a thread for each. A thread takes a stack and buffers
    /// of its own, some 100 KiB when it has worked: so many take 200 MiB.
    pub threads: usize,
    /// Connections at once in the model with a process for each. A process costs the kernel some
    /// 100 KiB, and its log a thread; a small machine survives so many.
    pub processes: usize,
    /// Threads in the model with a pool of them: as many as Tomcat has. Each holds one connection,
    /// busy or idle.
    pub workers: usize,
    /// Connections accepted in one turn, so that a storm of new clients cannot hold up
    /// those already here.
    pub accepts_per_iteration: usize,
    /// Connections whose deadline is acted on in one turn: ten thousand that fell silent
    /// together expire together.
    pub expiries_per_iteration: usize,
    /// How long accepting rests when the system has no descriptor or memory left and
    /// no connection of ours could be closed to free one.
    pub accept_pause: Duration,
    /// How long the kernel holds back a connection that sends nothing (TCP_DEFER_ACCEPT): until
    /// the first retransmission of SYN-ACK, after a second and what its timer is late by. A
    /// stopping server goes on accepting for this long if there are such connections.
    pub defer_accept_timeout: Duration,
    /// Connections the kernel may hold for us before we accept them. It is cut to
    /// net.core.somaxconn; a burst beyond it waits a second for its SYN to be sent again.
    pub backlog: i32,
    /// Events taken from one poll. With fewer, busy sockets crowd out quiet ones.
    pub events: usize,

    /// Bytes read from one connection in one turn.
    pub read_per_iteration: usize,
    /// Bytes written to one connection in one turn. A fast reader of a large file never
    /// makes a write block, and would keep the loop for itself.
    pub written_per_iteration: usize,
    /// Calls that send, on one connection in one turn. The parts of a multipart body may be a byte
    /// each, and every part takes two calls; a bound on bytes would let thousands through.
    pub sends_per_iteration: usize,
    /// Requests answered on one connection in one turn. Pipelined requests are tiny;
    /// a bound on bytes alone would let thousands through.
    pub requests_per_iteration: usize,
    /// Bytes of finished responses that may wait for each other to leave in one write.
    pub write_coalescing_limit: usize,
    /// The largest body that is copied behind its header and leaves in the same write. Above
    /// it a second system call costs less than the copy.
    pub inline_body_limit: usize,

    /// From the first byte of a head to its last. A total: progress does not move it, so
    /// a client that sends a byte a second is cut off on time.
    pub header_timeout: Duration,
    /// How long a connection may stay open between requests, and before its first.
    pub idle_timeout: Duration,
    /// An idle connection that has been so for this long most likely has nothing on its way in
    /// either direction (a slow peer may still be reading what the kernel holds). So it may be
    /// closed at once, to make room for others or because the server stops. One that was idle for
    /// less when the server stops has this long for another request.
    pub min_idle: Duration,
    /// How long the peer may take no byte of a response at all.
    pub send_timeout: Duration,
    /// Bytes per second the peer must take on average once `send_timeout` has passed, so that
    /// a byte a minute does not hold a file and a slot for ever. Low: a phone in a
    /// tunnel is slow, too.
    pub min_send_rate: u32,
    /// How long a closing connection may go on sending what nobody reads. A total.
    pub linger_timeout: Duration,
    /// How many bytes it may send meanwhile.
    pub linger_bytes: u64,
    /// How long responses in flight may take to finish after SIGTERM. With the time for the last
    /// lines of the logs, the end must come before the SIGKILL that `docker stop` sends after 10 s.
    pub grace: Duration,

    /// Entries shown in one directory page; what is beyond is counted and said.
    pub listing_entries: usize,
    /// Bytes of memory that the listings of large directories hold together, until their clients
    /// have taken them: some 130 for an entry, and 384 KiB for one that is compressed. When they
    /// hold more, another one gets 503; those that have begun may grow to twice, and beyond end
    /// with a reset. A directory of fewer than `listing_slice` entries is always listed.
    pub listing_bytes: usize,
    /// Directory entries read, or rows rendered, before a listing lets others run.
    pub listing_slice: usize,
    /// Small files whose bytes are remembered between turns (and checked again in each).
    pub file_cache_entries: usize,
    /// Bytes they may take together.
    pub file_cache_bytes: usize,
    /// Larger files that are kept open between turns (and checked again in each), so that asking
    /// for them again costs no opening.
    pub open_file_cache_entries: usize,
    /// Bytes of the largest file kept open: one that was removed takes its room on the disk until
    /// it is closed. For a larger one, opening is nothing beside sending.
    pub open_file_cache_max_size: u64,
    /// How long bytes are remembered, or a file is kept open, until it is read or opened again. Not
    /// every change shows in a file's times: those through mmap(2) may not for half a minute. And a
    /// volume with an open file cannot be unmounted. A few system calls in so much time are nothing
    /// beside one for each turn.
    pub file_cache_lifetime: Duration,
    /// Files opened, and names that stood for nothing, that are shared with whoever else asks for
    /// them in the same turn. Beyond, each request looks for itself.
    pub iteration_cache_entries: usize,
    /// Bytes of access log that may wait for a slow reader of the log. Beyond, lines are
    /// dropped and counted: a full pipe must not stop the server.
    pub log_buffer: usize,
    /// Bytes of one part of a log line (request line, Host, Referer, User-Agent) that are
    /// written; the rest is cut and "..." says so. Escaping makes up to six bytes of one, so
    /// `head` alone would let a peer write lines of 192 KiB.
    pub log_field: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head: 32 * 1024,
            request_line: 8 * 1024,
            empty_lines: 100,
            fields: 100,
            connections: 16_000,
            threads: 2048,
            processes: 512,
            workers: 200,
            accepts_per_iteration: 64,
            expiries_per_iteration: 256,
            accept_pause: Duration::from_millis(100),
            defer_accept_timeout: Duration::from_millis(1250),
            backlog: 4096,
            events: 1024,
            read_per_iteration: 64 * 1024,
            written_per_iteration: 256 * 1024,
            sends_per_iteration: 64,
            requests_per_iteration: 32,
            write_coalescing_limit: 32 * 1024,
            inline_body_limit: 16 * 1024,
            header_timeout: Duration::from_secs(20),
            idle_timeout: Duration::from_secs(60),
            min_idle: Duration::from_secs(1),
            send_timeout: Duration::from_secs(60),
            min_send_rate: 256,
            linger_timeout: Duration::from_secs(10),
            linger_bytes: 64 * 1024 * 1024,
            grace: Duration::from_secs(7),
            listing_entries: 100_000,
            listing_bytes: 128 * 1024 * 1024,
            listing_slice: 256,
            file_cache_entries: 16 * 1024,
            file_cache_bytes: 64 * 1024 * 1024,
            open_file_cache_entries: 64,
            open_file_cache_max_size: 1024 * 1024,
            file_cache_lifetime: Duration::from_secs(5),
            iteration_cache_entries: 256,
            log_buffer: 1024 * 1024,
            log_field: 2 * 1024,
        }
    }
}

impl Limits {
    /// How much time a loop may spend without a look at its sockets for it to count against its
    /// peers: a quarter of the shortest of their timeouts. More than a busy machine is late by.
    pub fn stall_threshold(&self) -> Duration {
        let shortest = (self.header_timeout.min(self.idle_timeout))
            .min(self.send_timeout.min(self.linger_timeout));
        (shortest / 4).max(Duration::from_millis(100))
    }
}

/// Raises the soft limit of open descriptors to the hard one (setrlimit(2)), and returns what is
/// granted.
pub fn raise_descriptors() -> usize {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        let raised = rustix::process::Rlimit {
            current: limit.maximum,
            ..limit
        };
        // Refused where the hard limit is beyond what the kernel allows: the soft one holds.
        if setrlimit(Resource::Nofile, raised).is_ok() {
            limit = raised;
        }
    }
    limit.current.map_or(usize::MAX, |most| {
        usize::try_from(most).unwrap_or(usize::MAX)
    })
}

/// How many connections may be open with so many descriptors. A fifth, and at least two dozen,
/// are kept for files: a connection that sends a large one needs a second descriptor.
pub fn connections_within(descriptors: usize) -> usize {
    descriptors.saturating_sub((descriptors / 5).max(24)).max(1)
}

/// How many files may be kept open with so many descriptors: a small part of those that are not for
/// connections, as others are needed to open files.
pub fn open_files_within(descriptors: usize) -> usize {
    (descriptors / 16).min(Limits::default().open_file_cache_entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fifth_of_the_descriptors_is_kept_for_files() {
        assert_eq!(connections_within(20_000), 16_000);
        assert_eq!(connections_within(1024), 820);
        assert_eq!(connections_within(64), 40);
        assert_eq!(connections_within(10), 1);
    }

    /// `docker stop` sends SIGKILL after 10 s; the last lines of the logs take up to 1.5 s.
    #[test]
    fn the_server_ends_before_it_is_killed() {
        assert!(Limits::default().grace <= Duration::from_secs(8));
    }

    #[test]
    fn where_descriptors_are_few_few_files_are_kept_open() {
        assert_eq!(open_files_within(20_000), 64);
        assert_eq!(open_files_within(512), 32);
        assert_eq!(open_files_within(10), 0);
    }
}
