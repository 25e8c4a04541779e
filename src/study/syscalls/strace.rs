//! Reads what `strace -f -yy -T` writes.

use super::call::{Call, Object};
use std::collections::HashMap;

/// Reads lines of strace as they come. A call that another thread interrupts stands in two lines.
#[derive(Debug, Default)]
pub struct Reader {
    /// The first halves of calls that have not returned yet, by thread.
    begun: HashMap<u64, String>,
}

impl Reader {
    /// The call that returned in this line; `None` if none did.
    pub fn read(&mut self, line: &str) -> Option<Call> {
        let (id, rest) = line.split_once(' ')?;
        let rest = rest.trim_start();
        let thread = id.parse().ok()?;
        if let Some(first) = rest.strip_suffix("<unfinished ...>") {
            self.begun.insert(thread, first.trim_end().to_owned());
            return None;
        }
        if let Some(second) = rest.strip_prefix("<... ") {
            let (_, second) = second.split_once(" resumed>")?;
            let first = self.begun.remove(&thread)?;
            return parse(thread, &format!("{first}{second}"));
        }
        parse(thread, rest)
    }
}

/// Parses `name(arguments) = result <seconds>`. Signals and ends of processes have another form.
fn parse(thread: u64, text: &str) -> Option<Call> {
    let (name, rest) = text.split_once('(')?;
    if !name
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    {
        return None;
    }
    let (arguments, rest) = rest.rsplit_once(" = ")?;
    let arguments = arguments.trim_end().strip_suffix(')')?;
    let (result, took) = match rest.rsplit_once(" <") {
        Some((result, took)) => (result, took.trim_end_matches('>')),
        None => (rest, ""),
    };
    // `-1 EAGAIN (Resource temporarily unavailable)` and `8<TCP:[...]>`: the name, and the number.
    let result = result.strip_prefix("-1 ").unwrap_or(result);
    let result = result.split([' ', '<']).next().unwrap_or(result);
    Some(Call {
        thread,
        name: name.to_owned(),
        object: object(name, arguments),
        arguments: arguments.to_owned(),
        result: result.to_owned(),
        took: took.parse().unwrap_or(0.0),
        is_operation: false,
    })
}

/// What the first descriptor among the arguments refers to; for a call without one, the file that a
/// path names.
fn object(name: &str, arguments: &str) -> Object {
    // `ppoll([{fd=3<TCP:...` and `epoll_ctl(5<...>, EPOLL_CTL_ADD, 8<TCP:...`.
    let from = match name {
        // A loop waits for many.
        "poll" | "pselect6" => return Object::Poll,
        "ppoll" => arguments.split_once("fd=").map_or("", |(_, rest)| rest),
        "epoll_ctl" => arguments.splitn(3, ", ").nth(2).unwrap_or(""),
        _ => arguments,
    };
    let is_path = [
        "openat",
        "openat2",
        "newfstatat",
        "statx",
        "faccessat2",
        "readlinkat",
    ];
    if is_path.contains(&name)
        && let Some((_, path)) = arguments.split_once(", \"")
        && let Some((path, _)) = path.split_once('"')
        && !path.is_empty()
    {
        return file(path);
    }
    let digits = from.trim_start_matches(|c: char| c.is_ascii_digit());
    let Some(what) = digits
        .strip_prefix('<')
        .filter(|_| digits.len() < from.len())
    else {
        return Object::None;
    };
    if what.starts_with("TCP") {
        let end = what.find(']').unwrap_or(what.len());
        let is_connected = what.get(..end).is_some_and(|what| what.contains("->"));
        return if is_connected {
            Object::Connection
        } else {
            Object::Listener
        };
    }
    if what.starts_with("anon_inode:[eventpoll]") {
        return Object::Poll;
    }
    if what.starts_with("anon_inode:[io_uring]") {
        return Object::Ring;
    }
    if what.starts_with("UNIX") {
        return Object::Signals;
    }
    match what.split_once('>') {
        Some((path, _)) if path.starts_with('/') => file(path),
        _ => Object::None,
    }
}

/// A file without its path.
fn file(path: &str) -> Object {
    Object::File(path.rsplit('/').next().unwrap_or(path).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(lines: &[&str]) -> Vec<Call> {
        let mut reader = Reader::default();
        lines.iter().filter_map(|line| reader.read(line)).collect()
    }

    #[test]
    fn a_call_has_its_thread_its_object_its_arguments_and_its_result() {
        let calls = read(&[
            "12 accept4(3<TCP:[a:80]>, NULL, NULL, 0) = 8<TCP:[a:80->b:9]> <0.000012>",
            "12 recvfrom(8<TCP:[a:80->b:9]>, 0x5, 10) = -1 EAGAIN (Try again) <0.000004>",
            "13 exit(0)         = ?",
            "13 +++ exited with 0 +++",
            "12 --- SIGCHLD {si_signo=SIGCHLD} ---",
        ]);
        let call = |thread, name: &str, object, arguments: &str, result: &str, took| Call {
            thread,
            name: name.to_owned(),
            object,
            arguments: arguments.to_owned(),
            result: result.to_owned(),
            took,
            is_operation: false,
        };
        let (accept, receive) = (
            "3<TCP:[a:80]>, NULL, NULL, 0",
            "8<TCP:[a:80->b:9]>, 0x5, 10",
        );
        assert_eq!(
            calls,
            [
                call(12, "accept4", Object::Listener, accept, "8", 0.000_012),
                call(
                    12,
                    "recvfrom",
                    Object::Connection,
                    receive,
                    "EAGAIN",
                    0.000_004
                ),
                call(13, "exit", Object::None, "0", "?", 0.0),
            ]
        );
    }

    #[test]
    fn a_call_in_two_lines_is_one_when_it_has_returned() {
        let calls = read(&[
            "7 epoll_wait(5<anon_inode:[eventpoll]>,  <unfinished ...>",
            "8 rseq(0x7, 0x20, 0, 0x53053053 <unfinished ...>",
            "8 <... rseq resumed>) = 0 <0.000030>",
            "7 <... epoll_wait resumed>[{events=EPOLLIN, data=0x0}], 64, -1) = 1 <0.298000>",
        ]);
        let names: Vec<_> = calls
            .iter()
            .map(|call| (call.thread, &*call.name, &*call.result))
            .collect();
        assert_eq!(names, [(8, "rseq", "0"), (7, "epoll_wait", "1")]);
        assert_eq!(
            calls[1].arguments,
            "5<anon_inode:[eventpoll]>,[{events=EPOLLIN, data=0x0}], 64, -1"
        );
    }
}
