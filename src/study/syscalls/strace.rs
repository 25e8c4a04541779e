//! Reads what `strace -f -yy -T` writes.

use std::collections::HashMap;

/// A system call that has returned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// The thread or process: 0 is the first that made a call.
    pub task: usize,
    /// `recvfrom`, `epoll_wait` ...
    pub name: String,
    /// The arguments, as strace writes them.
    pub arguments: String,
    /// What it returned: a number, or an error such as `EAGAIN`.
    pub result: String,
    /// How long it took, in seconds.
    pub took: String,
}

/// Reads lines of strace as they come. A call that another thread interrupts stands in two lines.
#[derive(Debug, Default)]
pub struct Reader {
    /// Numbers of threads, by their ids.
    tasks: HashMap<String, usize>,
    /// The first halves of calls that have not returned yet, by thread.
    begun: HashMap<usize, String>,
}

impl Reader {
    /// The call that returned in this line; `None` if none did.
    pub fn read(&mut self, line: &str) -> Option<Call> {
        let (id, rest) = line.split_once(' ')?;
        let rest = rest.trim_start();
        let count = self.tasks.len();
        let task = *self.tasks.entry(id.to_owned()).or_insert(count);
        if let Some(first) = rest.strip_suffix("<unfinished ...>") {
            self.begun.insert(task, first.trim_end().to_owned());
            return None;
        }
        if let Some(second) = rest.strip_prefix("<... ") {
            let (_, second) = second.split_once(" resumed>")?;
            let first = self.begun.remove(&task)?;
            return parse(task, &format!("{first}{second}"));
        }
        parse(task, rest)
    }
}

/// Parses `name(arguments) = result <seconds>`. Signals and ends of processes have another form.
fn parse(task: usize, text: &str) -> Option<Call> {
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
    // `-1 EAGAIN (Resource temporarily unavailable)`: the name is enough.
    let result = match result.strip_prefix("-1 ") {
        Some(error) => error.split(' ').next().unwrap_or(error),
        None => result.split(' ').next().unwrap_or(result),
    };
    Some(Call {
        task,
        name: name.to_owned(),
        arguments: arguments.to_owned(),
        result: result.to_owned(),
        took: took.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(lines: &[&str]) -> Vec<(usize, String, String, String, String)> {
        let mut reader = Reader::default();
        let calls = lines.iter().filter_map(|line| reader.read(line));
        calls
            .map(|call| (call.task, call.name, call.arguments, call.result, call.took))
            .collect()
    }

    #[test]
    fn a_call_has_its_thread_its_arguments_and_its_result() {
        let calls = read(&[
            "12 accept4(3<TCP:[[::1]:80]>, NULL, NULL, 0) = 8<TCP:[[::1]:80->[::1]:9]> <0.000012>",
            "12 recvfrom(8<TCP:[[::1]:80->[::1]:9]>, 0x5, 10) = -1 EAGAIN (Try again) <0.000004>",
            "13 exit(0)         = ?",
            "13 +++ exited with 0 +++",
            "12 --- SIGCHLD {si_signo=SIGCHLD} ---",
        ]);
        let call = |task, name: &str, arguments: &str, result: &str, took: &str| {
            let [name, arguments, result, took] =
                [name, arguments, result, took].map(str::to_owned);
            (task, name, arguments, result, took)
        };
        assert_eq!(
            calls,
            [
                call(
                    0,
                    "accept4",
                    "3<TCP:[[::1]:80]>, NULL, NULL, 0",
                    "8<TCP:[[::1]:80->[::1]:9]>",
                    "0.000012"
                ),
                call(
                    0,
                    "recvfrom",
                    "8<TCP:[[::1]:80->[::1]:9]>, 0x5, 10",
                    "EAGAIN",
                    "0.000004"
                ),
                call(1, "exit", "0", "?", ""),
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
            .map(|call| (call.0, &*call.1, &*call.3))
            .collect();
        assert_eq!(names, [(1, "rseq", "0"), (0, "epoll_wait", "1")]);
        assert_eq!(
            calls[1].2,
            "5<anon_inode:[eventpoll]>,[{events=EPOLLIN, data=0x0}], 64, -1"
        );
    }
}
